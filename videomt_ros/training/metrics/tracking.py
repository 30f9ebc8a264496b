"""
HOTA, IDF1 and id switches, by the reference implementation: the package `trackeval`.

What `trackeval` needs is made here of the masks: the ids that are seen in each frame, and the
intersection over union of their masks. HOTA, DetA and AssA are means over the thresholds
.05:.05:.95; IDF1 and the switches use .5. A switch is counted when an object is found under
another id than when it was last found, however long ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from trackeval.metrics import CLEAR, HOTA, Identity

from .overlap import Overlaps

_SECONDS = 10.0  # the time to which rates of switches refer
_QUIET = {'PRINT_CONFIG': False}

Results = dict[str, dict[str, Any]]  # of trackeval, by the name of the metric


@dataclass(frozen=True)
class TrackingScores:
    """
    How well objects are found and kept apart over time.

    :param hota: 0..1, the geometric mean of the next two, by threshold.
    :param det_a: 0..1, detection accuracy.
    :param ass_a: 0..1, association accuracy.
    :param idf1: 0..1.
    :param id_switches: their number.
    """

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    id_switches: int


@dataclass(frozen=True)
class IdSwitches:
    """
    Id switches, whatever the class, in relation to how much there was to follow.

    :param total: their number.
    :param objects: annotated objects that are seen at least once.
    :param per_object: total / objects.
    :param per_object_10s: switches in ten seconds in which an object is to be seen.
    :param worst_object: the most of any one object, looked at alone.
    """

    total: int
    objects: int
    per_object: float
    per_object_10s: float
    worst_object: int


@dataclass(frozen=True)
class Tracking:
    """
    Scores of a data set.

    :param class_agnostic: all classes taken as one: is the object found, and is it the same?
    :param class_averaged: mean over the classes that are annotated or predicted.
    :param detection_averaged: of these classes, each weighted by its detections.
    :param per_class: of each of these classes.
    :param switches: of the class-agnostic evaluation.
    """

    class_agnostic: TrackingScores
    class_averaged: TrackingScores
    detection_averaged: TrackingScores
    per_class: Mapping[int, TrackingScores]
    switches: IdSwitches


@dataclass(frozen=True, eq=False)
class VideoTracking:
    """
    What one video contributes.

    :param agnostic: results of all tracks together.
    :param per_class: results of the tracks of each class.
    :param switches: (g,) id switches of each object that is ever seen, looked at alone.
    :param seen: (g,) number of frames in which each of them is to be seen.
    """

    agnostic: Results
    per_class: Mapping[int, Results]
    switches: np.ndarray
    seen: np.ndarray


def follow(overlaps: Overlaps) -> VideoTracking:
    """
    Evaluate the tracks of one video.

    :param overlaps: of all its tracks; scores play no part, nor do tracks that are never seen.
    :returns: its contribution.
    """
    overlaps = overlaps.select(*(
        np.flatnonzero(areas.sum(axis=0))
        for areas in (overlaps.truth_areas, overlaps.found_areas)))
    every = np.arange(len(overlaps.found_classes))
    clear = CLEAR(dict(_QUIET))
    alone = [
        clear.eval_sequence(_sequence(overlaps.select(np.array([g]), every)))['IDSW']
        for g in range(len(overlaps.truth_classes))]
    return VideoTracking(
        _evaluate(overlaps),
        {class_id: _evaluate(overlaps.of_class(class_id)) for class_id in overlaps.classes},
        np.array(alone, dtype=np.int64), (overlaps.truth_areas > 0).sum(axis=0))


def combine(videos: Sequence[VideoTracking], fps: float) -> Tracking:
    """
    Put the videos together.

    :param videos: at least one.
    :param fps: frames of a second.
    :returns: the scores.
    """
    agnostic = _over_videos([video.agnostic for video in videos])
    classes = sorted({class_id for video in videos for class_id in video.per_class})
    per_class = {
        class_id: _over_videos([
            video.per_class[class_id] for video in videos if class_id in video.per_class])
        for class_id in classes}
    averaged, detections = agnostic, agnostic  # without any class all three are the same nothing
    if per_class:
        averaged = {name: metric.combine_classes_class_averaged(
            {c: results[name] for c, results in per_class.items()}, ignore_empty_classes=True)
            for name, metric in _metrics().items()}
        detections = {name: metric.combine_classes_det_averaged(
            {c: results[name] for c, results in per_class.items()})
            for name, metric in _metrics().items()}
    scores = _scores(agnostic)
    alone = np.concatenate([video.switches for video in videos])
    seconds = sum(int(video.seen.sum()) for video in videos) / fps
    return Tracking(
        scores, _scores(averaged), _scores(detections),
        {class_id: _scores(results) for class_id, results in per_class.items()},
        IdSwitches(
            scores.id_switches, len(alone), _ratio(scores.id_switches, len(alone)),
            _ratio(scores.id_switches * _SECONDS, seconds), int(alone.max(initial=0))))


def _metrics() -> dict[str, Any]:
    return {'HOTA': HOTA(), 'Identity': Identity(dict(_QUIET)), 'CLEAR': CLEAR(dict(_QUIET))}


def _evaluate(overlaps: Overlaps) -> Results:
    sequence = _sequence(overlaps)
    return {name: metric.eval_sequence(sequence) for name, metric in _metrics().items()}


def _over_videos(parts: Sequence[Results]) -> Results:
    return {name: metric.combine_sequences(dict(enumerate(part[name] for part in parts)))
            for name, metric in _metrics().items()}


def _scores(results: Results) -> TrackingScores:
    hota, det_a, ass_a = (
        float(np.mean(results['HOTA'][field])) for field in ('HOTA', 'DetA', 'AssA'))
    return TrackingScores(
        hota, det_a, ass_a, float(results['Identity']['IDF1']), int(results['CLEAR']['IDSW']))


def _ratio(value: float, base: float) -> float:
    return value / base if base else float('nan')


def _sequence(overlaps: Overlaps) -> dict[str, Any]:
    """Tell `trackeval` what is seen in each frame; each track must be seen at least once."""
    truth = [np.flatnonzero(areas) for areas in overlaps.truth_areas]
    found = [np.flatnonzero(areas) for areas in overlaps.found_areas]
    return {
        'num_timesteps': len(truth),
        'num_gt_ids': len(overlaps.truth_classes),
        'num_tracker_ids': len(overlaps.found_classes),
        'num_gt_dets': sum(map(len, truth)),
        'num_tracker_dets': sum(map(len, found)),
        'gt_ids': truth,
        'tracker_ids': found,
        'similarity_scores': [
            share[np.ix_(*ids)]
            for share, *ids in zip(overlaps.frame_iou(), truth, found, strict=True)],
    }
