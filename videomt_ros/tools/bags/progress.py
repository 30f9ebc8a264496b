"""How far a run has come, for a person who waits."""

from __future__ import annotations

from collections.abc import Sequence
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .cameras import Camera
from .pipeline import Window
from .reading import Recording
from .settings import Settings
from .single import Watcher

_LINE_SECONDS = 10.0  # between two lines, where there is no terminal to draw a bar in


class ProgressBar(Watcher):
    """A bar with rate and time left on stderr; without a terminal a line now and then."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        self._bar = Progress(
            TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(),
            TextColumn('{task.fields[rate]}'), console=self._console, transient=True)
        self._span: tuple[int, int] | None = None
        self._frames = 0
        self._first = 0.0
        self._began = self._said = time.monotonic()

    def begin(self, recording: Recording, cameras: Sequence[Camera], settings: Settings,
              resumed: int) -> None:
        """Show the bar."""
        start, stop = settings.choice.range_of(recording)
        start = recording.start if start is None else start
        stop = recording.end if stop is None or recording.end is None else min(stop, recording.end)
        if start is not None and stop is not None:
            self._span = (start, max(stop, start + 1))
        if resumed:
            self._console.print(f'{resumed} frames are done already', highlight=False)
        self._frames, self._first = 0, -1.0
        self._began = self._said = time.monotonic()
        self._task = self._bar.add_task(recording.path.name, total=1.0, rate='')
        if self._console.is_terminal:
            self._bar.start()

    def advance(self, window: Window) -> None:
        """Show how far the recording's clock has come."""
        if self._span is None:
            return
        self._frames += len(window.frames)
        start, stop = self._span
        done = min(1.0, (window.frames[-1].message.time - start) / (stop - start))
        if self._first < 0:  # the rate of the recording's clock counts from the first window on
            self._first = max(0.0, (window.frames[0].message.time - start) / (stop - start))
        elapsed = max(time.monotonic() - self._began, 1e-6)
        speed = max(done - self._first, 1e-9) / elapsed
        text = f'{self._frames / elapsed:.1f} frames/s, {_clock((1 - done) / speed)} left'
        self._bar.update(self._task, completed=done, rate=text)
        if not self._console.is_terminal and time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            self._console.print(f'{done:4.0%}, {self._frames} frames, {text}', highlight=False)

    def end(self) -> None:
        """Take the bar away."""
        if self._console.is_terminal:
            self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'
