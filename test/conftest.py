"""Rules for every test: no hub, and no ROS traffic beyond this machine."""

import os

# Read by huggingface_hub when it is imported and by DDS when a node is made, so set before both.
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
