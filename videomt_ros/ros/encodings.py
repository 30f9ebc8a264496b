"""
The pixel encodings that cameras send: one row each, with the way to RGB.

The names are those of ``sensor_msgs/image_encodings.hpp``. The conversions are OpenCV's own, done
in the depth of the source; 16 bit pictures are then scaled by 255 / 65535, as ``cv_bridge`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Encoding:
    """
    How the bytes of an encoding lie in memory, and what makes RGB of them.

    :param channels: samples per pixel in a row of the picture.
    :param depth: bits per sample, 8 or 16.
    :param code: OpenCV's colour conversion to RGB; None where the samples are RGB already.
    :param even_width: two neighbouring pixels share their colour.
    :param planes: the picture is a plane of brightness over a half as high plane of colour.
    """

    channels: int
    depth: int = 8
    code: int | None = None
    even_width: bool = False
    planes: bool = False

    def rows(self, height: int) -> int:
        """
        Count the rows of samples in memory.

        :param height: rows of the picture.
        :returns: the same, or half as many again where the colour lies in a plane of its own.
        """
        return height + height // 2 if self.planes else height

    def to_rgb(self, samples: np.ndarray) -> np.ndarray:
        """
        Convert samples to an RGB picture.

        :param samples: (rows, W) or (rows, W, channels) uint8 or uint16 of native byte order;
            rows may be padded.
        :returns: (H, W, 3) uint8 RGB; the samples themselves where they are that already.
        """
        rgb = samples if self.code is None else cv2.cvtColor(samples, self.code)
        if self.depth == 16:
            rgb = cv2.convertScaleAbs(rgb, alpha=255 / 65535)
        return rgb


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's
# first two: RGGB here is BG there.
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}

_UYVY = Encoding(2, code=cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = Encoding(2, code=cv2.COLOR_YUV2RGB_YUYV, even_width=True)

ENCODINGS: dict[str, Encoding] = {
    'rgb8': Encoding(3),
    'bgr8': Encoding(3, code=cv2.COLOR_BGR2RGB),
    '8UC3': Encoding(3, code=cv2.COLOR_BGR2RGB),  # says no order of colours: OpenCV's is meant
    'rgba8': Encoding(4, code=cv2.COLOR_RGBA2RGB),
    'bgra8': Encoding(4, code=cv2.COLOR_BGRA2RGB),
    'mono8': Encoding(1, code=cv2.COLOR_GRAY2RGB),
    'mono16': Encoding(1, depth=16, code=cv2.COLOR_GRAY2RGB),
    **{f'bayer_{order}{depth}': Encoding(1, depth=depth, code=code)
       for order, code in _BAYER.items() for depth in (8, 16)},
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': Encoding(1, code=cv2.COLOR_YUV2RGB_NV12, even_width=True, planes=True),
    'nv21': Encoding(1, code=cv2.COLOR_YUV2RGB_NV21, even_width=True, planes=True),
}
