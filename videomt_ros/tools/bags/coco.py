"""
The masks as JSON, in the two layouts that annotation tools and metrics read.

COCO has one annotation for an object in an image; YouTube-VIS one for an object in a video, with a
mask for each of its frames or none. Masks are run lengths as COCO counts them, column by column.
Category ids start at 1, in the order of the network's classes. Neither is ever held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from videomt_ros.ros.runs import decode_runs, encode_runs

from .cameras import Camera
from .journal import Journal, TrackRow
from .record import FrameRecord


def write_coco(path: Path, journal: Journal, cameras: Sequence[Camera]) -> None:
    """
    Write an image a frame and an annotation an object in it; ``track_id`` joins them over time.

    :param path: of the file.
    :param journal: with all results.
    :param cameras: of the recording.
    """
    with path.open('w', encoding='utf8') as file:
        file.write('{"info": {"description": "videomt_bag"}')
        _write_list(file, 'categories', _categories(journal))
        _write_list(file, 'images', (
            {'id': record.index + 1, 'file_name': _file_name(cameras[record.camera], record.stamp),
             'height': record.height, 'width': record.width, 'stamp_ns': record.stamp,
             'topic': cameras[record.camera].topic.name}
            for record in _good(journal)))
        _write_list(file, 'annotations', _coco_annotations(journal))
        file.write('}\n')


def write_ytvis(path: Path, journal: Journal, cameras: Sequence[Camera]) -> None:
    """
    Write a video a camera and an annotation a track.

    :param path: of the file.
    :param journal: with all results.
    :param cameras: of the recording.
    """
    with path.open('w', encoding='utf8') as file:
        file.write('{"info": {"description": "videomt_bag"}')
        _write_list(file, 'categories', _categories(journal))
        _write_list(file, 'videos', (
            _video(journal, camera, place) for place, camera in enumerate(cameras)))
        _write_tracks(file, journal, len(cameras))
        file.write('}\n')


def coco_runs(
    box: tuple[int, int, int, int], runs: np.ndarray, height: int, width: int,
) -> dict[str, Any]:
    """
    Turn the runs of a mask into COCO's.

    :param box: (x, y, width, height) of the mask, not empty.
    :param runs: (N,) its row-major runs inside the box.
    :param height: of the frame.
    :param width: of the frame.
    :returns: ``size`` and ``counts``, which pycocotools takes (``frPyObjects``).
    """
    x, y, box_width, box_height = box
    mask = np.zeros((box_width, height), dtype=bool)  # transposed: runs go down the columns
    mask[:, y:y + box_height] = decode_runs(runs, box_height, box_width).T
    counts = encode_runs(mask).tolist()
    counts[0] += x * height
    after = (width - x - box_width) * height
    if len(counts) % 2:
        counts[-1] += after
    elif after:
        counts.append(after)
    return {'size': [height, width], 'counts': counts}


def _write_list(file: TextIO, name: str, items: Iterable[Any]) -> None:
    file.write(f',\n"{name}": [')
    for i, item in enumerate(items):
        file.write(f'{"," if i else ""}\n{json.dumps(item)}')
    file.write(']')


def _categories(journal: Journal) -> Iterator[dict[str, Any]]:
    return ({'id': i + 1, 'name': name} for i, name in enumerate(journal.class_names))


def _good(journal: Journal) -> Iterator[FrameRecord]:
    return (record for record in journal.follow() if record.error is None)


def _file_name(camera: Camera, stamp: int) -> str:
    """Name a picture that nobody has written: folder of the camera, stamp of the frame."""
    return f'{camera.name or camera.topic.name.strip("/")}/{stamp}.jpg'


def _coco_annotations(journal: Journal) -> Iterator[dict[str, Any]]:
    number = 0
    for record in _good(journal):
        for each in record.sightings:
            if each.area:
                number += 1
                yield {
                    'id': number, 'image_id': record.index + 1, 'category_id': each.class_id + 1,
                    'track_id': each.track_id, 'score': round(each.score, 6),
                    'bbox': list(each.box), 'area': each.area, 'iscrowd': 0,
                    'segmentation': coco_runs(each.box, each.runs, record.height, record.width)}


def _video(journal: Journal, camera: Camera, place: int) -> dict[str, Any]:
    rows = journal.rows(
        'SELECT stamp, height, width FROM frames WHERE camera = ? AND error IS NULL '
        'ORDER BY number', place)
    return {
        'id': place + 1, 'height': rows[0][1] if rows else 0, 'width': rows[0][2] if rows else 0,
        'length': len(rows), 'topic': camera.topic.name,
        'file_names': [_file_name(camera, stamp) for stamp, _, _ in rows],
        'stamps_ns': [stamp for stamp, _, _ in rows]}


def _write_tracks(file: TextIO, journal: Journal, cameras: int) -> None:
    """Write the annotations track by track, and the lists in them frame by frame."""
    file.write(',\n"annotations": [')
    number = 0
    for camera in range(cameras):
        places = {index: place for place, (index,) in enumerate(journal.rows(
            'SELECT number FROM frames WHERE camera = ? AND error IS NULL ORDER BY number',
            camera))}
        for track, in journal.rows(
                'SELECT DISTINCT track FROM sightings WHERE camera = ? AND area > 0 AND track > 0 '
                'ORDER BY track', camera):
            number += 1
            class_id, score = journal.rows(
                'SELECT class, avg(score) OVER () FROM sightings WHERE camera = ? AND track = ? '
                'AND area > 0 ORDER BY frame DESC LIMIT 1', camera, track)[0]
            head = {'id': number, 'video_id': camera + 1, 'category_id': class_id + 1,
                    'track_id': track, 'iscrowd': 0, 'score': round(score, 6)}
            file.write(f'{"," if number > 1 else ""}\n{json.dumps(head)[:-1]}')
            for name, value in _VALUES.items():
                file.write(f', "{name}": [')
                _write_sparse(file, len(places), (
                    (places[frame], value(each)) for frame, each in journal.track(camera, track)))
                file.write(']')
            file.write('}')
    file.write(']')


_VALUES: dict[str, Callable[[TrackRow], Any]] = {
    'segmentations': lambda row: coco_runs(row.box, row.runs, *row.size),
    'bboxes': lambda row: row.box,
    'areas': lambda row: row.area,
}


def _write_sparse(file: TextIO, length: int, items: Iterator[tuple[int, Any]]) -> None:
    """Write a JSON list that has values in some places, and null in the others."""
    place = 0
    for wanted, value in items:
        file.write(', ' * (place > 0) + 'null, ' * (wanted - place) + json.dumps(value))
        place = wanted + 1
    rest = ['null'] * (length - place)
    file.write(', ' * (place > 0 and bool(rest)) + ', '.join(rest))
