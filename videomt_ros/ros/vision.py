"""
Results in the words of ``vision_msgs``, where that package is installed.

A class is named by its index in decimal digits, as ``vision_msgs`` asks for; ``~/label_info`` says
which name belongs to it. Pixels of ``~/class_mask`` carry the same index, 255 for no class.
"""

from __future__ import annotations

from collections.abc import Iterable

from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from videomt_ros.perception import FrameResult, Instance

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        LabelInfo,
        ObjectHypothesisWithPose,
        VisionClass,
    )
    INSTALLED = True
except ImportError:  # it is not in every ROS
    INSTALLED = False

__all__ = [
    'INSTALLED', 'Detection2DArray', 'LabelInfo', 'detections_message', 'label_info_message']


def detections_message(result: FrameResult, header: Header) -> Detection2DArray:
    """
    List what is seen in a frame, for those who want boxes.

    :param result: of the frame.
    :param header: of the frame's image, shared with the message bit for bit.
    :returns: one detection per track that is seen, its ``id`` the track id in decimal digits.
    """
    return Detection2DArray(header=header, detections=[
        _detection(instance, header) for instance in result.instances
        if instance.track_id and instance.area])


def _detection(instance: Instance, header: Header) -> Detection2D:
    """
    Make the message of one track.

    :param instance: with a mask.
    :param header: of the frame's image.
    :returns: the message; its box is that of the mask, its edges on the edges of pixels.
    """
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = str(instance.class_id)
    hypothesis.hypothesis.score = float(instance.score)
    x, y, width, height = instance.box
    box = BoundingBox2D(size_x=float(width), size_y=float(height))
    box.center.position.x, box.center.position.y = x + width / 2, y + height / 2
    return Detection2D(header=header, results=[hypothesis], bbox=box, id=str(instance.track_id))


def label_info_message(class_names: Iterable[str], threshold: float, stamp: Time) -> LabelInfo:
    """
    Say which number stands for which class.

    :param class_names: of the weights, in the order of their indices.
    :param threshold: score that a mask has at least, 0 to 1.
    :param stamp: now.
    :returns: the message.
    """
    return LabelInfo(
        header=Header(stamp=stamp), threshold=float(threshold),
        class_map=[VisionClass(class_id=index, class_name=name)
                   for index, name in enumerate(class_names)])
