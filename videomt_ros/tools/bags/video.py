"""The recording as a film with its tracks drawn over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from videomt_ros.perception.draw import overlay
from videomt_ros.ros.pixels import ImageError
from videomt_ros.tools.pictures import write_video

from .cameras import Camera, FrameChoice, frames
from .images import decode_image
from .journal import Journal
from .reading import Recording
from .record import FrameRecord

_RATE_FROM = 30  # frames, from whose stamps the rate is taken
_RATES = (1.0, 120.0)
_USUAL_RATE = 10.0  # of a film of one frame


def drawn_frames(
    journal: Journal, recording: Recording, cameras: Sequence[Camera], choice: FrameChoice,
    camera: int,
) -> Iterator[tuple[FrameRecord, np.ndarray]]:
    """
    Draw the results of one camera over its frames, while the journal grows.

    :param journal: with the results.
    :param recording: open, that they are of.
    :param cameras: of it.
    :param choice: which part of it.
    :param camera: index of the camera.
    :returns: result and (H, W, 3) uint8 RGB, of each frame that has a result.
    """
    records = journal.follow(camera)
    # The other cameras are not read, so frames have other numbers than in the journal.
    for frame in frames(recording, cameras[camera:camera + 1], choice):
        if (record := next(records, None)) is None:
            return
        if record.error is None:
            try:
                pixels = decode_image(frame.message.topic.kind, frame.message.data).pixels
            except ImageError:
                continue
            yield record, overlay(pixels, record.result(cameras[camera].name))


def write_overlay(
    path: Path, journal: Journal, recording: Recording, cameras: Sequence[Camera],
    choice: FrameChoice, camera: int,
) -> None:
    """
    Write the film of one camera, while the journal grows.

    It has the size of the first frame, and one rate: that of the first stamps.

    :param path: of the MP4 file.
    :param journal: with the results.
    :param recording: open, that they are of.
    :param cameras: of it.
    :param choice: which part of it.
    :param camera: index of the camera.
    :raises InterruptedError: when the journal will not be completed.
    :raises OSError: when the file cannot be written.
    """
    pictures = (picture for _, picture in drawn_frames(
        journal, recording, cameras, choice, camera))
    rate = _rate([record.stamp for record in islice(
        (each for each in journal.follow(camera) if each.error is None), _RATE_FROM)])
    count = sum(1 for _ in write_video(path, _of_one_size(pictures), rate))
    # OpenCV says nothing when the disk is full.
    film = cv2.VideoCapture(str(path))
    written = int(film.get(cv2.CAP_PROP_FRAME_COUNT)) if film.isOpened() else 0
    film.release()
    if written != count:
        raise OSError(f'{path}: holds {written} of {count} pictures; is the disk full?')


def _of_one_size(pictures: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Bring pictures to the size of the first, with sides that a film can have."""
    size: tuple[int, int] | None = None
    for picture in pictures:
        height, width = picture.shape[:2]
        size = size or (max(2, width - width % 2), max(2, height - height % 2))
        yield picture if size == (width, height) else cv2.resize(
            picture, size, interpolation=cv2.INTER_AREA)


def _rate(stamps: Sequence[int]) -> float:
    """Give pictures a second, from stamps in nanoseconds."""
    steps = np.diff(np.array(stamps, dtype=np.int64))
    steps = steps[steps > 0]
    if not steps.size:
        return _USUAL_RATE
    return float(np.clip(round(1e9 / float(np.median(steps)), 3), *_RATES))
