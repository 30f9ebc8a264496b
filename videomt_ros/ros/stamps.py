"""
Stamps as seconds, and back without loss.

A float64 of seconds since 1970 is some 200 ns coarse, so a stamp would not survive the way through
the perception layer. Seconds since a camera's first image are exact for a hundred days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time

_NANO = 1_000_000_000


class StampScale:
    """
    The time scale of one camera, which starts at its first stamp.

    :param first: the stamp that becomes second zero.
    """

    def __init__(self, first: Time) -> None:
        self._origin = nanoseconds(first)

    def seconds(self, stamp: Time) -> float:
        """
        Place a stamp on the scale.

        :param stamp: of an image.
        :returns: seconds since the first stamp, negative before it.
        """
        return (nanoseconds(stamp) - self._origin) / _NANO

    def stamp(self, seconds: float) -> Time:
        """
        Undo :meth:`seconds`.

        :param seconds: on this scale.
        :returns: the stamp, to the nanosecond.
        """
        from builtin_interfaces.msg import Time  # the rest is of use where there is no ROS
        sec, nanosec = divmod(self._origin + round(seconds * _NANO), _NANO)
        return Time(sec=sec, nanosec=nanosec)


def nanoseconds(stamp: Time) -> int:
    """
    Count the nanoseconds of a stamp.

    :param stamp: since 1970, or since the start of a simulation.
    :returns: the count.
    """
    return stamp.sec * _NANO + stamp.nanosec
