"""Where the time goes: which stage of the pipeline keeps the others waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import threading
import time
from typing import TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class StageReport:
    """
    One stage of a run.

    :param name: of the stage.
    :param busy: seconds of work, over all its threads; without waiting for other stages.
    :param threads: how many threads do it.
    :param share: 0..1 of the run's time in which one of its threads was at work.
    :param parts: seconds by part of the work.
    """

    name: str
    busy: float
    threads: int
    share: float
    parts: Mapping[str, float]


class Stages:
    """A clock for each stage; any thread may use it."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._lock = threading.Lock()
        self._busy: dict[str, float] = {}
        self._parts: dict[str, dict[str, float]] = {}
        self._threads: dict[str, int] = {}

    def add(self, name: str, threads: int = 1) -> None:
        """
        Name a stage.

        :param name: of the stage.
        :param threads: that do it.
        """
        with self._lock:
            self._threads[name] = threads
            self._busy.setdefault(name, 0.0)
            self._parts.setdefault(name, {})

    @contextmanager
    def work(self, name: str, part: str = '') -> Iterator[None]:
        """
        Count the time within as work of a stage.

        :param name: of the stage.
        :param part: of the work, for the details.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.count(name, time.perf_counter() - start, part)

    def count(self, name: str, seconds: float, part: str = '') -> None:
        """
        Count time as work of a stage.

        :param name: of the stage.
        :param seconds: that it took.
        :param part: of the work, for the details.
        """
        with self._lock:
            self._busy[name] += seconds
            if part:
                self._parts[name][part] = self._parts[name].get(part, 0.0) + seconds

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """
        Count the making of items as work of a stage.

        :param name: of the stage.
        :param items: made one by one.
        :returns: the same.
        """
        items = iter(items)
        while True:
            with self.work(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def report(self) -> list[StageReport]:
        """
        Sum up the time since the clocks were made.

        :returns: the stages, the busiest first: it is the one that limits the speed.
        """
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        with self._lock:
            reports = [
                StageReport(name, self._busy[name], threads,
                            self._busy[name] / elapsed / threads, dict(self._parts[name]))
                for name, threads in self._threads.items()]
        return sorted(reports, key=lambda each: -each.share)


def describe(reports: Iterable[StageReport], frames: int) -> list[str]:
    """
    Put the report into lines for a person.

    :param reports: the busiest stage first.
    :param frames: that were processed in this time.
    :returns: the lines.
    """
    lines = []
    for i, each in enumerate(reports):
        parts = ', '.join(f'{name} {1e3 * seconds / max(frames, 1):.1f}'
                          for name, seconds in each.parts.items())
        lines.append(
            f'  {each.name:<8}{1e3 * each.busy / max(frames, 1):8.1f} ms a frame, busy '
            f'{each.share:4.0%} of the time in {each.threads} thread'
            f'{"s" if each.threads > 1 else ""}{f" ({parts})" if parts else ""}'
            f'{"  <- limits the speed" if i == 0 else ""}')
    return lines
