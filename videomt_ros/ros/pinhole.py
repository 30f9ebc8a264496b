"""The camera matrix for the images that a node really gets."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the messages of a recording are read where there is no ROS
    from sensor_msgs.msg import CameraInfo

_ASPECT_SLACK = 0.02


class CalibrationError(ValueError):
    """Say in one sentence why a camera_info cannot be used."""


@dataclass(frozen=True)
class Pinhole:
    """
    A camera without distortion; pixel (0, 0) has its centre at (0, 0).

    :param fx: focal length in columns.
    :param fy: focal length in rows.
    :param cx: column of the optical axis.
    :param cy: row of the optical axis.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def points(self, rows: np.ndarray, columns: np.ndarray, z: np.ndarray,
               chosen: np.ndarray) -> np.ndarray:
        """
        Give points that a grid of pixels shows.

        :param rows: (h,) rows of the image, fractions allowed.
        :param columns: (w,) columns of the image, fractions allowed.
        :param z: (h, w) float32 metres along the optical axis.
        :param chosen: (N,) which pixels of the grid, counted row by row.
        :returns: (N, 3) float32 x, y, z in the optical frame.
        """
        row, column = np.divmod(chosen, columns.size)
        points = np.empty((chosen.size, 3), np.float32)
        points[:, 2] = depth = z.reshape(-1)[chosen]
        points[:, 0] = ((columns - self.cx) / self.fx).astype(np.float32)[column] * depth
        points[:, 1] = ((rows - self.cy) / self.fy).astype(np.float32)[row] * depth
        return points


def read_pinhole(info: CameraInfo, height: int, width: int) -> Pinhole:
    """
    Give the camera matrix of images of a size.

    The matrix P is taken, which is that of rectified images and what depth is registered to; K
    where P is not filled. Distortion is not looked at.

    :param info: the calibration; its binning and region of interest are applied, and images that
        are a scaled version of what it speaks of are scaled.
    :param height: rows of the image.
    :param width: columns of the image.
    :returns: the matrix.
    :raises CalibrationError: no calibration inside, or one for images of another shape.
    """
    fx, fy, cx, cy = ((info.p[0], info.p[5], info.p[2], info.p[6]) if info.p[0]
                      else (info.k[0], info.k[4], info.k[2], info.k[5]))
    if not (fx > 0 and fy > 0 and all(map(math.isfinite, (fx, fy, cx, cy)))):
        raise CalibrationError(f'camera_info has the focal lengths {fx:g} and {fy:g}; expected a '
                               'calibrated camera')
    left, top = info.roi.x_offset, info.roi.y_offset
    whole = (info.roi.width or info.width, info.roi.height or info.height)
    if 0 in whole:
        return Pinhole(fx, fy, cx, cy)
    across, down = width / whole[0], height / whole[1]
    # Binning shrinks the image as any other scaling does, so the sizes tell of it.
    if abs(across / down - 1) > _ASPECT_SLACK:
        raise CalibrationError(f'camera_info is of {whole[0]}x{whole[1]} pixels, the image of '
                               f'{width}x{height}; expected the same view')
    return Pinhole(fx * across, fy * down, (cx - left + 0.5) * across - 0.5,
                   (cy - top + 0.5) * down - 0.5)
