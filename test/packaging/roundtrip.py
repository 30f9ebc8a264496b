"""
Run by the tests with the Python of an installed package: do its messages and files work there.

Prints one line a thing: the folder of the modules, of the messages, and of the shared files.
"""

from pathlib import Path

from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
import videomt_ros.msg
from videomt_ros.msg import Segment, SegmentationMask, Track, TrackArray
from videomt_ros.share import share_directory

track = Track(track_id=7, state=Track.STATE_LOST, class_name='bicycle', score=0.5,
              mask_value=300, mask_counts=[0, 5, 2**31], position=Point(z=1.5))
tracks = TrackArray(epoch=1, skipped=2, height=720, width=1280, tracks=[track, Track()])
assert deserialize_message(serialize_message(tracks), TrackArray) == tracks

mask = SegmentationMask(task='panoptic', labels=Image(encoding='mono16', data=[1, 0]),
                        segments=[Segment(mask_value=1, class_id=65535, class_name='road')])
assert deserialize_message(serialize_message(mask), SegmentationMask) == mask

print(Path(videomt_ros.__file__).parent)
print(Path(videomt_ros.msg.__file__).parent)
print(share_directory())
