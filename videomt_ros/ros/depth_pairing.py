"""Finds the depth image that belongs to a colour image, and waits for none."""

from __future__ import annotations

from collections import deque
import threading
from typing import TYPE_CHECKING

from videomt_ros.ros.stamps import nanoseconds

if TYPE_CHECKING:  # the messages of a recording are read where there is no ROS
    from sensor_msgs.msg import Image

KEPT = 8  # depth images of which one may belong to the next image


class DepthPairing:
    """
    The newest depth images of one camera; any thread may call any method.

    The network may take longer than the messages that are kept span, so it is told beforehand
    which stamp is going to be asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: deque[Image] = deque(maxlen=KEPT)
        self._wanted: int | None = None  # nanoseconds
        self._nearest: Image | None = None  # to the wanted stamp

    def add(self, image: Image) -> None:
        """
        Keep a depth image.

        :param image: the message, not to be changed afterwards.
        """
        with self._lock:
            self._newest.append(image)
            if self._wanted is not None:
                self._nearest = self._nearer(self._nearest, image)

    def expect(self, stamp: int) -> None:
        """
        Announce the stamp of the image whose turn has come.

        :param stamp: in nanoseconds.
        """
        with self._lock:
            self._wanted, self._nearest = stamp, None
            for image in self._newest:
                self._nearest = self._nearer(self._nearest, image)

    def _nearer(self, first: Image | None, second: Image) -> Image:
        """
        Choose between two depth images; the lock is held.

        :param first: the best so far, or None.
        :param second: another one.
        :returns: the one nearer to the wanted stamp, of equally near ones the second.
        """
        if first is None or self._distance(second) <= self._distance(first):
            return second
        return first

    def _distance(self, image: Image) -> int:
        assert self._wanted is not None
        return abs(nanoseconds(image.header.stamp) - self._wanted)

    def take(self, tolerance: float) -> Image | None:
        """
        Give the depth image for the announced stamp, out of all that have come until now.

        :param tolerance: seconds by which its stamp may differ.
        :returns: None where no stamp is near enough.
        """
        with self._lock:
            if self._nearest is None or self._distance(self._nearest) > 1e9 * tolerance:
                return None
            return self._nearest

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
            self._wanted = self._nearest = None
