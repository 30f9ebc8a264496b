"""
Depth images: metres out of the encodings of REP 118, whatever their size and byte order.

Pixels are turned into metres where they are asked for, since a frame asks for few of them.
``compressedDepth`` is not read: its 12 bytes of header and its inverse depth are a codec of their
own, which ``image_transport republish`` undoes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from videomt_ros.ros.pixels import ImageError, rows_of

if TYPE_CHECKING:  # the messages of a recording are read where there is no ROS
    from sensor_msgs.msg import Image

_FARTHEST = 1e5  # metres; numbers beyond it are none that a camera measures
# Encoding -> (type of a sample without its byte order, metres of a unit).
_ENCODINGS = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}


@dataclass(frozen=True, eq=False)
class Depth:
    """
    One depth image, which shows the same view as the colour image in a resolution of its own.

    :param samples: (H, W) as the camera has sent them, in any byte order.
    :param unit: metres of a unit.
    """

    samples: np.ndarray
    unit: float

    def metres(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """
        Read a grid of pixels.

        :param rows: (h,) integers; those outside the image read as nothing.
        :param columns: (w,) integers; likewise.
        :returns: (h, w) float32 metres along the optical axis; 0 where nothing was measured,
            which 0, negative numbers, NaN, infinities and absurd numbers all say.
        """
        height, width = self.samples.shape
        # All rows at once, then all columns, is much faster than both in one go.
        found = self.samples[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
        metres = found.astype(np.float32) * np.float32(self.unit)
        with np.errstate(invalid='ignore'):
            metres[~((metres > 0) & (metres < _FARTHEST))] = 0
        metres[(rows < 0) | (rows >= height)] = 0
        metres[:, (columns < 0) | (columns >= width)] = 0
        return metres


def read_depth(image: Image) -> Depth:
    """
    Take a depth image.

    :param image: ``16UC1`` (or its old name ``mono16``) in millimetres, or ``32FC1`` in metres.
    :returns: a view of the message's data.
    :raises ImageError: another encoding, zero size, or sizes and data that do not agree.
    """
    what = f"depth image of encoding '{image.encoding}' and size {image.width}x{image.height}"
    if image.encoding not in _ENCODINGS:
        raise ImageError(f'depth encoding {image.encoding}',
                         f'{what} is not supported; expected one of {", ".join(_ENCODINGS)}')
    if image.height == 0 or image.width == 0:
        raise ImageError('zero size of depth', f'{what} has no pixels; expected at least 1x1')
    kind, unit = _ENCODINGS[image.encoding]
    dtype = np.dtype(('>' if image.is_bigendian else '<') + kind)
    return Depth(rows_of(what, f'depth {image.encoding}', image.height, image.width, 1, dtype,
                         image.step, image.data), unit)
