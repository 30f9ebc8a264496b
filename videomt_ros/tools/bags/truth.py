"""How often a track's number changes on one object, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from videomt_ros.ros.runs import decode_runs

from .cameras import Camera
from .errors import BagError
from .journal import Journal
from .record import FrameRecord

_SAME = 0.5  # intersection over union from which on a track shows an object (CLEAR MOT)


@dataclass(frozen=True)
class Switch:
    """
    One change of number.

    :param stamp: of the frame, in nanoseconds.
    :param object_id: of the truth.
    :param before: number of the track that showed the object before.
    :param after: number of the track that shows it now.
    """

    stamp: int
    object_id: int
    before: int
    after: int


@dataclass(frozen=True)
class Comparison:
    """
    One camera held against the truth.

    :param switches: in order.
    :param present: how often an object was there, over all frames.
    :param shown: how often a track showed it then.
    """

    switches: tuple[Switch, ...]
    present: int
    shown: int


class Truth:
    """
    Annotations in YouTube-VIS layout: a video a camera, with a mask for each frame or none.

    A mask is run lengths, compressed or not, or polygons.

    :param path: of the JSON file.
    :raises BagError: when it has another layout, or reading it takes what is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(path.read_text('utf8'))
            self._videos = list(content['videos'])
            self._lengths = {
                int(video['id']): int(video.get('length', len(video['file_names'])))
                for video in self._videos}
            for video in self._videos:
                if not all(isinstance(name, str) for name in video['file_names']):
                    raise TypeError('file_names')
            self._objects: dict[int, dict[int, list[Any]]] = {}
            for each in content['annotations']:
                segments = each['segmentations']
                if not isinstance(segments, list):
                    raise TypeError('segmentations')
                self._objects.setdefault(int(each['video_id']), {})[int(each['id'])] = segments
        except OSError as error:
            raise BagError(f'{path}: {error.strerror}') from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise BagError(f'{path} is no truth in the layout of YouTube-VIS: expected videos and '
                           f'annotations with segmentations') from None
        for video, objects in self._objects.items():
            for number, segments in objects.items():
                self._check(number, segments, video)

    def compare(self, journal: Journal, cameras: Sequence[Camera], camera: int) -> Comparison:
        """
        Hold the results of a camera against the truth.

        :param journal: with all results.
        :param cameras: of the recording.
        :param camera: index of the camera.
        :returns: the comparison.
        :raises BagError: when no video belongs to the camera, it has another length, or masks of
            another size or none.
        """
        video = self._video_of(cameras, camera)
        (count,), = journal.rows('SELECT count(*) FROM frames WHERE camera = ?', camera)
        if self._lengths[video] != count:
            raise BagError(
                f'{self.path}: video {video} has {self._lengths[video]} frames, but {count} of '
                f'{cameras[camera].topic.name} were processed; expected as many')
        objects = self._objects.get(video, {})
        switches: list[Switch] = []
        known: dict[int, int] = {}
        present = shown = 0
        for place, record in enumerate(journal.follow(camera)):
            there = {number: mask for number, masks in objects.items()
                     if (mask := self._mask(number, place, masks[place], record)) is not None
                     and mask.any()}
            found = _pair(there, record, known)
            present += len(there)
            shown += len(found)
            for number, track in found.items():
                if known.get(number, track) != track:
                    switches.append(Switch(record.stamp, number, known[number], track))
                known[number] = track
        return Comparison(tuple(switches), present, shown)

    def _video_of(self, cameras: Sequence[Camera], camera: int) -> int:
        if len(cameras) == len(self._videos) == 1:
            return int(self._videos[0]['id'])
        names = (cameras[camera].name, cameras[camera].topic.name)
        for video in self._videos:
            folder = str(Path(video['file_names'][0]).parent) if video['file_names'] else ''
            if any(each in names for each in (video.get('topic'), video.get('name'), folder)):
                return int(video['id'])
        raise BagError(f'{self.path} has no video for {cameras[camera].topic.name}; expected one '
                       f'with this topic, name or folder')

    def _check(self, number: int, segments: Sequence[Any], video: int) -> None:
        """See that an annotation has a mask for each frame, or none, and that all can be read."""
        length = self._lengths.get(video, 0)
        if len(segments) < length:
            raise BagError(f'{self.path}: annotation {number} has {len(segments)} segmentations, '
                           f'but video {video} has {length} frames; expected one for each')
        for place, segment in enumerate(segments):
            if segment and not self._is_mask(segment):
                raise BagError(
                    f'{self.path}: annotation {number} has {str(segment)[:60]} in frame {place}; '
                    f'expected run lengths (size and counts), polygons or null')

    def _is_mask(self, segment: Any) -> bool:
        """Tell masks from all else, as far as it shows without their frame."""
        try:
            if _is_plain(segment):
                (height, width), counts = segment['size'], segment['counts']
                return sum(counts) == height * width and all(
                    isinstance(count, int) and count >= 0 for count in counts)
            self._as_rle(segment, 1, 1)  # whatever the frame is
        except (KeyError, TypeError, ValueError):
            return False
        return True

    def _as_rle(self, segment: Any, height: int, width: int) -> Any:
        try:
            import pycocotools.mask  # noqa: F401
            from videomt_ros.training.run_lengths import as_rle
        except ImportError:
            raise BagError(
                f'{self.path} has compressed run lengths or polygons; to read them takes '
                f'pycocotools: pip install pycocotools') from None
        return as_rle(segment, height, width)

    def _mask(
        self, number: int, place: int, segment: Any, record: FrameRecord,
    ) -> np.ndarray | None:
        """Decode the mask of an annotation in one frame; None where there is none."""
        if not segment or record.error is not None:
            return None
        if isinstance(segment, dict):
            height, width = segment['size']
            if (height, width) != (record.height, record.width):
                raise BagError(f'{self.path}: a mask has {width}x{height} pixels, but the frame '
                               f'has {record.width}x{record.height}')
        if _is_plain(segment):
            return decode_runs(np.array(segment['counts']), record.width, record.height).T
        try:
            runs = self._as_rle(segment, record.height, record.width)
        except ValueError as error:
            raise BagError(f'{self.path}: annotation {number} has a mask in frame {place} that '
                           f'cannot be read: {error}') from error
        if runs is None:  # polygons of less than three points
            return None
        from pycocotools.mask import decode
        return np.asarray(decode(runs), dtype=bool)


def _is_plain(segment: Any) -> bool:
    """Tell whether a mask is run lengths that are not compressed, which takes no pycocotools."""
    return isinstance(segment, dict) and not isinstance(segment['counts'], str)


def _pair(
    there: Mapping[int, np.ndarray], record: FrameRecord, known: Mapping[int, int],
) -> dict[int, int]:
    """Find the track that shows each object: first the one of before, then the best."""
    masks = {each.track_id: each.mask(record.height, record.width)
             for each in record.sightings if each.area and each.track_id}
    overlaps = []
    for number, truth in there.items():
        for track, mask in masks.items():
            share = np.count_nonzero(truth & mask) / np.count_nonzero(truth | mask)
            if share >= _SAME:
                overlaps.append((known.get(number) == track, share, number, track))
    found: dict[int, int] = {}
    for _, _, number, track in sorted(overlaps, key=lambda each: (-each[0], -each[1], each[2:])):
        if number not in found and track not in found.values():
            found[number] = track
    return found
