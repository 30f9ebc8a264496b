"""
Segmentation and tracking quality (STQ), of "STEP: Segmenting and Tracking Every Pixel" (2021).

STQ is the geometric mean of AQ and SQ. SQ is the mean IoU of the classes, whatever the segments.
AQ asks of each annotated thing how well whole predicted tubes cover it, whatever their class: the
mean over the things g of the sum over the tubes p of |g and p| * IoU(g, p) / |g|, where tubes are
made of pixels that were predicted as some thing class.

Two choices where the published scripts are odd: pixels that were predicted as no class count
against the class that is annotated there, and not as one more class of IoU 0; and all pixels of a
tube count, also those on void.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from .miou import mean_iou
from .panoptic import count_pairs, PanopticVideo


@dataclass(frozen=True)
class Stq:
    """
    Scores of a data set, each 0..1; not a number without annotated things.

    :param stq: geometric mean of the next two.
    :param aq: association quality.
    :param sq: segmentation quality, mean IoU of the classes.
    """

    stq: float
    aq: float
    sq: float


def associations(
    truth: PanopticVideo, found: PanopticVideo, things: Collection[int],
) -> np.ndarray:
    """
    Tell how well each thing of one video is followed.

    :param truth: the annotation.
    :param found: the prediction, of the same shape.
    :param things: indices of the thing classes.
    :returns: (g,) AQ 0..1 of each annotated thing that is to be seen.
    """
    pairs = count_pairs(truth, found).sum(axis=0)
    thing_rows, thing_columns = (
        np.array([False, *(c in things for c in video.classes.values())])
        for video in (truth, found))
    common = pairs[thing_rows][:, thing_columns]
    truth_areas = pairs[thing_rows].sum(axis=1)
    found_areas = pairs[:, thing_columns].sum(axis=0)
    either = truth_areas[:, None] + found_areas[None] - common
    shares = (common * (common / np.maximum(either, 1))).sum(axis=1)
    seen = truth_areas > 0
    found_shares: np.ndarray = shares[seen] / truth_areas[seen]
    return found_shares


def segmentation_and_tracking_quality(
    videos: Iterable[np.ndarray], counts: np.ndarray,
) -> Stq:
    """
    Put the videos together.

    :param videos: results of :func:`associations`.
    :param counts: (K, K + 1) as :func:`videomt_ros.training.metrics.miou.confusion` gives it,
        added up over the videos.
    :returns: the scores.
    """
    every = np.concatenate([np.zeros(0), *videos])
    aq = float(every.mean()) if len(every) else float('nan')
    sq = mean_iou(counts).miou
    return Stq(float(np.sqrt(aq * sq)), aq, sq)
