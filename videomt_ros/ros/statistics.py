"""
What happened to the images of one camera: counters, and rates over a sliding window.

Times are those of the monotonic clock, so that a simulation that is paused or jumps back changes
no rate. Only the age of an image is measured on the node's clock, as its stamp is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
import time

import numpy as np
from videomt_ros.ros.drops import Drop

_WINDOW_S = 10.0
_CAUSES_COUNTED = 50  # all further causes are counted as one


class _Window:
    """
    The numbers of the last seconds.

    :param clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._entries: deque[tuple[float, float]] = deque()

    def __len__(self) -> int:
        """Count them."""
        self._forget()
        return len(self._entries)

    def add(self, value: float) -> None:
        """
        Add a number.

        :param value: the number.
        """
        self._entries.append((self._clock(), value))
        self._forget()

    def _forget(self) -> None:
        """Drop what is older than the window."""
        start = self._clock() - _WINDOW_S
        while self._entries and self._entries[0][0] < start:
            self._entries.popleft()

    def rate(self) -> float:
        """
        Count numbers per second.

        :returns: over the window, or over the time since the start while that is shorter.
        """
        return len(self) / max(1.0, min(_WINDOW_S, self._clock() - self._since))

    def percentiles(self, *ranks: float) -> list[float]:
        """
        Give percentiles of the numbers.

        :param ranks: 0 to 100.
        :returns: one per rank; nan without numbers.
        """
        self._forget()
        if not self._entries:
            return [float('nan')] * len(ranks)
        return [float(p) for p in np.percentile([value for _, value in self._entries], ranks)]


@dataclass(frozen=True)
class Snapshot:
    """
    The state of one camera's statistics.

    :param input_rate: images received, 1/s over the last 10 s.
    :param output_rate: results published, 1/s over the last 10 s.
    :param age_ms: median and 95th percentile of now minus stamp at publication, nan without.
    :param received: images since activation.
    :param answered: results since activation.
    :param dropped: sound images that got no result, by reason.
    :param failed: images since activation that gave no result, by cause.
    :param recent: images received, skipped for a newer one, and failed over the last 10 s.
    :param failing: cause of the newest image's failure; None if it gave a result.
    :param late_by: age of the newest image in seconds if it was dropped for that, else None.
    :param stage_ms: median time of each stage over the last 10 s.
    :param stage_high_ms: 95th percentile of the same.
    :param tracks: in the newest result.
    :param epoch: of the newest result.
    :param last_reset: what the memory was last reset for, and seconds since; None if never.
    """

    input_rate: float
    output_rate: float
    age_ms: tuple[float, float]
    received: int
    answered: int
    dropped: Mapping[Drop, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    recent: tuple[int, int, int] = (0, 0, 0)
    failing: str | None = None
    late_by: float | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    stage_high_ms: Mapping[str, float] = field(default_factory=dict)
    tracks: int = 0
    epoch: int = 0
    last_reset: tuple[str, float] | None = None


class Statistics:
    """
    Counters of one camera; any thread may call any method.

    :param clock: gives seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._arrivals, self._answers, self._ages, self._skips, self._failures = (
            _Window(clock) for _ in range(5))
        self._stages: dict[str, _Window] = {}
        self._received = self._answered = self._tracks = self._epoch = 0
        self._dropped: Counter[Drop] = Counter()
        self._failed: Counter[str] = Counter()
        self._failing: str | None = None
        self._late_by: float | None = None
        self._reset: tuple[str, float] | None = None

    def received(self) -> None:
        """Count an image that has come."""
        with self._lock:
            self._received += 1
            self._arrivals.add(1.0)

    def dropped(self, reason: Drop) -> None:
        """
        Count a sound image that gets no result.

        :param reason: why.
        """
        with self._lock:
            self._dropped[reason] += 1
            if reason is Drop.NEWER:
                self._skips.add(1.0)

    def late(self, age: float) -> None:
        """
        Remember that the newest image was dropped for its age.

        :param age: in seconds.
        """
        with self._lock:
            self._late_by = age

    def failed(self, cause: str) -> None:
        """
        Count an image that gave no result.

        :param cause: in words that are the same for like images.
        """
        with self._lock:
            if cause not in self._failed and len(self._failed) >= _CAUSES_COUNTED:
                cause = 'other'
            self._failed[cause] += 1
            self._failures.add(1.0)
            self._failing, self._late_by = cause, None

    def answered(self, age_ms: float, stages: Mapping[str, float], tracks: int,
                 epoch: int) -> None:
        """
        Count a result.

        :param age_ms: now minus the stamp of its image.
        :param stages: milliseconds by name.
        :param tracks: in the result.
        :param epoch: of the result.
        """
        with self._lock:
            self._answered += 1
            self._answers.add(1.0)
            self._ages.add(age_ms)
            for name, milliseconds in stages.items():
                if name not in self._stages:
                    self._stages[name] = _Window(self._clock)
                self._stages[name].add(milliseconds)
            self._tracks, self._epoch = tracks, epoch
            self._failing = self._late_by = None

    def memory_reset(self, reason: str) -> None:
        """
        Remember why the memory was reset; ages measured before are forgotten.

        :param reason: in words.
        """
        with self._lock:
            self._reset = (reason, self._clock())
        self.forget_ages()

    def forget_ages(self) -> None:
        """Drop the ages, which were measured on a clock that has been set since."""
        with self._lock:
            self._ages = _Window(self._clock)
            self._late_by = None

    def snapshot(self) -> Snapshot:
        """
        Read everything at once.

        :returns: the state now.
        """
        with self._lock:
            median, high = self._ages.percentiles(50, 95)
            stages = {
                name: window.percentiles(50, 95) for name, window in self._stages.items()}
            return Snapshot(
                input_rate=self._arrivals.rate(), output_rate=self._answers.rate(),
                age_ms=(median, high), received=self._received, answered=self._answered,
                dropped=dict(self._dropped), failed=dict(self._failed),
                recent=(len(self._arrivals), len(self._skips), len(self._failures)),
                failing=self._failing, late_by=self._late_by,
                stage_ms={name: middle for name, (middle, _) in stages.items()},
                stage_high_ms={name: upper for name, (_, upper) in stages.items()},
                tracks=self._tracks, epoch=self._epoch,
                last_reset=self._reset and (self._reset[0], self._clock() - self._reset[1]))
