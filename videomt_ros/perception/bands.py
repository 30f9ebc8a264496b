"""
Bring whole masks to source pixels as probabilities, a band of rows at a time.

The paper's order for panoptic and semantic maps: a bilinear resize of the logits to the padded
input, the padding cut off, the sigmoid, and a bilinear resize to the source frame. Bands keep the
memory at a few rows of every mask. Everything is multiplied, added and rounded in the order of
torch's CPU kernel, so that a pixel near a threshold falls on the side on which it falls in the
resized whole.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .resize import bilinear, FrameGeometry
from .upsample import bilinear_matrix

# Values of a band: on the CPU few enough for its caches, elsewhere enough to be worth a launch.
_VALUES_AT_ONCE = {'cpu': 1 << 20}
_VALUES_AT_ONCE_ELSEWHERE = 1 << 24


class _Rows:
    """
    A bilinear resize along the rows, of which any part can be made alone.

    :param size: rows before.
    :param new_size: rows after.
    :param device: of the masks.
    """

    def __init__(self, size: int, new_size: int, device: torch.device) -> None:
        matrix = bilinear_matrix(size, new_size)
        upper = (matrix != 0).to(torch.uint8).argmax(dim=1)  # the first row that counts
        own = matrix.gather(1, upper[:, None])
        lower = (upper + 1).clamp(max=size - 1)
        other = matrix.gather(1, lower[:, None])
        alone = (lower == upper) | (other[:, 0] == 0)
        lower, other = torch.where(alone, upper, lower), other.masked_fill(alone[:, None], 0)
        self._reach = upper.tolist(), lower.tolist()
        self._upper, self._lower = upper.to(device), lower.to(device)
        self._own, self._other = own.to(device), other.to(device)

    def needs(self, part: slice) -> slice:
        """Give the rows before the resize that a part of those after it is made of."""
        upper, lower = self._reach
        return slice(upper[part.start], lower[part.stop - 1] + 1)

    def make(self, x: Tensor, part: slice) -> Tensor:
        """
        Resize.

        :param x: (n, r, W) the rows that the part needs.
        :param part: rows after the resize.
        :returns: (n, rows of the part, W).
        """
        offset = self.needs(part).start
        # The lower row first: that is what torch rounds before it adds the upper one.
        mixed = x.index_select(1, self._lower[part] - offset).mul_(self._other[part])
        return mixed.addcmul_(x.index_select(1, self._upper[part] - offset), self._own[part])


class SourceBands:
    """
    Cut a source frame into bands of rows, and make the masks in them.

    :param geometry: sizes of the frame.
    :param mask_size: (h, w) of the masks, which cover the padded input.
    :param device: of the masks.
    """

    def __init__(
        self, geometry: FrameGeometry, mask_size: tuple[int, int], device: torch.device,
    ) -> None:
        self._geometry = geometry
        self._budget = _VALUES_AT_ONCE.get(device.type, _VALUES_AT_ONCE_ELSEWHERE)
        self._to_padded = _Rows(mask_size[0], geometry.padded[0], device)
        self._to_source = _Rows(geometry.resized[0], geometry.source[0], device)

    def split(self, count: int) -> list[slice]:
        """
        Cut the frame.

        :param count: number of masks that will be made in each band.
        :returns: rows of the source frame, from top to bottom.
        """
        height, width = self._geometry.source
        widest = max(width, self._geometry.padded[1])
        rows = max(1, self._budget // (max(1, count) * widest))
        return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

    def support(self, rows: slice) -> slice:
        """
        Tell which rows of a mask a band is made of.

        :param rows: of the source frame.
        :returns: rows at the network's resolution.
        """
        return self._to_padded.needs(self._to_source.needs(rows))

    def probabilities(self, logits: Tensor, rows: slice) -> Tensor:
        """
        Make some rows of some masks.

        :param logits: (n, h, w) float32.
        :param rows: of the source frame.
        :returns: (n, rows, W) float32, 0..1.
        """
        geometry = self._geometry
        height, width = geometry.resized
        if rows == slice(0, geometry.source[0]):
            x = bilinear(logits[:, None], geometry.padded)[..., :height, :width].sigmoid()
            return bilinear(x, geometry.source)[:, 0]
        middle = self._to_source.needs(rows)
        part = logits[:, None, self._to_padded.needs(middle)]
        x = bilinear(part, (part.shape[2], geometry.padded[1]))[:, 0]
        x = self._to_padded.make(x, middle)[..., :width].sigmoid()
        if geometry.resized != geometry.source:
            x = bilinear(x[:, None], (x.shape[1], geometry.source[1]))[:, 0]
            x = self._to_source.make(x, rows)
        return x


# Of a camera of one size; building one takes milliseconds.
source_bands = lru_cache(maxsize=64)(SourceBands)
