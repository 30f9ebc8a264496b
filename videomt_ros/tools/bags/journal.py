"""
What is done so far of a recording, on disk: the frames' results, and the memory to go on with.

One SQLite file, in which every part is one transaction: results of some frames together with the
segmenter's memory after them. Whoever kills the program at any moment finds the last whole part,
from which it goes on as if nothing had happened. Outputs are made of the journal alone (and of the
recording), while it grows; none of them has to be continued, and none holds it in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import sqlite3
import threading
from typing import Any, NamedTuple
import zlib

import numpy as np
from safetensors.torch import load, save
from torch import Tensor
from videomt_ros.perception import TrackState

from .errors import BagError
from .record import FrameRecord, Sighting

_TABLES = """
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS frames(
  number INTEGER PRIMARY KEY, camera INTEGER, time INTEGER, stamp INTEGER, frame_id TEXT,
  error TEXT, height INTEGER, width INTEGER, epoch INTEGER, reset_reason TEXT, task TEXT,
  dtype TEXT, labels BLOB);
CREATE TABLE IF NOT EXISTS sightings(
  id INTEGER PRIMARY KEY, frame INTEGER, camera INTEGER, track INTEGER, state INTEGER,
  class INTEGER, score REAL, x INTEGER, y INTEGER, width INTEGER, height INTEGER, area INTEGER,
  age INTEGER, mask_value INTEGER, first_seen INTEGER, last_seen INTEGER, runs BLOB);
