"""Finds the depth image that belongs to a colour image, and waits for none."""

from __future__ import annotations

from collections import deque
import threading
from typing import TYPE_CHECKING

from videomt_ros.ros.stamps import nanoseconds

if TYPE_CHECKING:  # the messages of a recording are read where there is no ROS
    from sensor_msgs.msg import Image

KEPT = 8  # depth images of which one may belong to the next image
_IN_FLIGHT = 2  # images of a camera: one in the network, the one before being published


class DepthPairing:
    """
    The newest depth images of one camera; any thread may call any method.

    The network may take longer than the messages that are kept span, so it is told beforehand
    which stamp is going to be asked for: of the image whose turn in the network has come, while
    the one before it is still to be published.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: deque[Image] = deque(maxlen=KEPT)
        # To each stamp that is announced, in nanoseconds; the latest at the end.
        self._nearest: dict[int, Image | None] = {}

    def add(self, image: Image) -> None:
        """
        Keep a depth image.

        :param image: the message, not to be changed afterwards.
        """
        with self._lock:
            self._newest.append(image)
            for stamp, nearest in self._nearest.items():
                self._nearest[stamp] = _nearer(stamp, nearest, image)

    def expect(self, stamp: int) -> None:
        """
        Announce the stamp of the image whose turn has come; that of the one before stays known.

        :param stamp: in nanoseconds.
        """
        with self._lock:
            self._nearest.pop(stamp, None)
            while len(self._nearest) >= _IN_FLIGHT:
                del self._nearest[next(iter(self._nearest))]
            nearest = None
            for image in self._newest:
                nearest = _nearer(stamp, nearest, image)
            self._nearest[stamp] = nearest

    def take(self, stamp: int, tolerance: float) -> Image | None:
        """
        Give the depth image for an announced stamp, out of all that have come until now.

        :param stamp: in nanoseconds, one of the two that were announced last.
        :param tolerance: seconds by which the stamp of the depth may differ from it.
        :returns: None where no stamp is near enough.
        """
        with self._lock:
            nearest = self._nearest.get(stamp)
            if nearest is None or _distance(stamp, nearest) > 1e9 * tolerance:
                return None
            return nearest

    def latest(self) -> int | None:
        """
        Tell how far depth has come.

        :returns: stamp of the latest depth image in nanoseconds; None without any.
        """
        with self._lock:
            return nanoseconds(self._newest[-1].header.stamp) if self._newest else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._newest.clear()
            self._nearest.clear()


def _nearer(stamp: int, first: Image | None, second: Image) -> Image:
    """
    Choose between two depth images.

    :param stamp: in nanoseconds.
    :param first: the best so far, or None.
    :param second: another one.
    :returns: the one nearer to the stamp, of equally near ones the second.
    """
    if first is None or _distance(stamp, second) <= _distance(stamp, first):
        return second
    return first


def _distance(stamp: int, image: Image) -> int:
    return abs(nanoseconds(image.header.stamp) - stamp)
