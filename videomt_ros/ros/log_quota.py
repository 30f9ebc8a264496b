"""A limit to what one camera may write into the log, which has to last for weeks."""

from __future__ import annotations

_SECONDS = 60.0


class LogQuota:
    """
    Lets so many lines a minute through, and counts the others.

    :param lines: at most, within a minute.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._began = float('-inf')
        self._used = self._hidden = 0

    def grant(self, now: float) -> str | None:
        """
        Ask for a line.

        :param now: seconds of a clock that never jumps.
        :returns: None for no line; else what to add to it, empty unless lines were left out.
        """
        if now - self._began >= _SECONDS:
            self._began, self._used = now, 0
        if self._used >= self._lines:
            self._hidden += 1
            return None
        self._used += 1
        hidden, self._hidden = self._hidden, 0
        return f' ({hidden} like it were not logged)' if hidden else ''
