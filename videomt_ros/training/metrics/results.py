"""Predictions as a file, in the results format of YouTube-VIS, so that anybody's can be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path
from typing import Any

from .ground_truth import AnnotatedVideo, GroundTruth
from .tracks import compressed, ScoredTrack


def write_results(
    path: str | Path, truth: GroundTruth, predictions: Mapping[int, Sequence[ScoredTrack]],
) -> None:
    """
    Write predictions: a list of video_id, category_id, score and segmentations.

    :param path: file to write.
    :param truth: the data set that they belong to.
    :param predictions: the tracks of each video, by its id.
    :raises OSError: when the file cannot be written.
    """
    records = [
        {'video_id': video_id, 'category_id': truth.category_ids[track.class_id],
         'score': track.score, 'segmentations': list(track.masks)}
        for video_id, tracks in predictions.items() for track in tracks]
    Path(path).write_text(json.dumps(records), encoding='utf-8')


def read_results(path: str | Path, truth: GroundTruth) -> dict[int, list[ScoredTrack]]:
    """
    Read predictions.

    :param path: a file as :func:`write_results` makes it.
    :param truth: the data set that they belong to.
    :returns: the tracks of each video of the data set, by its id; none where the file has none.
    :raises OSError: when the file cannot be read.
    :raises ValueError: when it is not in the format, or does not belong to the data set.
    """
    try:
        records = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path}: cannot be read as JSON ({error})') from error
    if not isinstance(records, list):
        raise ValueError(
            f'{path}: holds a {type(records).__name__}; expected a list of predictions in the '
            f'results format of YouTube-VIS')
    videos = {video.video_id: video for video in truth.videos}
    classes = {category: i for i, category in enumerate(truth.category_ids)}
    predictions: dict[int, list[ScoredTrack]] = {video_id: [] for video_id in videos}
    for number, record in enumerate(records):
        try:
            video_id, track = _read(record, videos, classes)
        except ValueError as error:
            raise ValueError(f'{path}: prediction {number}: {error}') from error
        predictions[video_id].append(track)
    return predictions


def _read(
    record: Any, videos: Mapping[int, AnnotatedVideo], classes: Mapping[int, int],
) -> tuple[int, ScoredTrack]:
    try:
        video_id, category = record['video_id'], record['category_id']
        score, segments = float(record['score']), list(record['segmentations'])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            'expected video_id, category_id, score and segmentations') from error
    if not math.isfinite(score):
        raise ValueError(f'the score is {score}; expected a number')
    if video_id not in videos or category not in classes:
        raise ValueError(
            f'video {video_id!r} with category {category!r} is not in the data set')
    video = videos[video_id]
    if len(segments) != len(video.files):
        raise ValueError(
            f'has {len(segments)} segmentations; expected {len(video.files)}, the length of '
            f'video {video_id}')
    return video_id, ScoredTrack(
        classes[category], tuple(compressed(s, video.height, video.width) for s in segments),
        score)
