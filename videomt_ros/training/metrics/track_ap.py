"""
Average precision and recall of tracks, as the YouTube-VIS benchmark defines them.

COCO's definition with the overlap of two whole tracks, in space and time, in place of that of two
masks: of each class the predictions of all videos are put in the order of their scores; each takes
the best annotated track of its video that no better prediction has taken, if they overlap enough.
Precision, made monotonous, is averaged over 101 levels of recall and the thresholds .50:.05:.95.
Objects of all sizes count alike.

A prediction that finds no object and lies in a crowd of its class is neither right nor wrong. It
does, as in COCO, when its share in the crowd, intersection over its own area, reaches the
threshold. The benchmark's script takes intersection over union there, too, which for one object
out of a crowd hardly ever does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .overlap import Overlaps

THRESHOLDS = np.arange(50, 100, 5) / 100
_RECALLS = np.linspace(0, 1, 101)
_MOST = 100  # predictions of a class and video that count


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """
    What became of the predictions of one class in one video.

    :param scores: (d,) best first.
    :param hits: (10, d) whether each found an object, by threshold.
    :param ignored: (10, d) whether each found none and lies in a crowd.
    :param objects: number of annotated tracks.
    """

    scores: np.ndarray
    hits: np.ndarray
    ignored: np.ndarray
    objects: int


@dataclass(frozen=True)
class ApScores:
    """
    Average precision and recall, each 0..1; not a number where no object was annotated.

    :param ap: mean over the thresholds .50:.05:.95.
    :param ap50: at the threshold .50.
    :param ap75: at the threshold .75.
    :param ar1: recall with one prediction a class and video, mean over the thresholds.
    :param ar10: recall with ten.
    """

    ap: float
    ap50: float
    ap75: float
    ar1: float
    ar10: float


@dataclass(frozen=True)
class TrackAp:
    """
    Scores of a data set.

    :param mean: over the classes that have annotated objects.
    :param per_class: of each of these.
    """

    mean: ApScores
    per_class: Mapping[int, ApScores]


def match_tracks(overlaps: Overlaps, crowds: Overlaps | None = None) -> dict[int, ClassMatches]:
    """
    Match the predictions of one video.

    :param overlaps: of all its tracks.
    :param crowds: of its crowds, in place of the objects, and the same predicted tracks; None
        where there are none.
    :returns: for each class that is annotated or predicted what became of the predictions.
    """
    matches = {}
    for class_id in overlaps.classes:
        these = overlaps.of_class(class_id)
        order = np.argsort(-these.found_scores, kind='stable')[:_MOST]
        share = these.track_iou()[:, order]
        hits = np.stack([_greedy(share, at) for at in THRESHOLDS])
        ignored = np.zeros_like(hits)
        if crowds is not None:
            covered = crowds.of_class(class_id).covered()[:, order].max(axis=0, initial=0)
            ignored = ~hits & (covered >= THRESHOLDS[:, None])
        matches[class_id] = ClassMatches(these.found_scores[order], hits, ignored, len(share))
    return matches


def average_precision(videos: Iterable[Mapping[int, ClassMatches]]) -> TrackAp:
    """
    Put the matches of all videos together.

    :param videos: results of :func:`match_tracks`.
    :returns: the scores.
    """
    by_class: dict[int, list[ClassMatches]] = {}
    for video in videos:
        for class_id, matches in video.items():
            by_class.setdefault(class_id, []).append(matches)
    per_class = {
        class_id: _class_scores(parts) for class_id, parts in sorted(by_class.items())
        if any(part.objects for part in parts)}
    table = np.array([[s.ap, s.ap50, s.ap75, s.ar1, s.ar10] for s in per_class.values()])
    mean = table.mean(axis=0).tolist() if len(table) else [float('nan')] * 5
    return TrackAp(ApScores(*mean), per_class)


def _greedy(share: np.ndarray, threshold: float) -> np.ndarray:
    """Match (G, d) overlaps, best prediction first: (d,) whether each found an object."""
    free = np.ones(len(share), dtype=bool)
    hits = np.zeros(share.shape[1], dtype=bool)
    for d in range(share.shape[1]):
        # Of equally good objects the last is taken, as the benchmark's loop does.
        open_share = np.where(free, share[:, d], -1)[::-1]
        best = len(share) - 1 - int(open_share.argmax()) if len(share) else -1
        if best >= 0 and free[best] and share[best, d] >= threshold:
            hits[d] = True
            free[best] = False
    return hits


def _class_scores(parts: list[ClassMatches]) -> ApScores:
    objects = sum(part.objects for part in parts)
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind='stable')
    hits = np.concatenate([part.hits for part in parts], axis=1)[:, order]
    counted = ~np.concatenate([part.ignored for part in parts], axis=1)[:, order]
    precision = np.array([
        _precision(row[these], objects) for row, these in zip(hits, counted, strict=True)])
    recall = [sum(part.hits[:, :most].sum() for part in parts) / (objects * len(THRESHOLDS))
              for most in (1, 10)]
    return ApScores(
        float(precision.mean()), float(precision[0]), float(precision[5]), *map(float, recall))


def _precision(hits: np.ndarray, objects: int) -> float:
    """Average the precision of (d,) hits, best first, over the levels of recall."""
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(found / objects, _RECALLS, side='left')
    return float(np.append(precision, 0.0)[places].mean())
