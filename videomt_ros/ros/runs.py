"""
Run lengths of a mask: small, lossless, and true where masks overlap.

Row by row from the left upper pixel, alternating, the first run counting background (it may be
0): the order of ``videomt_ros/Track.mask_counts``. COCO's run lengths go column by column.
"""

from __future__ import annotations

import numpy as np


def encode_runs(mask: np.ndarray) -> np.ndarray:
    """
    Count the runs of equal pixels.

    :param mask: (h, w) bool.
    :returns: (N,) uint32, their sum is h * w; empty for an empty mask array.
    """
    pixels = np.ascontiguousarray(mask, dtype=bool).reshape(-1)
    if pixels.size == 0:
        return np.zeros(0, np.uint32)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate(([0], changes, [pixels.size]))
    if pixels[0]:
        starts = np.concatenate(([0], starts))
    return np.diff(starts).astype(np.uint32)


def decode_runs(counts: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Rebuild a mask.

    :param counts: (N,) integers as from :func:`encode_runs`.
    :param height: rows of the mask.
    :param width: columns of the mask.
    :returns: (height, width) bool.
    :raises ValueError: the runs do not add up to height * width.
    """
    counts = np.asarray(counts, dtype=np.int64)
    if counts.sum() != height * width:
        raise ValueError(f'mask runs add up to {counts.sum()} pixels; expected {height}x{width} = '
                         f'{height * width}')
    values = np.arange(counts.size) % 2 == 1
    return np.repeat(values, counts).reshape(height, width)
