"""What can go wrong with a recording, and the exit codes that tell it."""

from __future__ import annotations

DONE = 0
FAILED = 1  # nothing was written; one line on stderr says why
DAMAGED = 3  # all that could be read was processed, and the report says what could not
INTERRUPTED = 130


class BagError(Exception):
    """Say in one sentence why there is no output."""


class BagDamage(Exception):
    """Say in one sentence where and how a recording is damaged; what came before it is good."""
