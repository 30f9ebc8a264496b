"""What is published about a frame: which topic, of which type, made by which function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from builtin_interfaces.msg import Time
import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from videomt_ros.msg import SegmentationMask, TrackArray
from videomt_ros.perception import FrameResult, overlay
from videomt_ros.ros import vision
from videomt_ros.ros.cloud import cloud_message
from videomt_ros.ros.images import array_to_image, array_to_jpeg
from videomt_ros.ros.markers import Markers
from videomt_ros.ros.messages import mask_message, tracks_message
from videomt_ros.ros.scene import Scene
from videomt_ros.ros.stamps import StampScale
from visualization_msgs.msg import MarkerArray


@dataclass(frozen=True, eq=False)
class Answer:
    """
    A result together with what its messages need of the image.

    :param result: of the frame.
    :param header: of the image.
    :param rgb: (H, W, 3) uint8, the frame.
    :param scale: that made the result's seconds out of stamps.
    :param mask_runs: fill the tracks' run lengths.
    :param camera_info: the newest of the camera; None when none has come.
    :param scene: where the objects are.
    :param markers: those of the camera.
    :param background: the cloud is to hold points without a track too.
    """

    result: FrameResult
    header: Header
    rgb: np.ndarray
    scale: StampScale
    mask_runs: bool
    camera_info: CameraInfo | None
    scene: Scene
    markers: Markers
    background: bool

    @cached_property
    def overlay(self) -> np.ndarray:
        """Draw the frame with its tracks, (H, W, 3) uint8 RGB, once for all topics."""
        return overlay(self.rgb, self.result)


@dataclass(frozen=True)
class _Output:
    """
    One topic.

    :param message_type: of its messages.
    :param make: the message of an answer; None where there is nothing to say.
    :param depth: messages that a slow subscriber may be behind.
    :param lazy: made only while somebody listens.
    """

    message_type: type
    make: Callable[[Answer], Any]
    depth: int = 2
    lazy: bool = True


def _picture(name: str, answer: Answer) -> Image:
    """
    Make the message of one of a result's maps.

    :param name: attribute of the result.
    :param answer: that holds it.
    :returns: mono8, or mono16 for a label map of that depth.
    """
    return array_to_image(getattr(answer.result, name), answer.header)


def _mask_camera_info(answer: Answer) -> CameraInfo | None:
    """
    Give the camera's calibration under the very stamp of the mask, for exact synchronisers.

    :param answer: of the image.
    :returns: the newest calibration with the image's header.
    """
    info = copy.copy(answer.camera_info)
    if info is not None:
        info.header = answer.header
    return info


def _cloud(answer: Answer) -> PointCloud2 | None:
    """
    Make the cloud of an answer.

    :param answer: of the image.
    :returns: None where depth or calibration are missing.
    """
    if answer.scene.view is None:
        return None
    return cloud_message(answer.result, answer.header, answer.rgb, answer.scene.view,
                         answer.background)


OUTPUTS: dict[str, _Output] = {
    'tracks': _Output(
        TrackArray, lambda a: tracks_message(a.result, a.header, a.scale, a.mask_runs,
                                             a.scene.placements),
        depth=10, lazy=False),
    'mask': _Output(SegmentationMask, lambda a: mask_message(a.result, a.header)),
    'mask_image': _Output(Image, partial(_picture, 'label_map')),
    'class_mask': _Output(Image, partial(_picture, 'class_map')),
    'confidence': _Output(Image, partial(_picture, 'confidence_map')),
    'mask/camera_info': _Output(CameraInfo, _mask_camera_info),
    'overlay': _Output(Image, lambda a: array_to_image(a.overlay, a.header)),
    'overlay/compressed': _Output(
        CompressedImage, lambda a: array_to_jpeg(a.overlay, a.header)),
    'markers': _Output(
        MarkerArray, lambda a: a.markers.message(a.result, a.header, a.scene), depth=10),
    'points': _Output(PointCloud2, _cloud),
}
if vision.INSTALLED:
    OUTPUTS['detections'] = _Output(
        vision.Detection2DArray, lambda a: vision.detections_message(a.result, a.header))

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """
    The publishers of one camera; they are silent while the node is not active.

    :param node: that publishes.
    :param prefix: of the topics, ``~/`` or ``~/<camera>/``.
    """

    def __init__(self, node: LifecycleNode, prefix: str) -> None:
        self._node = node
        self._publishers = {
            name: node.create_lifecycle_publisher(
                output.message_type, prefix + name, QoSProfile(depth=output.depth),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
            for name, output in OUTPUTS.items()}
        self._labels = node.create_lifecycle_publisher(
            vision.LabelInfo, f'{prefix}label_info', _LATCHED) if vision.INSTALLED else None
        self._announced: float | None = None

    def announce(self, class_names: Sequence[str], threshold: float, stamp: Time) -> None:
        """
        Tell which number stands for which class, unless that has been told; active nodes only.

        :param class_names: of the weights, in the order of their indices.
        :param threshold: score that a mask has at least.
        :param stamp: now.
        """
        if self._labels is not None and threshold != self._announced:
            self._announced = threshold
            self._labels.publish(vision.label_info_message(class_names, threshold, stamp))

    def publish(self, answer: Answer, wanted: Sequence[str] = ()) -> None:
        """
        Publish what somebody listens to, and the tracks always.

        :param answer: of a frame.
        :param wanted: names of the outputs that may be made beside the tracks; empty for all.
        """
        for name, publisher in self._publishers.items():
            output = OUTPUTS[name]
            if output.lazy and ((wanted and name not in wanted)
                                or not publisher.get_subscription_count()):
                continue
            if (message := output.make(answer)) is not None:
                publisher.publish(message)

    def clear(self, markers: Markers) -> None:
        """
        Take away what would stand in RViz for ever; active nodes only.

        :param markers: of the camera.
        """
        self._publishers['markers'].publish(markers.clear())

    def heard(self) -> list[str]:
        """
        List the outputs that somebody listens to, which are the ones that are made.

        :returns: their names.
        """
        return [name for name, publisher in self._publishers.items()
                if publisher.get_subscription_count()]

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (*self._publishers.values(), self._labels):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
        self._labels = None
