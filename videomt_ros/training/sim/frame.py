"""What the simulated camera hands out, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import Array

HELD_OUT_SEED = 1_000_000
"""
First seed of the scenes that are kept for evaluation.

Training takes seeds below it only; evaluation, the demo recording and whoever wants scenes that
the embedded checkpoint never saw take this seed and those above it.
"""


@dataclass(frozen=True)
class SimConfig:
    """
    What the camera and the world look like in every scene.

    :param width: picture width in pixels.
    :param height: picture height in pixels.
    :param rate: frames a second of simulated time; 120 must be a multiple of it.
    :param objects: fewest and most objects in a scene.
    :param min_visible: an object counts as present in a frame from this share of the picture's
        pixels on; below it, the data set holds no mask of it for that frame.
    :param sensor: whether the pictures get the sensor's blur, noise and colour cast.
    :raises ValueError: when a number is out of its range.
    """

    width: int = 320
    height: int = 240
    rate: int = 10
    objects: tuple[int, int] = (3, 8)
    min_visible: float = 0.0015
    sensor: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.width < 16 or self.height < 16:
            raise ValueError(f'picture size is {self.width}x{self.height}, '
                             'expected at least 16x16')
        if self.rate < 1 or 120 % self.rate:
            raise ValueError(f'rate is {self.rate}, expected a divisor of 120')
        if not 1 <= self.objects[0] <= self.objects[1] <= 60:
            raise ValueError(f'objects is {self.objects}, expected (fewest, most) within 1..60')
        if not 0.0 <= self.min_visible < 1.0:
            raise ValueError(f'min_visible is {self.min_visible}, expected a share of the '
                             'picture in 0..1')


@dataclass(frozen=True)
class ObjectView:
    """
    One object in one frame, seen or not.

    :param instance_id: its number in the scene, from 1; the value of its pixels in `ids`.
    :param class_id: index into CLASS_NAMES.
    :param class_name: its class.
    :param pose: (4,4) pose in the world, origin at the centre of its bounding box.
    :param size: (3,) sides of its bounding box in metres, along its own axes.
    :param pixels: number of pixels that show it.
    :param visible: share of its outline that is seen, 0..1, neither covered nor outside the
        picture; estimated from points on its surface.
    :param present: whether it counts as visible, see SimConfig.min_visible.
    """

    instance_id: int
    class_id: int
    class_name: str
    pose: Array
    size: Array
    pixels: int
    visible: float
    present: bool


@dataclass(frozen=True)
class SimFrame:
    """
    One frame of the simulated camera with everything that is known about it.

    :param index: its number in the scene, from 0.
    :param stamp: seconds since the scene's first frame.
    :param rgb: (H,W,3) uint8 picture, RGB.
    :param ids: (H,W) uint8 instance numbers, 0 where no object is.
    :param depth: (H,W) float32 metres along the optical axis, 0 where nothing is.
    :param camera_matrix: (3,3) camera matrix, pixel centres at whole numbers; no distortion.
    :param base_pose: (4,4) pose of the robot's base in the world (x forward, z up, on the floor).
    :param camera_pose: (4,4) pose of the optical frame in the world (x right, y down, z forward).
    :param objects: every object of the scene, in the order of their numbers.
    """

    index: int
    stamp: float
    rgb: NDArray[np.uint8]
    ids: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera_matrix: Array
    base_pose: Array
    camera_pose: Array
    objects: tuple[ObjectView, ...]