CREATE INDEX IF NOT EXISTS of_frame ON sightings(frame, id);
CREATE INDEX IF NOT EXISTS of_track ON sightings(camera, track, frame);
"""
_FRAMES_AT_ONCE = 16  # read from the file: label images are large
_ROWS_AT_ONCE = 256
_COMPRESSION = 1  # label images are mostly one value, and shrink to a hundredth at any level


@dataclass(frozen=True)
class Progress:
    """
    How far a journal has come.

    :param next_index: number of the first frame that is not in it.
    :param time: when its last frame was recorded, in nanoseconds; None without frames.
    :param complete: whether it holds all frames.
    :param damage: what is damaged in the recording, if it is complete and something is.
    """

    next_index: int = 0
    time: int | None = None
    complete: bool = False
    damage: str | None = None


class TrackRow(NamedTuple):
    """
    A track in one of the frames in which it is seen.

    :param box: (x, y, width, height) in pixels.
    :param area: pixels of its mask.
    :param score: 0..1.
    :param runs: (N,) row-major runs of its mask inside the box.
    :param size: (height, width) of the frame.
    """

    box: tuple[int, int, int, int]
    area: int
    score: float
    runs: np.ndarray
    size: tuple[int, int]


class Journal:
    """
    The journal of one recording; several threads may use it.

    :param path: of its file, made where missing.
    :param run: what determines the results, as JSON data; a journal of another run is refused.
    :param class_names: of the network.
    :raises BagError: when the file is the journal of another run, or no journal.
    """

    def __init__(self, path: Path, run: dict[str, Any], class_names: Sequence[str]) -> None:
        self.path = path
        self.class_names = tuple(class_names)
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._failed = False
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._database.executescript(_TABLES)
            known = self._fact('run')
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise BagError(f'{path} is no journal of videomt_bag ({error}); delete it') from None
        if known is None:
            self._set_fact('run', run)
        elif known != json.loads(json.dumps(run)):
            self._database.close()
            changed = sorted(key for key in {*known, *run} if known.get(key) != run.get(key))
            raise BagError(
                f'{path.parent} holds the unfinished work of another run (other '
                f'{", ".join(changed)}); go on with that one, or start anew with --fresh')
        self.progress = Progress(**(self._fact('progress') or {}))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def append(
        self, records: Sequence[FrameRecord], next_index: int,
        snapshot: tuple[str, dict[str, Tensor]],
    ) -> None:
        """
        Add a part.

        :param records: of the frames from :attr:`Progress.next_index` on.
        :param next_index: of the first frame after them.
        :param snapshot: the segmenter's memory after them.
        """
        text, tensors = snapshot
        frames: list[tuple[Any, ...]] = []
        sightings: list[tuple[Any, ...]] = []
        for record in records:  # outside of the lock: this is the work
            frames.append((
                record.index, record.camera, record.time, record.stamp, record.frame_id,
                record.error, record.height, record.width, record.epoch, record.reset_reason,
                record.task, record.labels.dtype.str,
                zlib.compress(record.labels.tobytes(), _COMPRESSION)))
            sightings.extend(
                (record.index, record.camera, each.track_id, int(each.state), each.class_id,
                 each.score, *each.box, each.area, each.age, each.mask_value, each.first_seen,
                 each.last_seen, each.runs.astype('<u4').tobytes())
                for each in record.sightings)
        content = save(tensors)
        progress = Progress(next_index, records[-1].time if records else self.progress.time)
        with self._lock:
            self._database.execute('BEGIN')
            try:
                self._database.executemany(
                    f'INSERT INTO frames VALUES({_marks(13)})', frames)
                self._database.executemany(
                    f'INSERT INTO sightings VALUES(NULL, {_marks(16)})', sightings)
                self._set_fact('memory', text)
                self._database.execute(
                    "INSERT OR REPLACE INTO facts VALUES('tensors', ?)", [content])
                self._set_fact('progress', vars(progress))
                self._database.execute('COMMIT')
            except sqlite3.Error as error:
                if self._database.in_transaction:
                    self._database.execute('ROLLBACK')
                raise BagError(f'{self.path} cannot be written: {error}') from error
            self.progress = progress
            self._change.notify_all()

    def complete(self, damage: str | None) -> None:
        """
        Say that all frames are there.

        :param damage: what is damaged in the recording, None when nothing is.
        """
        with self._lock:
            self.progress = Progress(
                self.progress.next_index, self.progress.time, True, damage)
            self._set_fact('progress', vars(self.progress))
            self._change.notify_all()

    def fail(self) -> None:
        """Let whoever follows the journal stop: nothing more will come."""
        with self._lock:
            self._failed = True
            self._change.notify_all()

    def snapshot(self) -> tuple[str, dict[str, Tensor]] | None:
        """
        Give the segmenter's memory after the last frame.

        :returns: text and tensors, as they were given; None without any frame.
        """
        with self._lock:
            row = self._database.execute(
                "SELECT value FROM facts WHERE name = 'tensors'").fetchone()
            return None if row is None else (str(self._fact('memory')), load(row[0]))

    def origins(self) -> dict[int, int]:
        """
        Give the first stamps of the cameras that have shown anything.

        :returns: nanoseconds by index of the camera.
        """
        with self._lock:
            return dict(self._database.execute(
                'SELECT camera, stamp FROM frames WHERE number IN '
                '(SELECT min(number) FROM frames WHERE error IS NULL GROUP BY camera)'))

    def follow(self, camera: int | None = None) -> Iterator[FrameRecord]:
        """
        Read the frames from the first to the last; waits for those that are still to come.

        :param camera: index of the only camera that is wanted; None for all.
        :returns: the frames, broken ones too, in order.
        :raises InterruptedError: when it becomes clear that no more will come.
        """
        number = 0
        while True:
            with self._change:
                while not (self._failed or self.progress.complete
                           or self.progress.next_index > number):
                    self._change.wait()
                if self._failed:
                    raise InterruptedError('the results end here')
                end = self.progress.next_index
                part = self._read(number, end, camera)
            yield from part
            if len(part) == _FRAMES_AT_ONCE:
                number = part[-1].index + 1
            else:
                number = end
                if self.progress.complete and end == self.progress.next_index:
                    return

    def frame(self, number: int) -> FrameRecord:
        """
        Read one frame.

        :param number: index of a frame that is there.
        :returns: it.
        """
        with self._lock:
            return self._read(number, number + 1, None)[0]

    def track(self, camera: int, track: int) -> Iterator[tuple[int, TrackRow]]:
        """
        Read a track from its first to its last frame, as far as the journal goes.

        :param camera: index of its camera.
        :param track: its number.
        :returns: number of the frame and what is seen in it, where something is.
        """
        last = -1
        while part := self.rows(
                'SELECT frame, x, y, s.width, s.height, area, score, runs, f.height, f.width '
                'FROM sightings AS s JOIN frames AS f ON f.number = s.frame WHERE s.camera = ? '
                'AND track = ? AND frame > ? AND area > 0 ORDER BY frame LIMIT ?',
                camera, track, last, _ROWS_AT_ONCE):
            for last, x, y, width, height, area, score, runs, rows, columns in part:
                yield last, TrackRow((x, y, width, height), area, score,
                                     np.frombuffer(runs, '<u4'), (rows, columns))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """
        Ask the tables ``frames`` and ``sightings``.

        :param query: SQL that only reads.
        :param values: for its question marks.
        :returns: the answer, which should be small.
        """
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _read(self, start: int, end: int, camera: int | None) -> list[FrameRecord]:
        frames = self._database.execute(
            'SELECT * FROM frames WHERE number >= ?1 AND number < ?2 '
            'AND (?3 IS NULL OR camera = ?3) ORDER BY number LIMIT ?4',
            [start, end, camera, _FRAMES_AT_ONCE]).fetchall()
        return [self._record(row) for row in frames]

    def _record(self, row: tuple[Any, ...]) -> FrameRecord:
        (number, camera, time, stamp, frame_id, error, height, width, epoch, reset_reason, task,
         dtype, labels) = row
        sightings = tuple(
            Sighting(track, TrackState(state), class_id, self.class_names[class_id], score,
                     (x, y, box_width, box_height), area, age, mask_value, first_seen, last_seen,
                     np.frombuffer(runs, '<u4'))
            for (track, state, class_id, score, x, y, box_width, box_height, area, age,
                 mask_value, first_seen, last_seen, runs) in self._database.execute(
                'SELECT track, state, class, score, x, y, width, height, area, age, mask_value, '
                'first_seen, last_seen, runs FROM sightings WHERE frame = ? ORDER BY id',
                [number]))
        return FrameRecord(
            number, camera, time, stamp, frame_id, error, height, width, epoch, reset_reason, task,
            np.frombuffer(zlib.decompress(labels), dtype).reshape(height, width),
            sightings)

    def _fact(self, name: str) -> Any:
        row = self._database.execute(
            'SELECT value FROM facts WHERE name = ?', [name]).fetchone()
        return None if row is None else json.loads(row[0])

    def _set_fact(self, name: str, value: Any) -> None:
        self._database.execute(
            'INSERT OR REPLACE INTO facts VALUES(?, ?)', [name, json.dumps(value)])


def _marks(count: int) -> str:
    return ', '.join('?' * count)
