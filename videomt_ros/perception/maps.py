"""Paint the masks of a frame into pictures that have one value a pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from .result import Instance

UNLABELLED = 255


@dataclass(frozen=True, eq=False)
class Maps:
    """
    Three pictures of one frame.

    :param labels: (H, W) mask values, 0 for nothing.
    :param classes: (H, W) uint8 class indices, 255 for nothing.
    :param confidence: (H, W) uint8, 0 for nothing.
    """

    labels: np.ndarray
    classes: np.ndarray
    confidence: np.ndarray


def paint(
    instances: Iterable[Instance], size: tuple[int, int], label_dtype: type[np.unsignedinteger],
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give every pixel to the instance with the highest score times probability of the pixel.

    This is the paper's rule for panoptic maps (argmax of score times mask probability). Of equally
    confident instances (in steps of 1/255) the first wins.

    :param instances: masks to paint; those without area are passed over.
    :param size: (H, W) of the frame.
    :param label_dtype: dtype of the label map.
    :returns: label map and confidence, as of :class:`Maps`.
    """
    labels = np.zeros(size, dtype=label_dtype)
    confidence = np.zeros(size, dtype=np.uint8)
    for instance in instances:
        if not instance.area:
            continue
        x, y, width, height = instance.box
        region = np.s_[y:y + height, x:x + width]
        table = np.rint(np.arange(256) * min(instance.score, 1.0)).astype(np.uint8)
        table[1:] = np.maximum(table[1:], 1)  # however doubtful, the mask beats the background
        strength = cv2.LUT(np.ascontiguousarray(instance.probabilities), table)
        wins = (strength > confidence[region]).view(np.uint8)
        # OpenCV writes where a mask says so three times as fast as NumPy.
        cv2.copyTo(np.full_like(strength, instance.mask_value, dtype=label_dtype), wins,
                   labels[region])
        np.maximum(confidence[region], strength, out=confidence[region])
    return labels, confidence


def classes_of(labels: np.ndarray, instances: Iterable[Instance]) -> np.ndarray:
    """
    Read the class of each pixel from the label map.

    :param labels: (H, W), of :func:`paint`.
    :param instances: that it was painted from.
    :returns: (H, W) uint8 class indices, 255 for nothing.
    """
    table = np.full(int(np.iinfo(labels.dtype).max) + 1, UNLABELLED, dtype=np.uint8)
    for instance in instances:
        if instance.area:
            table[instance.mask_value] = instance.class_id
    return table.take(labels)
