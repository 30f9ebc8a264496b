"""
Video panoptic quality (VPQ), with the windows of the VIPSeg protocol.

A window of k successive frames is taken for one picture: a predicted segment finds an annotated
one of its class if they overlap by more than half of their union in the window. PQ of a class is
IoU / (TP + FP / 2 + FN / 2), summed over all windows of all videos; VPQ is the mean of that over
the classes, then over k. Predicted pixels on void ones of the annotation are not counted, and
neither is an unmatched segment that lies by more than half on void.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .panoptic import count_pairs, PanopticVideo

WINDOWS = (1, 2, 4, 6)


@dataclass(frozen=True)
class Vpq:
    """
    Scores of a data set, each 0..1; not a number where there was nothing to score.

    :param vpq: mean over the classes and windows.
    :param things: of the thing classes alone.
    :param stuff: of the others alone.
    :param per_window: mean over the classes for each window size in frames.
    :param per_class: mean over the windows of each class that occurs.
    """

    vpq: float
    things: float
    stuff: float
    per_window: Mapping[int, float]
    per_class: Mapping[int, float]


def count_windows(truth: PanopticVideo, found: PanopticVideo, num_classes: int) -> np.ndarray:
    """
    Match the segments of one video in all its windows.

    A video shorter than a window contributes nothing to it.

    :param truth: the annotation.
    :param found: the prediction, of the same shape.
    :param num_classes: K.
    :returns: (4, K, 4) float: for each window size and class the sum of the IoU of matched
        segments, and the numbers of true positives, false positives and false negatives. Those of
        several videos are to be added up.
    """
    pairs = count_pairs(truth, found)
    until = np.concatenate([np.zeros_like(pairs[:1]), pairs.cumsum(axis=0)])
    truth_classes = np.array([*truth.classes.values()], dtype=np.int64)
    found_classes = np.array([*found.classes.values()], dtype=np.int64)
    sums = np.zeros((len(WINDOWS), num_classes, 4))
    for row, k in enumerate(WINDOWS):
        for counts in until[k:] - until[:-k]:
            sums[row] += _match(counts, truth_classes, found_classes, num_classes)
    return sums


def video_panoptic_quality(sums: np.ndarray, things: Collection[int]) -> Vpq:
    """
    Make scores of the counts.

    :param sums: (4, K, 4) as :func:`count_windows` gives it, added up over the videos.
    :param things: indices of the thing classes.
    :returns: the scores.
    """
    share, hits, wrong, missed = np.moveaxis(sums, 2, 0)
    base = hits + (wrong + missed) / 2
    quality = np.where(base > 0, share / np.where(base > 0, base, 1), np.nan)  # (4, K)
    is_thing = np.isin(np.arange(sums.shape[1]), list(things))
    every, of_things, of_stuff = (
        _mean(_mean(row[part]) for row in quality)
        for part in (np.ones_like(is_thing), is_thing, ~is_thing))
    return Vpq(
        every, of_things, of_stuff,
        {k: _mean(row) for k, row in zip(WINDOWS, quality, strict=True)},
        {c: _mean(column) for c, column in enumerate(quality.T) if not np.isnan(column).all()})


def _match(
    counts: np.ndarray, truth_classes: np.ndarray, found_classes: np.ndarray, num_classes: int,
) -> np.ndarray:
    """Match the segments of one window, given (1 + G, 1 + D) shared pixels: (K, 4)."""
    truth_areas = counts[1:].sum(axis=1)
    found_areas = counts[:, 1:].sum(axis=0)
    common, on_void = counts[1:, 1:], counts[0, 1:]
    either = truth_areas[:, None] + found_areas[None] - common - on_void[None]
    share = common / np.maximum(either, 1)
    matched = (share > 0.5) & (truth_classes[:, None] == found_classes[None])
    rows, columns = np.nonzero(matched)
    missed = (truth_areas > 0) & ~matched.any(axis=1)
    wrong = (found_areas > 0) & ~matched.any(axis=0) & (2 * on_void <= found_areas)
    return np.stack([
        np.bincount(truth_classes[rows], share[rows, columns], num_classes),
        np.bincount(truth_classes[rows], minlength=num_classes),
        np.bincount(found_classes[wrong], minlength=num_classes),
        np.bincount(truth_classes[missed], minlength=num_classes)], axis=1)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float('nan')
