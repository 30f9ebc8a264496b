"""The ROS 2 node around the perception layer: messages in, masks and tracks out."""
