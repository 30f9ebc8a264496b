"""Listens to /tf and /tf_static, as tf2_ros does."""

from __future__ import annotations

from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from videomt_ros.ros.transforms import TransformBuffer

_TOPICS = {'/tf': DurabilityPolicy.VOLATILE, '/tf_static': DurabilityPolicy.TRANSIENT_LOCAL}
_DEPTH = 100


def transform_message_type() -> Any:
    """
    Find the type of the messages on /tf.

    :returns: tf2_msgs/TFMessage.
    :raises ValueError: its package is not installed.
    """
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError as error:
        raise ValueError('the parameter target_frame needs the ROS package tf2_msgs, which is not '
                         'installed') from error
    return TFMessage


class TransformInput:
    """
    The subscriptions that fill a buffer.

    :param node: that subscribes.
    :param buffer: to be filled.
    :raises ValueError: see :func:`transform_message_type`.
    """

    def __init__(self, node: Node, buffer: TransformBuffer) -> None:
        self._node = node
        kind = transform_message_type()
        # These two names are absolute everywhere; a robot in a namespace remaps them.
        self._subscriptions = [
            node.create_subscription(
                kind, topic,
                partial(buffer.add, fixed=durability == DurabilityPolicy.TRANSIENT_LOCAL),
                QoSProfile(depth=_DEPTH, durability=durability))
            for topic, durability in _TOPICS.items()]

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
