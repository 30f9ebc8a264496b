"""A data set to measure on: YouTube-VIS JSON and the frames beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

import numpy as np

from .tracks import compressed, ScoredTrack
from ..config import DataSource
from ..data import read_picture, read_source, Track, Video

FILE = 'annotations.json'


@dataclass(frozen=True)
class AnnotatedVideo:
    """
    One video with its objects.

    :param video_id: its number in the file.
    :param files: paths of its T frames.
    :param height: of the frames in pixels.
    :param width: of the frames in pixels.
    :param tracks: its objects, with T masks each.
    :param crowds: regions with objects that nobody told apart (`iscrowd`), as tracks: what is
        found in them is neither right nor wrong.
    """

    video_id: int
    files: tuple[Path, ...]
    height: int
    width: int
    tracks: tuple[ScoredTrack, ...]
    crowds: tuple[ScoredTrack, ...] = field(default=(), kw_only=True)

    def frames(self) -> Iterator[np.ndarray]:
        """
        Read the frames, one after the other.

        :returns: (H, W, 3) uint8 RGB each.
        :raises ConfigError: when one cannot be read, or has another size than the file says.
        """
        for path in self.files:
            yield read_picture(path, self.height, self.width)


@dataclass(frozen=True)
class GroundTruth:
    """
    A data set.

    :param path: of its JSON file.
    :param class_names: in the order of the categories' ids.
    :param category_ids: the id of each.
    :param videos: all of them, also those without objects.
    :param fps: frames of a second, as `info.rate` says; None where the file does not.
    """

    path: Path
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    videos: tuple[AnnotatedVideo, ...]
    fps: float | None


def read_ground_truth(path: str | Path, images: str = '') -> GroundTruth:
    """
    Read a data set's annotations; frames stay on disk.

    :param path: a folder with `annotations.json`, or a file in YouTube-VIS JSON.
    :param images: folder that the file names are relative to; empty is the file's own.
    :returns: the data set.
    :raises ConfigError: when the file is not what is expected.
    :raises ValueError: when a track does not fit to its video.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    names, found = read_source(DataSource(str(path), images), everything=True)
    # What training does not need and the reader so does not give: the categories' ids, the rate.
    content = json.loads(path.read_text(encoding='utf-8'))
    if 'videos' not in content:
        raise ValueError(f'{path}: has images and no videos; expected YouTube-VIS JSON')
    if len({video.video_id for video in found}) < len(found):
        raise ValueError(f'{path}: several videos have the same id; expected one for each')
    videos = tuple(
        AnnotatedVideo(
            video.video_id, video.files, video.height, video.width,
            tuple(_track(track, video, path) for track in video.tracks),
            crowds=tuple(_track(track, video, path) for track in video.crowds))
        for video in found)
    return GroundTruth(
        path, names, tuple(sorted(category['id'] for category in content['categories'])), videos,
        _rate(content))


def _track(track: Track, video: Video, path: Path) -> ScoredTrack:
    try:
        return ScoredTrack(
            track.label, tuple(compressed(s, video.height, video.width) for s in track.segments))
    except ValueError as error:
        raise ValueError(
            f'{path}: video {video.video_id}: annotation {track.annotation_id!r}: {error}'
        ) from error


def _rate(content: Mapping[str, Any]) -> float | None:
    info = content.get('info')
    rate = info.get('rate') if isinstance(info, dict) else None
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else None
