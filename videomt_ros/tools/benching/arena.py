"""
Contenders in turn on the same frames, each in a process of its own.

Only one works at a time, and they take turns, so that whatever slows the machine down for a while
slows down all of them. A process of its own has threads and memory of its own, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
import re
from typing import Any

from videomt_ros.perception import FrameInput
from videomt_ros.perception.engines import EngineError

from .agreement import Picture
from .contenders import Contender, OurRunner


class ContenderError(Exception):
    """Why a contender cannot take part, in one sentence."""


@dataclass
class Record:
    """
    What was measured of one contender.

    :param contender: who.
    :param frames: milliseconds by stage of each frame, clip after clip.
    :param pictures: what was seen in the first clip.
    :param cameras: milliseconds of steps with one camera and with two.
    :param memory: resident megabytes, after the first clip and at the end, and the peak.
    """

    contender: Contender
    frames: list[dict[str, float]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    cameras: dict[int, list[float]] = field(default_factory=lambda: {1: [], 2: []})
    memory: dict[str, float] = field(default_factory=dict)


class Booth:
    """
    The process of one contender, to be used as a context manager.

    :param contender: who; loaded when the context is entered.
    :param frames: of one camera.
    """

    def __init__(self, contender: Contender, frames: Sequence[FrameInput]) -> None:
        self.record = Record(contender)
        context = multiprocessing.get_context('spawn')
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(there, contender, frames), daemon=True)

    def __enter__(self) -> Booth:
        self._process.start()
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()  # ends the process
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def clip(self, count: int, keep: bool = True) -> None:
        """
        Run a clip.

        :param count: the first so many frames.
        :param keep: False to warm up only.
        """
        wanted = keep and not self.record.pictures
        stages, pictures, memory = self._ask('clip', count, wanted)
        if keep:
            self.record.frames += stages
            if wanted:
                self.record.pictures = pictures
                self.record.memory = {'first': memory['now']}
            self.record.memory |= {'last': memory['now'], 'peak': memory['peak']}

    def cameras(self, steps: int) -> None:
        """
        Run steps of one camera and of two, by turns.

        :param steps: of each; one more is run first and not counted.
        """
        for count in self.record.cameras:
            self._ask('cameras', count)
        for _ in range(steps):
            for count, times in self.record.cameras.items():
                times.append(self._ask('cameras', count))

    def _ask(self, *question: Any) -> Any:
        self._here.send(question)
        return self._answer()

    def _answer(self) -> Any:
        try:
            kind, value = self._here.recv()
        except EOFError:
            self._process.join()
            raise ContenderError(
                f'{self.record.contender.name}: its process has ended with code '
                f'{self._process.exitcode}') from None
        if kind == 'error':
            raise ContenderError(f'{self.record.contender.name}: {value}')
        return value


def _serve(pipe: Connection, contender: Contender, frames: Sequence[FrameInput]) -> None:
    """Do what is asked, until nobody asks any more."""
    try:
        runner = contender.load()
        pipe.send(('ready', None))
    except (EngineError, ImportError, ValueError) as error:
        pipe.send(('error', ' '.join(str(error).split())))
        return
    while True:
        try:
            what, count, *rest = pipe.recv()
        except EOFError:
            return
        if what == 'clip':
            measured = runner.clip(frames[:count])
            pipe.send(('clip', (
                [each.stages for each in measured],
                [each.picture for each in measured] if rest[0] else [], memory_megabytes())))
            del measured  # or the pictures of this clip would count as memory of the next
        else:
            assert isinstance(runner, OurRunner)
            pipe.send(('cameras', runner.cameras(frames[0], count)))


def memory_megabytes(process: int | str = 'self') -> dict[str, float]:
    """
    Look up the resident memory of a process.

    :param process: its number.
    :returns: 'now' and 'peak'.
    """
    status = Path(f'/proc/{process}/status').read_text()
    return {
        name: int(re.search(rf'{key}:\s+(\d+) kB', status)[1]) / 1000  # type: ignore[index]
        for name, key in (('now', 'VmRSS'), ('peak', 'VmHWM'))}
