"""The plain data that the instance metrics work on: objects as one mask a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..run_lengths import as_rle, Rle


@dataclass(frozen=True)
class ScoredTrack:
    """
    One object over a whole video, annotated or predicted.

    :param class_id: index of its class, 0 and up.
    :param masks: for each frame of the video COCO's compressed run lengths, or None where there is
        nothing of it. An empty mask means the same as None.
    :param score: how sure it is, any scale on which more is better; 1 for annotations.
    """

    class_id: int
    masks: tuple[Rle | None, ...]
    score: float = 1.0


def compressed(segment: Any, height: int, width: int) -> Rle | None:
    """
    Bring a segment as annotation files have it into compressed run lengths.

    :param segment: COCO run lengths, compressed or as a list, or polygons; None for nothing.
    :param height: of the frame in pixels.
    :param width: of the frame in pixels.
    :returns: compressed run lengths; None for nothing, which polygons of less than three points
        are, too.
    :raises ValueError: when it is of another frame size, nothing of the three, or damaged.
    """
    runs = as_rle(segment, height, width)
    if runs is not None and runs['size'] != [height, width]:
        rows, columns = runs['size']
        raise ValueError(
            f'a segmentation has the size {columns}x{rows}; expected {width}x{height}, that of '
            f'its video')
    return runs


def at_least(tracks: Iterable[ScoredTrack], score: float) -> list[ScoredTrack]:
    """
    Keep the tracks that are sure enough.

    :param tracks: any.
    :param score: lowest score to keep.
    :returns: those that have it, in their order.
    """
    return [track for track in tracks if track.score >= score]
