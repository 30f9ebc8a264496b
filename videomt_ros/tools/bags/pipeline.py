"""
Frames of a recording through the network, with reading, decoding, network and writing overlapped.

    reader -> windows of T frames -> [decode, early blocks as one batch] -> last blocks -> journal
    1 thread                          several threads                       1 thread       1 thread

The early blocks need no memory, so several windows are at it at a time; the last blocks follow the
memory from frame to frame. Windows are T wanted frames in the order of recording, of whatever
camera, wherever a run begins: so nothing depends on timing, and a run that goes on where another
one was interrupted computes the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
import queue
import threading
import time
from types import TracebackType

from torch import Tensor
from videomt_ros.perception import FrameInput, FrameResult
from videomt_ros.perception.ahead import AheadSegmenter, EncodedFrame
from videomt_ros.perception.snapshot import restore_snapshot, take_snapshot
from videomt_ros.ros.pixels import ImageError

from .cameras import Camera, Frame, FrameChoice, frames
from .images import decode_image, Picture
from .journal import Journal
from .reading import Recording
from .record import broken_record, FrameRecord, record_of, seconds_on
from .stages import Stages

Snapshot = tuple[str, dict[str, Tensor]]

READ, ENCODE, STEP, NOTE = 'read', 'encode', 'step', 'note'
PART_SECONDS = 2.0  # of work that is lost at most when the program is killed


@dataclass(frozen=True)
class Window:
    """
    Some frames in order, decoded, and through the early blocks.

    :param frames: all of them.
    :param encoded: picture and tokens by index of the frame, of those that are no picture not.
    :param errors: why a frame is no picture, by its index.
    """

    frames: Sequence[Frame]
    encoded: dict[int, tuple[Picture, EncodedFrame]]
    errors: dict[int, str]


Ahead = queue.Queue[Future[Window] | BaseException | None]


class _Notes:
    """Writes windows down, and into the journal when the memory after them is given."""

    def __init__(self, journal: Journal, stages: Stages) -> None:
        self._journal = journal
        self._stages = stages
        self._records: list[FrameRecord] = []

    def add(self, window: Window, results: Mapping[int, tuple[FrameResult, int]],
            snapshot: Snapshot | None) -> None:
        """
        Write a window down.

        :param window: the next one.
        :param results: result and origin of the time scale, by index of the frame.
        :param snapshot: memory after it, which ends a part; None when the part goes on.
        """
        with self._stages.work(NOTE, 'masks'):
            for frame in window.frames:
                if frame.index in results:
                    result, origin = results[frame.index]
                    picture = window.encoded[frame.index][0]
                    self._records.append(record_of(frame, picture, result, origin))
                else:
                    self._records.append(broken_record(frame, window.errors[frame.index]))
        if snapshot is not None:
            self.end_part(snapshot)

    def end_part(self, snapshot: Snapshot) -> None:
        """
        Bring into the journal what was written down.

        :param snapshot: memory after it.
        """
        if self._records:
            with self._stages.work(NOTE, 'disk'):
                self._journal.append(self._records, self._records[-1].index + 1, snapshot)
            self._records = []


class _Behind:
    """A thread that calls functions one after another; used as a context manager."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(2)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name='note')

    def call(self, function: Callable[[], None]) -> None:
        """
        Have a function called; waits while two others do.

        :param function: whose exception is raised by a later call, or at the end.
        """
        if self._error is not None:
            raise self._error
        self._calls.put(function)

    def _run(self) -> None:
        while (function := self._calls.get()) is not None:
            if self._error is None:
                try:
                    function()
                except BaseException as error:  # goes on in the thread that calls
                    self._error = error

    def __enter__(self) -> _Behind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._calls.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error


