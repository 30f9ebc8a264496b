"""What a recording knows of a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rosbags.interfaces import Qos

IMAGE, COMPRESSED_IMAGE = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
COMPRESSED_SUFFIX = '/compressed'  # of the name, as image_transport has it


@dataclass(frozen=True)
class Topic:
    """
    A topic as it was recorded.

    :param name: of the topic.
    :param kind: message type, ``sensor_msgs/msg/Image``.
    :param serialisation: ``cdr`` in ROS 2.
    :param language: of the definition: ``ros2msg``, ``ros2idl``, or empty when there is none.
    :param definition: of the message and all that it contains; older recordings have none.
    :param type_hash: of the message type; may be empty.
    :param qos: what the publishers offered.
    """

    name: str
    kind: str
    serialisation: str
    language: str
    definition: str
    type_hash: str
    qos: tuple[Qos, ...]
