"""From a frame's masks to places in space: with its depth, its calibration and the transforms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import re
from typing import TYPE_CHECKING

from videomt_ros.perception import FrameResult
from videomt_ros.ros.depth import read_depth
from videomt_ros.ros.depth_pairing import DepthPairing
from videomt_ros.ros.lifting import Placement, View
from videomt_ros.ros.pinhole import CalibrationError, read_pinhole
from videomt_ros.ros.pixels import ImageError
from videomt_ros.ros.stamps import nanoseconds
from videomt_ros.ros.transforms import TransformBuffer, TransformError

if TYPE_CHECKING:  # the messages of a recording are read where there is no ROS
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

_RECENT = 30  # frames over which it is judged whether positions are missing
_CAUSES_LOGGED = 20


@dataclass(frozen=True, eq=False)
class Scene:
    """
    What is known in space of one frame.

    :param frame_id: of the placements.
    :param view: what the camera measured; None without depth or calibration.
    :param placements: where the seen objects are, by track id; those whose depth is unknown are
        missing.
    """

    frame_id: str
    view: View | None = None
    placements: Mapping[int, Placement] = field(default_factory=dict)


class _Missing(LookupError):
    """Say in one sentence which message a frame lacks."""


class Locator:
    """
    Places the objects of one camera; the worker's thread locates, any other reads :attr:`state`.

    Whatever is missing costs the positions of a frame and nothing else.

    :param camera: its name for the log.
    :param warn: takes a sentence for the log.
    :param target_frame: frame of the positions; empty for the camera's optical frame.
    :param transforms: of the node; None without a target frame.
    """

    def __init__(self, camera: str, warn: Callable[[str], object], target_frame: str,
                 transforms: TransformBuffer | None) -> None:
        self._camera = camera
        self._warn = warn
        self._target = target_frame.lstrip('/')  # as older releases have written frames
        self._transforms = transforms
        self._told: set[str] = set()
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self.depths = DepthPairing()
        self.state = 'no depth image has come'

    def complaint(self) -> str | None:
        """
        Say that positions are missing although depth comes.

        :returns: a sentence without a full stop; None while most frames have positions, or
            nobody sends depth.
        """
        recent = list(self._recent)
        if self.depths.latest() is None or 2 * sum(recent) > len(recent):
            return None
        return f'no positions: {self.state}' if recent else None

    def locate(self, result: FrameResult, header: Header, info: CameraInfo | None,
               depth_tolerance: float, transform_tolerance: float) -> Scene:
        """
        Place what is seen in a frame, from what has come until now; waits for nothing.

        :param result: of the frame.
        :param header: of its image, announced to ``depths`` before.
        :param info: calibration of the camera; None when none has come.
        :param depth_tolerance: seconds by which the stamp of the depth may differ.
        :param transform_tolerance: seconds for which a newest known transform still holds.
        :returns: the scene, empty where something is missing.
        """
        frame_id = self._target or header.frame_id
        if self.depths.latest() is None:
            return Scene(frame_id)
        view = None
        try:
            view = self._view(result, header, info, depth_tolerance)
            pose = None
            if self._transforms is not None and self._target != header.frame_id:
                pose = self._transforms.pose(header.frame_id, self._target,
                                             nanoseconds(header.stamp), transform_tolerance)
        except (_Missing, ImageError, CalibrationError, TransformError) as error:
            self._recent.append(False)
            self.state = str(error)
            self._tell(f'no positions: {error}')
            return Scene(frame_id, view)
        placements = {}
        for instance in result.instances:
            if instance.track_id and instance.area:
                surface = view.lift(instance.box_mask, instance.box)
                if surface is not None:
                    placements[instance.track_id] = surface.placed(pose)
        self._recent.append(True)
        self.state = f'positions in {frame_id}'
        return Scene(frame_id, view, placements)

    def _view(self, result: FrameResult, header: Header, info: CameraInfo | None,
              tolerance: float) -> View:
        """
        Put together what the camera measured.

        :param result: of the frame.
        :param header: of its image.
        :param info: calibration, or None.
        :param tolerance: seconds by which the stamp of the depth may differ.
        :returns: the view.
        :raises _Missing: a message has not come.
        :raises ImageError: the depth image cannot be used.
        :raises CalibrationError: the calibration cannot be used.
        """
        image = self.depths.take(nanoseconds(header.stamp), tolerance)
        if image is None:
            latest = self.depths.latest() or 0
            apart = (latest - nanoseconds(header.stamp)) / 1e9
            raise _Missing(
                f'no depth image has a stamp within depth_tolerance = {tolerance:g} s of the '
                f"image's; the latest one is {abs(apart):.3f} s "
                f'{"after" if apart > 0 else "before"} it')
        if info is None:
            raise _Missing('no camera_info has come')
        if image.header.frame_id != header.frame_id:
            self._tell(
                f"the depth is in frame '{image.header.frame_id}', the image in "
                f"'{header.frame_id}'; positions are right only where the depth is registered to "
                'the image')
        return View(read_depth(image), read_pinhole(info, result.height, result.width),
                    (result.height, result.width))

    def _tell(self, text: str) -> None:
        """
        Log a sentence, unless one that differs in its numbers alone has been logged.

        :param text: the sentence without a full stop.
        """
        cause = re.sub(r'\d+', '', text)
        if cause not in self._told and len(self._told) < _CAUSES_LOGGED:
            self._told.add(cause)
            self._warn(f'{self._camera}: {text}')