class Pipeline:
    """
    The way of one recording's frames into its journal.

    :param segmenter: with weights and settings, used by nobody else.
    :param recording: open.
    :param cameras: of it.
    :param choice: of its frames.
    :param journal: which tells where to go on.
    :param batch: T, frames that go through the early blocks together; 1 or more.
    :param workers: threads for decoding and the early blocks; 0 does everything in one thread,
        a frame at a time.
    :param stages: clocks.
    """

    def __init__(
        self, segmenter: AheadSegmenter, recording: Recording, cameras: Sequence[Camera],
        choice: FrameChoice, journal: Journal, batch: int, workers: int, stages: Stages,
    ) -> None:
        self._segmenter = segmenter
        self._recording = recording
        self._cameras = cameras
        self._choice = choice
        self._journal = journal
        self._batch = batch
        self._workers = workers
        self._stages = stages
        self._origins = journal.origins()
        self._stopped = threading.Event()
        self._part_began = time.monotonic()
        for name, threads in ((READ, 1), (ENCODE, max(1, workers)), (STEP, 1), (NOTE, 1)):
            stages.add(name, threads)

    def run(self, on_window: Callable[[Window], None]) -> None:
        """
        Process every frame that is not in the journal yet, and complete the journal.

        :param on_window: called after each window; what it raises ends the run.
        :raises FloatingPointError: when the network's answer is not finite.
        """
        if self._journal.progress.complete:
            return
        if (memory := self._journal.snapshot()) is not None:
            restore_snapshot(self._segmenter, *memory)
        notes = _Notes(self._journal, self._stages)
        if self._workers:
            with _Behind() as behind, closing(self._ahead()) as ahead:
                for window in ahead:
                    results, snapshot = self._step(window), self._memory()
                    behind.call(partial(notes.add, window, results, snapshot))
                    on_window(window)
        else:
            for members in self._stages.each(READ, self._windows()):
                window = self._encode(members)
                notes.add(window, self._step(window), self._memory())
                on_window(window)
        notes.end_part(take_snapshot(self._segmenter))
        self._journal.complete(self._recording.damage)

    def _ahead(self) -> Generator[Window, None, None]:
        """Give the windows in order, while those behind them are being decoded and encoded."""
        ahead: Ahead = queue.Queue(self._workers + 1)
        with ThreadPoolExecutor(self._workers, 'encode') as pool:
            feeder = threading.Thread(target=self._feed, args=(pool, ahead), name='read')
            feeder.start()
            try:
                while (item := ahead.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item.result()
            finally:
                self._stopped.set()
                while feeder.is_alive():
                    with suppress(queue.Empty):
                        ahead.get(timeout=0.05)
                pool.shutdown(cancel_futures=True)

    def _feed(self, pool: ThreadPoolExecutor, ahead: Ahead) -> None:
        try:
            for window in self._stages.each(READ, self._windows()):
                if self._stopped.is_set():
                    return
                ahead.put(pool.submit(self._encode, window))
            ahead.put(None)
        except Exception as error:  # goes on in the thread that waits for windows
            ahead.put(error)

    def _windows(self) -> Iterator[list[Frame]]:
        first = self._journal.progress.next_index
        wanted = (frame for frame in frames(self._recording, self._cameras, self._choice)
                  if frame.index >= first)
        for _, members in groupby(wanted, key=lambda frame: frame.index // self._batch):
            yield list(members)

    def _encode(self, members: Sequence[Frame]) -> Window:
        """Decode some frames and run the early blocks on them."""
        pictures: dict[int, Picture] = {}
        errors: dict[int, str] = {}
        with self._stages.work(ENCODE, 'decode'):
            for frame in members:
                try:
                    pictures[frame.index] = decode_image(
                        frame.message.topic.kind, frame.message.data)
                except ImageError as error:
                    errors[frame.index] = str(error)
        with self._stages.work(ENCODE, 'early blocks'):
            encoded = self._segmenter.encode([
                FrameInput(picture.pixels, frame_id=picture.frame_id)
                for picture in pictures.values()])
        return Window(
            members, dict(zip(pictures, zip(pictures.values(), encoded, strict=True),
                              strict=True)), errors)

    def _step(self, window: Window) -> dict[int, tuple[FrameResult, int]]:
        """
        Run the last blocks on a window, cameras side by side; each keeps its order.

        :param window: the next one.
        :returns: result and origin of the camera's time scale, by index of the frame.
        """
        waiting: dict[int, list[Frame]] = {}
        for frame in window.frames:
            if frame.index in window.encoded:
                waiting.setdefault(frame.camera, []).append(frame)
        results: dict[int, tuple[FrameResult, int]] = {}
        with self._stages.work(STEP):
            for place in range(max(map(len, waiting.values()), default=0)):
                row = {camera: members[place] for camera, members in waiting.items()
                       if place < len(members)}
                given = {self._cameras[camera].topic.name: self._stamped(frame, window)
                         for camera, frame in row.items()}
                answers = self._segmenter.process_encoded(given)
                for frame, answer in zip(row.values(), answers.values(), strict=True):
                    results[frame.index] = (answer, self._origins[frame.camera])
        return results

    def _stamped(self, frame: Frame, window: Window) -> EncodedFrame:
        picture, encoded = window.encoded[frame.index]
        origin = self._origins.setdefault(frame.camera, picture.stamp)
        return replace(encoded, given=encoded.given._replace(
            stamp=seconds_on(origin, picture.stamp)))

    def _memory(self) -> Snapshot | None:
        """Give the memory when it is time to end a part."""
        now = time.monotonic()
        if now - self._part_began < PART_SECONDS:
            return None
        self._part_began = now
        return take_snapshot(self._segmenter)
