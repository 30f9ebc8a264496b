"""
A buffer of transforms: where one frame was in another at a moment of the past.

It does for this node what ``tf2_ros.Buffer`` does. That one has no wheel, and of its interface one
call is needed here; messages of ``tf2_msgs`` are read by their fields alone.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
import threading
from typing import Any

import numpy as np
from videomt_ros.ros.stamps import nanoseconds

_KEPT_NS = 10_000_000_000
_JUMP_NS = 1_000_000_000  # a stamp so far back is no late message, but another run of time


class TransformError(LookupError):
    """Say in one sentence which transform is not known."""


@dataclass
class _Edge:
    """
    How a frame moves in its parent.

    :param parent: the other frame.
    :param fixed: it never moves; the one entry holds at all times.
    :param stamps: nanoseconds, in order.
    :param entries: for each stamp, (7,) translation and unit quaternion x, y, z, w.
    """

    parent: str
    fixed: bool
    stamps: list[int] = field(default_factory=list)
    entries: list[np.ndarray] = field(default_factory=list)

    def add(self, stamp: int, entry: np.ndarray) -> None:
        """
        Put in where the frame was.

        :param stamp: in nanoseconds.
        :param entry: (7,).
        """
        if self.fixed or (self.stamps and stamp < self.stamps[-1] - _JUMP_NS):
            self.stamps.clear()
            self.entries.clear()
        place = bisect_left(self.stamps, stamp)
        known = place < len(self.stamps) and self.stamps[place] == stamp
        self.stamps[place:place + known] = [stamp]
        self.entries[place:place + known] = [entry]
        old = bisect_left(self.stamps, self.stamps[-1] - _KEPT_NS)
        del self.stamps[:old], self.entries[:old]

    def at(self, stamp: int, tolerance: float, frame: str) -> np.ndarray:
        """
        Tell where the frame was.

        :param stamp: in nanoseconds.
        :param tolerance: seconds for which the newest entry still holds.
        :param frame: name of the frame, for the error.
        :returns: (7,) between the entries before and after the stamp.
        :raises TransformError: there are none.
        """
        place = bisect_left(self.stamps, stamp)
        if self.fixed or (place < len(self.stamps) and self.stamps[place] == stamp):
            return self.entries[0 if self.fixed else place]
        what = f"where '{frame}' was in '{self.parent}'"
        if place == 0:
            raise TransformError(f'{what} is known from {(self.stamps[0] - stamp) / 1e9:.3f} s '
                                 'after the image on')
        if place == len(self.stamps):
            behind = (stamp - self.stamps[-1]) / 1e9
            if behind > tolerance:
                raise TransformError(f'{what} is known until {behind:.3f} s before the image; '
                                     f'expected at most transform_tolerance = {tolerance:g} s')
            return self.entries[-1]
        before, after = self.stamps[place - 1:place + 1]
        return _between(self.entries[place - 1], self.entries[place],
                        (stamp - before) / (after - before))


class TransformBuffer:
    """The tree of frames over the last ten seconds; any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edges: dict[str, _Edge] = {}  # by the frame that moves

    def add(self, message: Any, fixed: bool) -> None:
        """
        Take in what a transform broadcaster says.

        Entries that are no transforms (not finite, a quaternion of length 0, a frame in itself)
        are passed over, as tf2 does.

        :param message: a tf2_msgs/TFMessage.
        :param fixed: it came on /tf_static.
        """
        for transform in message.transforms:
            parent, child = (name.lstrip('/') for name in (
                transform.header.frame_id, transform.child_frame_id))
            entry = _entry(transform.transform)
            if entry is None or not parent or not child or parent == child:
                continue
            with self._lock:
                edge = self._edges.get(child)
                if edge is None or (edge.parent, edge.fixed) != (parent, fixed):
                    edge = self._edges[child] = _Edge(parent, fixed)
                edge.add(nanoseconds(transform.header.stamp), entry)

    def pose(self, source: str, target: str, stamp: int, tolerance: float) -> np.ndarray:
        """
        Tell where a frame was in another one.

        :param source: name of the frame.
        :param target: name of the other one.
        :param stamp: in nanoseconds.
        :param tolerance: seconds for which a newest known transform still holds.
        :returns: (4, 4) that maps points of the source into the target.
        :raises TransformError: there is no way between them at that time.
        """
        source, target = source.lstrip('/'), target.lstrip('/')
        with self._lock:
            ups, downs = self._chain(source), self._chain(target)
            common = next((frame for frame in ups if frame in downs), None)
            if common is None:
                for name in (source, target):
                    if not any(name in (child, edge.parent)
                               for child, edge in self._edges.items()):
                        raise TransformError(f"frame '{name}' is not in /tf or /tf_static")
                raise TransformError(f"nothing connects '{source}' with '{target}' in /tf")
            return (np.linalg.inv(self._rise(downs, common, stamp, tolerance))
                    @ self._rise(ups, common, stamp, tolerance))

    def _chain(self, frame: str) -> list[str]:
        """
        List a frame and all that it stands in; the lock is held.

        :param frame: its name.
        :returns: names, the frame first, the root last.
        """
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None and edge.parent not in chain:
            chain.append(edge.parent)
        return chain

    def _rise(self, chain: list[str], end: str, stamp: int, tolerance: float) -> np.ndarray:
        """
        Go up a chain; the lock is held.

        :param chain: of :meth:`_chain`.
        :param end: a frame of the chain.
        :param stamp: in nanoseconds.
        :param tolerance: see :meth:`pose`.
        :returns: (4, 4) pose of the first frame in the end.
        :raises TransformError: a transform is not known at the time.
        """
        pose = np.eye(4)
        for frame in chain[:chain.index(end)]:
            pose = _matrix(self._edges[frame].at(stamp, tolerance, frame)) @ pose
        return pose


def _entry(transform: Any) -> np.ndarray | None:
    """
    Read a transform.

    :param transform: a geometry_msgs/Transform.
    :returns: (7,) with a unit quaternion; None for what is none.
    """
    t, q = transform.translation, transform.rotation
    entry = np.array((t.x, t.y, t.z, q.x, q.y, q.z, q.w))
    length = float(np.linalg.norm(entry[3:]))
    if not np.isfinite(entry).all() or length < 1e-6:
        return None
    entry[3:] /= length
    return entry


def _between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """
    Interpolate: translations along a line, rotations at an even rate the short way round.

    :param first: (7,).
    :param second: (7,).
    :param share: 0 gives the first, 1 the second.
    :returns: (7,).
    """
    p, q = first[3:], second[3:]
    cosine = float(p @ q)
    if cosine < 0:
        q, cosine = -q, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-4:  # the sine would divide by nothing, and a straight line is as good
        turned = (1 - share) * p + share * q
    else:
        turned = (np.sin((1 - share) * angle) * p + np.sin(share * angle) * q) / np.sin(angle)
    return np.concatenate(((1 - share) * first[:3] + share * second[:3],
                           turned / np.linalg.norm(turned)))


def _matrix(entry: np.ndarray) -> np.ndarray:
    """
    Turn a transform into a matrix.

    :param entry: (7,).
    :returns: (4, 4).
    """
    x, y, z, w = entry[3:]
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    matrix[:3, 3] = entry[:3]
    return matrix
