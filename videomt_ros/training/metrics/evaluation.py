"""
All the metrics of a data set, video by video and then together.

The panoptic and semantic ones want one value a pixel: the tracks are painted over each other by
score, and what is left is a stuff class of its own, the background, which takes part in each of
them as any class does (as in the mIoU of PASCAL VOC).

What is found in a crowd (`iscrowd`), where nobody told the objects apart, is neither right nor
wrong: average precision passes over predictions there, and HOTA, IDF1 and the id switches over
masks there; to the panoptic and semantic metrics a crowd's pixels are void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import math
from typing import Any

import numpy as np

from .ground_truth import AnnotatedVideo
from .miou import confusion, mean_iou, MeanIou
from .overlap import count_overlaps, without_crowds
from .panoptic import paint
from .stq import associations, segmentation_and_tracking_quality, Stq
from .track_ap import average_precision, ClassMatches, match_tracks, TrackAp
from .tracking import combine, follow, Tracking, VideoTracking
from .tracks import at_least, ScoredTrack
from .vc import consistency, LENGTHS, video_consistency
from .vpq import count_windows, video_panoptic_quality, Vpq


@dataclass(frozen=True, eq=False)
class VideoMeasures:
    """
    What one video contributes to each metric.

    :param matches: of :func:`match_tracks`.
    :param tracking: of :func:`follow`.
    :param windows: of :func:`count_windows`.
    :param associations: of :func:`associations`.
    :param confusion: of :func:`confusion`.
    :param consistency: of :func:`consistency`, for each length.
    """

    matches: dict[int, ClassMatches]
    tracking: VideoTracking
    windows: np.ndarray
    associations: np.ndarray
    confusion: np.ndarray
    consistency: dict[int, np.ndarray]


@dataclass(frozen=True)
class Scores:
    """
    Scores of a data set.

    :param track_ap: of all predictions.
    :param tracking: of those that are sure enough, as all that follow.
    :param vpq: with the background as stuff.
    :param stq: with the background as stuff.
    :param miou: with the background as a class.
    :param vc: video consistency by length in frames.
    """

    track_ap: TrackAp
    tracking: Tracking
    vpq: Vpq
    stq: Stq
    miou: MeanIou
    vc: dict[int, float]


def measure(
    video: AnnotatedVideo, tracks: Sequence[ScoredTrack], num_classes: int, min_score: float,
) -> VideoMeasures:
    """
    Score the predictions of one video.

    :param video: with its objects.
    :param tracks: what was predicted.
    :param num_classes: K classes of objects.
    :param min_score: tracks below it count for average precision alone, which weighs them by it.
    :returns: its contribution.
    :raises ValueError: when a prediction does not fit to the video.
    """
    frames = len(video.files)
    sure = at_least(tracks, min_score)
    overlaps, crowds = (
        count_overlaps(each, tracks, frames) for each in (video.tracks, video.crowds))
    shape = (frames, video.height, video.width)
    truth = paint(video.tracks, shape, num_classes, void=video.crowds)
    found = paint(sure, shape, num_classes)
    truth_map, found_map = truth.class_map(), found.class_map()
    classes = num_classes + 1  # and the background
    return VideoMeasures(
        match_tracks(overlaps, crowds),
        follow(without_crowds(overlaps, crowds).select(
            np.arange(len(video.tracks)), overlaps.found_scores >= min_score)),
        count_windows(truth, found, classes),
        associations(truth, found, range(num_classes)),
        np.sum([confusion(t, f, classes) for t, f in zip(truth_map, found_map, strict=True)],
               axis=0),
        {n: consistency(truth_map, found_map, n, classes) for n in LENGTHS})


def summarise(videos: Sequence[VideoMeasures], num_classes: int, fps: float) -> Scores:
    """
    Put the videos together.

    :param videos: at least one.
    :param num_classes: K classes of objects.
    :param fps: frames of a second.
    :returns: the scores.
    """
    counts = np.sum([video.confusion for video in videos], axis=0)
    return Scores(
        average_precision(video.matches for video in videos),
        combine([video.tracking for video in videos], fps),
        video_panoptic_quality(
            np.sum([video.windows for video in videos], axis=0), range(num_classes)),
        segmentation_and_tracking_quality((video.associations for video in videos), counts),
        mean_iou(counts),
        {n: video_consistency(video.consistency[n] for video in videos) for n in LENGTHS})


def as_json(scores: Scores, class_names: Sequence[str]) -> dict[str, Any]:
    """
    Make scores ready for a JSON file.

    :param scores: of a data set.
    :param class_names: of its classes.
    :returns: `metrics`, and `per_class` by name, the background last; None where there is none.
    """
    tracking, vpq = scores.tracking, scores.vpq
    metrics = {
        'track_ap': asdict(scores.track_ap.mean),
        'tracking': {
            'class_agnostic': asdict(tracking.class_agnostic),
            'class_averaged': asdict(tracking.class_averaged),
            'detection_averaged': asdict(tracking.detection_averaged)},
        'id_switches': asdict(tracking.switches),
        'vpq': {
            'vpq': vpq.vpq, 'things': vpq.things, 'stuff': vpq.stuff,
            'per_window': {str(k): value for k, value in vpq.per_window.items()}},
        'stq': asdict(scores.stq),
        'miou': scores.miou.miou,
        'vc': {str(n): value for n, value in scores.vc.items()}}
    per_class = {}
    for class_id, name in enumerate((*class_names, 'background')):
        ap = scores.track_ap.per_class.get(class_id)
        follows = tracking.per_class.get(class_id)
        per_class[name] = {
            **(asdict(ap) if ap else {}), **(asdict(follows) if follows else {}),
            'vpq': vpq.per_class.get(class_id), 'iou': scores.miou.per_class.get(class_id)}
    content: dict[str, Any] = _without_nan({'metrics': metrics, 'per_class': per_class})
    return content


def _without_nan(value: Any) -> Any:
    """Put None in place of what is not a number, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
