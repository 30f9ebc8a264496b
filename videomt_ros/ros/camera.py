"""Everything that the node holds of one camera, apart from its images."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from videomt_ros.ros.markers import Markers
from videomt_ros.ros.outputs import Outputs
from videomt_ros.ros.scene import Locator
from videomt_ros.ros.stamps import nanoseconds, StampScale
from videomt_ros.ros.statistics import Statistics
from videomt_ros.ros.transforms import TransformBuffer

RawImage = Image | CompressedImage


class Camera:
    """
    One camera: its topics, statistics, calibration and time scale.

    :param node: that publishes for it.
    :param name: empty for the only camera of a node.
    :param target_frame: frame of positions; empty for the camera's optical frame.
    :param transforms: of the node; None without a target frame.
    """

    def __init__(self, node: LifecycleNode, name: str, target_frame: str = '',
                 transforms: TransformBuffer | None = None) -> None:
        self.name = name
        self.image_topic = f'{name}/image' if name else 'image'
        self.info_topic = f'{name}/camera_info' if name else 'camera_info'
        self.depth_topic = f'{name}/depth' if name else 'depth'
        self.camera_info: CameraInfo | None = None  # the newest
        self.outputs = Outputs(node, f'~/{name}/' if name else '~/')
        self.statistics = Statistics()
        self.markers = Markers()
        self.locator = Locator(str(self), node.get_logger().warning, target_frame, transforms)
        self._scale: StampScale | None = None

    def __str__(self) -> str:
        """Name the camera for the log."""
        return f'camera {self.name}' if self.name else 'the camera'

    def calibrate(self, info: CameraInfo) -> None:
        """
        Keep the newest calibration.

        :param info: the message, not to be changed afterwards.
        """
        self.camera_info = info

    def scale(self, header: Header) -> StampScale:
        """
        Give the camera's time scale.

        :param header: of an image; the first one with a stamp starts the scale.
        :returns: the same for all images with a stamp.
        """
        if self._scale is None:
            scale = StampScale(header.stamp)
            if not nanoseconds(header.stamp):
                return scale
            self._scale = scale
        return self._scale
