"""What makes an object move: it rests, falls in, gets kicked, drives a path or spins."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Protocol

from numpy.random import Generator

from .body import Body, heading, Quaternion, Vector

_UPRIGHT = 0.8


class Motion(Protocol):
    """Something that acts on a body before each physics step."""

    def step(self, body: Body, time: float) -> None:
        """
        Act on the body.

        :param body: the body.
        :param time: seconds since the scene's first frame; negative while the scene settles.
        """


class Rest:
    """Leaves the body to gravity and to whatever bumps into it."""

    def step(self, body: Body, time: float) -> None:
        """
        Do nothing.

        :param body: the body.
        :param time: seconds since the first frame.
        """


class Drop:
    """
    Holds the body above the picture and lets it fall.

    :param release: seconds since the first frame.
    :param position: where it hangs, in metres.
    :param orientation: how it hangs.
    """

    def __init__(self, release: float, position: Vector, orientation: Quaternion) -> None:
        self._release = release
        self._position = position
        self._orientation = orientation

    def step(self, body: Body, time: float) -> None:
        """
        Hold the body until its time has come.

        :param body: the body.
        :param time: seconds since the first frame.
        """
        if time < self._release:
            body.place(self._position, self._orientation)


class Kick:
    """
    Sends the body sliding or rolling towards points of the floor.

    :param kicks: (seconds since the first frame, target x, target y, speed in m/s, spin in
        rad/s) in the order of time.
    """

    def __init__(self, kicks: Sequence[tuple[float, float, float, float, float]]) -> None:
        self._kicks = list(kicks)

    def step(self, body: Body, time: float) -> None:
        """
        Kick the body when a kick is due.

        :param body: the body.
        :param time: seconds since the first frame.
        """
        if not self._kicks or time < self._kicks[0][0]:
            return
        _, x, y, speed, spin = self._kicks.pop(0)
        position, _ = body.pose()
        angle = math.atan2(y - position[1], x - position[0])
        body.push((speed * math.cos(angle), speed * math.sin(angle), 0.0), (0.0, 0.0, spin))


class Drive:
    """
    Steers the body from waypoint to waypoint, round and round, as long as it stands upright.

    :param waypoints: points of the floor in metres.
    :param speed: metres a second.
    :param agility: largest rate of turn in radians a second.
    """

    def __init__(self, waypoints: Sequence[tuple[float, float]], speed: float,
                 agility: float) -> None:
        self._waypoints = list(waypoints)
        self._speed = speed
        self._agility = agility
        self._next = 0

    def step(self, body: Body, time: float) -> None:
        """
        Drive on.

        :param body: the body.
        :param time: seconds since the first frame.
        """
        position, orientation = body.pose()
        yaw, upright = heading(orientation)
        if upright < _UPRIGHT:
            return
        x, y = self._waypoints[self._next]
        dx, dy = x - position[0], y - position[1]
        if dx * dx + dy * dy < 0.25:
            self._next = (self._next + 1) % len(self._waypoints)
        error = math.remainder(math.atan2(dy, dx) - yaw, 2 * math.pi)
        turn = max(-self._agility, min(self._agility, 3.0 * error))
        speed = self._speed * max(0.3, math.cos(error))
        body.push((speed * math.cos(yaw), speed * math.sin(yaw), body.vertical_speed()),
                  (0.0, 0.0, turn))


class Spin:
    """
    Turns the body on the spot, as on a turntable.

    :param rate: radians a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def step(self, body: Body, time: float) -> None:
        """
        Turn on.

        :param body: the body.
        :param time: seconds since the first frame.
        """
        _, orientation = body.pose()
        if abs(heading(orientation)[1]) > _UPRIGHT:
            body.push((0.0, 0.0, body.vertical_speed()), (0.0, 0.0, self._rate))


def _floor_point(rng: Generator, radius: float) -> tuple[float, float]:
    distance, angle = radius * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
    return float(distance * math.cos(angle)), float(distance * math.sin(angle))


def random_motion(rng: Generator, vehicle: bool, ball: bool, position: Vector,
                  orientation: Quaternion) -> Motion:
    """
    Draw what an object does.

    :param rng: source of chance.
    :param vehicle: whether it is one of the objects that drive.
    :param ball: whether it rolls.
    :param position: where it stands in metres.
    :param orientation: how it would fall, as a quaternion.
    :returns: its motion.
    """
    if vehicle:
        odds = (0.15, 0.05, 0.10, 0.60, 0.10)
    elif ball:
        odds = (0.10, 0.25, 0.55, 0.00, 0.10)
    else:
        odds = (0.28, 0.22, 0.22, 0.18, 0.10)
    choice = int(rng.choice(5, p=odds))
    if choice == 0:
        return Rest()
    if choice == 1:
        return Drop(float(rng.uniform(0.0, 3.5)), (position[0], position[1], 5.0 + position[2]),
                    orientation)
    if choice == 2:
        kicks, time = [], float(rng.uniform(0.0, 1.5))
        while time < 60.0:
            kicks.append((time, *_floor_point(rng, 1.5), float(rng.uniform(0.8, 3.0)),
                          float(rng.uniform(-6.0, 6.0))))
            time += float(rng.uniform(1.5, 4.0))
        return Kick(kicks)
    if choice == 3:
        return Drive([_floor_point(rng, 2.8) for _ in range(8)], float(rng.uniform(0.3, 1.2)),
                     float(rng.uniform(1.0, 3.0)))
    return Spin(float(rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 2.5)))
