"""Mean intersection over union of classes (mIoU), pixel by pixel over a whole data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MeanIou:
    """
    Scores of a data set.

    :param miou: 0..1, mean over the classes that are annotated or predicted; not a number without
        any.
    :param per_class: of each of these.
    """

    miou: float
    per_class: Mapping[int, float]


def confusion(truth: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """
    Count the pixels of each annotated class by predicted class.

    :param truth: (...) int class indices; what is not in 0..K-1 is void, and is not counted.
    :param found: (...) int class indices of the same shape; what is not in 0..K-1 is no class.
    :param num_classes: K.
    :returns: (K, K + 1) int64, annotated by predicted, no class last. Those of several videos are
        to be added up.
    :raises ValueError: when the shapes differ.
    """
    if truth.shape != found.shape:
        raise ValueError(
            f'the predicted map has the shape {found.shape}; expected {truth.shape}, that of the '
            f'annotated one')
    annotated = (truth >= 0) & (truth < num_classes)
    rows, columns = truth[annotated].astype(np.int64), found[annotated].astype(np.int64)
    columns = np.where((columns >= 0) & (columns < num_classes), columns, num_classes)
    pairs = rows * (num_classes + 1) + columns
    return np.bincount(pairs, minlength=num_classes * (num_classes + 1)).reshape(
        num_classes, num_classes + 1)


def mean_iou(counts: np.ndarray) -> MeanIou:
    """
    Make scores of the counts.

    :param counts: (K, K + 1) as :func:`confusion` gives it.
    :returns: the scores.
    """
    right = np.diagonal(counts)
    either = counts.sum(axis=1) + counts[:, :-1].sum(axis=0) - right
    per_class = {
        class_id: float(right[class_id] / either[class_id])
        for class_id in np.flatnonzero(either).tolist()}
    mean = sum(per_class.values()) / len(per_class) if per_class else float('nan')
    return MeanIou(mean, per_class)
