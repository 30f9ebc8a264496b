"""Paint the masks of a frame into pictures that have one value a pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
) -> Maps:
    """
    Give every pixel to the instance with the highest score times probability of the pixel.

    This is the paper's rule for panoptic maps (argmax of score times mask probability). Of equally
    confident instances (in steps of 1/255) the first wins.

    :param instances: masks to paint; those without area are passed over.
    :param size: (H, W) of the frame.
    :param label_dtype: dtype of the label map.
    :returns: the three maps.
    """
    labels = np.zeros(size, dtype=label_dtype)
    classes = np.full(size, UNLABELLED, dtype=np.uint8)
    confidence = np.zeros(size, dtype=np.uint8)
    for instance in instances:
        if not instance.area:
            continue
        x, y, width, height = instance.box
        region = np.s_[y:y + height, x:x + width]
        table = np.rint(np.arange(256) * min(instance.score, 1.0)).astype(np.uint8)
        table[1:] = np.maximum(table[1:], 1)  # however doubtful, the mask beats the background
        strength = table[instance.probabilities]
        wins = strength > confidence[region]
        np.copyto(confidence[region], strength, where=wins)
        np.copyto(labels[region], label_dtype(instance.mask_value), where=wins)
        np.copyto(classes[region], np.uint8(instance.class_id), where=wins)
    return Maps(labels, classes, confidence)
