"""What a person looks at after a run: a table of tracks, an overlay video, a contact sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table

from ..perception import FrameResult, TrackState


@dataclass(frozen=True)
class TrackSummary:
    """
    One track over a whole recording.

    :param track_id: its number.
    :param class_name: its class in the last frame in which it was seen.
    :param first_seen: stamp in seconds.
    :param last_seen: stamp in seconds.
    :param frames: in how many frames it was seen.
    :param mean_score: 0..1, over those frames.
    """

    track_id: int
    class_name: str
    first_seen: float
    last_seen: float
    frames: int
    mean_score: float


def summarise(results: Iterable[FrameResult]) -> list[TrackSummary]:
    """
    Sum up the tracks of a recording.

    :param results: of its frames, in order, with stamps.
    :returns: one summary for each track that was ever seen, by id.
    """
    seen: dict[int, list[tuple[float, str, float]]] = {}
    for result in results:
        for instance in result.instances:
            # Stuff of a panoptic result has no track: its id is 0.
            if instance.track_id and instance.state in (TrackState.NEW, TrackState.TRACKED):
                seen.setdefault(instance.track_id, []).append(
                    (result.stamp or 0.0, instance.class_name, instance.score))
    return [
        TrackSummary(
            track_id, sightings[-1][1], sightings[0][0], sightings[-1][0], len(sightings),
            float(np.mean([score for _, _, score in sightings])))
        for track_id, sightings in sorted(seen.items())]


def track_table(tracks: Sequence[TrackSummary], start: float) -> Table:
    """
    Lay out summaries for the terminal.

    :param tracks: to be shown.
    :param start: stamp from which seconds are counted.
    :returns: a table that rich can print.
    """
    table = Table(title=f'{len(tracks)} tracks')
    for name in ('id', 'class', 'first seen', 'last seen', 'frames', 'mean score'):
        table.add_column(name, justify='left' if name == 'class' else 'right')
    for track in tracks:
        table.add_row(
            str(track.track_id), track.class_name, f'{track.first_seen - start:.1f} s',
            f'{track.last_seen - start:.1f} s', str(track.frames), f'{track.mean_score:.2f}')
    return table


def write_video(path: Path, pictures: Iterable[np.ndarray], rate: float) -> Iterator[np.ndarray]:
    """
    Write pictures into an MP4 file while they pass through.

    :param path: of the file.
    :param pictures: (H, W, 3) uint8 RGB, all of one size.
    :param rate: pictures a second.
    :returns: the pictures again, so that they need not all be held in memory.
    :raises OSError: when the file cannot be written.
    """
    writer: cv2.VideoWriter | None = None
    try:
        for picture in pictures:
            if writer is None:
                writer = cv2.VideoWriter(
                    str(path), cv2.VideoWriter.fourcc(*'mp4v'), rate, picture.shape[1::-1])
                if not writer.isOpened():
                    raise OSError(f'{path}: cannot be written as MP4 video')
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            yield picture
    finally:
        if writer is not None:
            writer.release()


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 4) -> np.ndarray:
    """
    Lay out pictures in rows.

    :param pictures: at least one (H, W, 3) uint8, all of one size.
    :param columns: pictures in a row.
    :returns: (rows * H, columns * W, 3) uint8; empty places are black.
    """
    H, W = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    sheet = np.zeros((rows * H, columns * W, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sheet[row * H:(row + 1) * H, column * W:(column + 1) * W] = picture
    return sheet
