"""The life of each track over a recording: when it was seen and lost, and how sure it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from videomt_ros.perception import TrackState

from .journal import Journal

CURVE_POINTS = 240  # of a score curve; longer ones are thinned out


@dataclass
class Life:
    """
    One track from its first frame to its last.

    :param track_id: its number.
    :param class_name: its class when it was last seen.
    :param epoch: in which it lived.
    :param spans: begin and end stamps in nanoseconds, and whether it was seen in between.
    :param frames: in how many frames it was seen.
    :param mean_score: over these frames, 0..1.
    :param curve: stamps and scores, of at most :data:`CURVE_POINTS` frames in which it was seen.
    """

    track_id: int
    class_name: str
    epoch: int
    spans: list[tuple[int, int, bool]] = field(default_factory=list)
    frames: int = 0
    mean_score: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)

    @property
    def start(self) -> int:
        """Give the stamp of its first frame, in nanoseconds."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """Give the stamp of its last frame, in nanoseconds."""
        return self.spans[-1][1]


def lives_of(journal: Journal, camera: int, limit: int) -> tuple[list[Life], int]:
    """
    Follow the tracks of a camera.

    :param journal: with all results.
    :param camera: index of the camera.
    :param limit: most tracks that are wanted: those that were seen most often.
    :returns: their lives by class and begin, and how many tracks there are in all.
    """
    counts = journal.rows(
        'SELECT track, sum(area > 0) AS seen FROM sightings WHERE camera = ? AND track > 0 '
        'GROUP BY track ORDER BY seen DESC, track', camera)
    lives = [_life(journal, camera, track, seen) for track, seen in counts[:limit]]
    lives.sort(key=lambda life: (life.class_name, life.start, life.track_id))
    return lives, len(counts)


def _life(journal: Journal, camera: int, track: int, seen: int) -> Life:
    life = Life(track, '', 0)
    step = max(1, -(-seen // CURVE_POINTS))
    total = 0.0
    for stamp, epoch, state, class_id, score, area in _rows(journal, camera, track):
        life.class_name, life.epoch = journal.class_names[class_id], epoch
        shown = area > 0
        if life.spans and life.spans[-1][2] == shown:
            life.spans[-1] = (life.spans[-1][0], stamp, shown)
        else:
            if life.spans:  # a span lasts until the next one begins
                life.spans[-1] = (life.spans[-1][0], stamp, life.spans[-1][2])
            if state != TrackState.ENDED or not life.spans:
                life.spans.append((stamp, stamp, shown))
        if shown:
            if life.frames % step == 0:
                life.curve.append((stamp, score))
            life.frames += 1
            total += score
    life.mean_score = total / max(1, life.frames)
    return life


def _rows(
    journal: Journal, camera: int, track: int,
) -> Iterator[tuple[Any, ...]]:
    last = -1
    while part := journal.rows(
            'SELECT f.number, f.stamp, f.epoch, state, class, score, area FROM sightings AS s '
            'JOIN frames AS f ON f.number = s.frame WHERE s.camera = ? AND track = ? '
            'AND frame > ? ORDER BY frame LIMIT 4096', camera, track, last):
        yield from (row[1:] for row in part)
        last = part[-1][0]
