"""Cut what belongs together out of a picture of a whole frame."""

from __future__ import annotations

import cv2
import numpy as np

from .upsample import EMPTY_PATCH, MaskPatch


def cut_out(mask: np.ndarray, chances: np.ndarray) -> MaskPatch:
    """
    Cut a mask out of a frame.

    :param mask: (H, W) bool.
    :param chances: (H, W) uint8, 255 times the probability of each pixel.
    :returns: its patch, in which no pixel of the mask is less than 1 of 255.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return EMPTY_PATCH
    region = np.s_[y:y + height, x:x + width]
    inside = mask[region]
    probabilities = np.maximum(chances[region], 1) * inside
    area = int(np.count_nonzero(inside))
    total = int(probabilities.sum(dtype=np.int64))
    return MaskPatch((x, y, width, height), area, total / (255 * area), probabilities)
