"""
Bring masks from the network's resolution to source pixels, at the cost of what is visible.

A bilinear resize is a small matrix on each axis, and the paper's two resizes with the padding cut
off between them are the product of two such matrices. So the part of a mask that can be positive
at all is computed alone, and is the same as in the resized whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from .resize import bilinear, FrameGeometry

# Rows of a tile and, for masks of the size of the frame, its columns. The matrix of an axis is
# a band, and a tile leaves most of its zeros out. Above all, OpenBLAS does products under 2 ** 18
# multiplications in the calling thread: its pool waits for the slowest of its threads, and on a
# busy machine that made 15 ms of 0.2.
_TILE_ROWS = 64
_TILE_COLUMNS = 56
# Parts of a mask between which there is more than this many of its pixels are made by themselves.
_GAP = 6


@dataclass(frozen=True, eq=False)
class MaskPatch:
    """
    The mask of one object in source pixels, inside its tight box.

    :param box: (x, y, width, height); width and height are 0 when no pixel is positive.
    :param area: pixels of the mask.
    :param mean_probability: sum of the probabilities over the mask's pixels / (area + 1e-6), the
        mask's part of a score in Hugging Face's ``post_process_instance_segmentation``.
    :param probabilities: (height, width) uint8: 0 outside the mask, 128..255 for 0.5..1 inside.
    """

    box: tuple[int, int, int, int]
    area: int
    mean_probability: float
    probabilities: np.ndarray


EMPTY_PATCH = MaskPatch((0, 0, 0, 0), 0, 0.0, np.zeros((0, 0), dtype=np.uint8))


class _Axis:
    """The resize along one axis as a matrix (pixels of the result, pixels of the mask)."""

    def __init__(self, geometry: FrameGeometry, axis: int, size: int) -> None:
        source = geometry.source[axis]
        if geometry.one_step:
            matrix = bilinear_matrix(size, source)
        else:
            resized = geometry.resized[axis]
            matrix = bilinear_matrix(size, geometry.padded[axis])[:resized]
            matrix = bilinear_matrix(resized, source) @ matrix
        self.matrix = matrix.numpy()
        used = self.matrix != 0
        # The pixels of the mask that each pixel of the result is made of: first..last.
        self._first = used.argmax(axis=1)
        self._last = size - 1 - used[:, ::-1].argmax(axis=1)

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """Give the range of the result that is made of mask pixels start..stop-1."""
        return (int(np.searchsorted(self._last, start)),
                int(np.searchsorted(self._first, stop)))

    def needs(self, part: slice) -> slice:
        """Give the part of the mask that a part of the result is made of."""
        return slice(int(self._first[part.start]), int(self._last[part.stop - 1]) + 1)


def bilinear_matrix(size: int, new_size: int) -> torch.Tensor:
    """
    Write a bilinear resize along one axis as a matrix.

    :param size: values before.
    :param new_size: values after.
    :returns: (new_size, size) float32, two neighbours at most in a row; their sum is 1.
    """
    unit = torch.eye(size)[None, :, :, None]  # channel i is 1 at pixel i
    return bilinear(unit, (new_size, 1))[0, :, :, 0].T.contiguous()


def _extent(used: np.ndarray) -> tuple[int, int]:
    """Give the first true place of a row of bool, one of which is true, and one past the last."""
    return int(used.argmax()), len(used) - int(used[::-1].argmax())


def _runs(used: np.ndarray) -> list[tuple[int, int]]:
    """Give first place and one past the last of the runs of true that lie far from each other."""
    places = np.flatnonzero(used)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > _GAP)
    starts, stops = places[[0, *(breaks + 1)]], places[[*breaks, -1]] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


class MaskUpsampler:
    """
    Make patches in source pixels of masks at the network's resolution.

    :param geometry: the sizes of the frame.
    :param mask_size: (h, w) of the masks, which cover the padded input.
    """

    def __init__(self, geometry: FrameGeometry, mask_size: tuple[int, int]) -> None:
        self._rows = _Axis(geometry, 0, mask_size[0])
        self._columns = _Axis(geometry, 1, mask_size[1])
        density = mask_size[1] / geometry.source[1]
        self._tile_columns = max(1, int(_TILE_COLUMNS / density ** 0.5))

    def patches(self, logits: np.ndarray) -> list[MaskPatch]:
        """
        Make the patches of some masks.

        :param logits: (n, h, w) float32; a mask is where its logit is > 0.
        :returns: n patches.
        """
        return [self._patch(mask) for mask in logits]

    def _patch(self, mask: np.ndarray) -> MaskPatch:
        positive = mask > 0
        rows, columns = np.asarray(positive.any(axis=1)), np.asarray(positive.any(axis=0))
        if not rows.any():
            return EMPTY_PATCH
        # A bilinear value is > 0 only where a pixel of the mask > 0 takes part in it.
        y, y_stop = self._rows.reach(*_extent(rows))
        x, x_stop = self._columns.reach(*_extent(columns))
        result = np.zeros((max(y_stop - y, 0), max(x_stop - x, 0)), dtype=np.uint8)
        area, total = 0, 0.0
        # A strip at a time, because pages of fresh memory cost more than the sums on them; and of
        # it what can be positive, because a speck far away makes a large box of a small mask.
        for top in range(0, len(result), _TILE_ROWS):
            part = slice(y + top, y + min(top + _TILE_ROWS, len(result)))
            done = x
            for run in _runs(np.asarray(positive[self._rows.needs(part)].any(axis=0))):
                left, right = self._columns.reach(*run)
                left = max(left, done)
                done = max(left, right)
                chances, inside = self._strip(mask, part, slice(left, done))
                area += int(np.count_nonzero(inside))
                total += float(chances.sum())
                result[top:top + len(chances), left - x:done - x] = np.rint(255 * chances)
        if not area:  # positive in the padding only, or between the pixels of a small frame
            return EMPTY_PATCH
        left, top, width, height = cv2.boundingRect(result)
        return MaskPatch(
            (x + left, y + top, width, height), area, total / (area + 1e-6),
            result[top:top + height, left:left + width])

    def _strip(self, mask: np.ndarray, rows: slice, columns: slice,
               ) -> tuple[np.ndarray, np.ndarray]:
        """Give probabilities (0 outside the mask) and the mask, of a part of the source frame."""
        needed_rows = self._rows.needs(rows)
        x = columns.start
        logits = np.empty((rows.stop - rows.start, columns.stop - x), dtype=np.float32)
        for left in range(x, columns.stop, self._tile_columns):
            tile = slice(left, min(left + self._tile_columns, columns.stop))
            needed = self._columns.needs(tile)
            stretched = self._rows.matrix[rows, needed_rows] @ mask[needed_rows, needed]
            np.matmul(stretched, self._columns.matrix[tile, needed].T,
                      out=logits[:, tile.start - x:tile.stop - x])
        inside = logits > 0
        return torch.from_numpy(logits).sigmoid_().numpy() * inside, inside
