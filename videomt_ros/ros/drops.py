"""Images that get no answer although nothing is wrong with them, and why."""

from __future__ import annotations

from enum import Enum

CLOCKS_DIFFER_S = 3600.0  # an age of over an hour is that of a recording


class Drop(Enum):
    """The reason, as the diagnostics word it."""

    NEWER = 'skipped for a newer one'
    PAUSED = 'dropped while paused'
    MAX_RATE = 'dropped above max_rate'
    MAX_AGE = 'dropped as older than max_age'
    CLOCK = 'dropped as of before the clock went back'


class RateLimit:
    """
    Lets so many images through that their mean rate is the one asked for.

    A camera of 30 Hz whose images come unevenly still gives 10 of them a second: what comes a
    little late does not move the moment from which the next one is welcome.
    """

    def __init__(self) -> None:
        self._due = float('-inf')

    def admits(self, rate: float, now: float) -> bool:
        """
        Decide about an image.

        :param rate: images per second; 0 for any number.
        :param now: seconds of a clock that never jumps.
        :returns: whether it may go on.
        """
        if rate <= 0:
            return True
        period = 1 / rate
        self._due = min(self._due, now + period)  # the rate may have been lower before
        if now < self._due:
            return False
        late = now - self._due
        self._due = now + period - (late if late < period else 0.0)
        return True


def age_complaint(age: float) -> str:
    """
    Say that images are dropped as too old, with the remedy.

    :param age: of the newest one in seconds, over ``max_age``.
    :returns: a sentence without a full stop.
    """
    text = f'the newest image was {age:.1f} s old at its turn and was dropped, see max_age'
    if age > CLOCKS_DIFFER_S:
        text += "; its stamp is not of this node's clock, see use_sim_time"
    return text
