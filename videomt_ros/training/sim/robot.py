"""The robot that carries the camera: it drives around the objects and turns its eyes to them."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from .geometry import Array, BODY_FROM_OPTICAL, camera_matrix, rotation_rpy, transform

_MAX_SPEED = 0.8
_MAX_ACCELERATION = 1.5
_MAX_TURN = 1.1
_CLEARANCE = 0.9


class Robot:
    """
    An omnidirectional base with a camera fixed on it.

    :param rng: source of chance.
    :param width: picture width in pixels.
    :param height: picture height in pixels.
    :param room: half the side of the square in metres that it must not leave.
    """

    def __init__(self, rng: Generator, width: int, height: int, room: float) -> None:
        self._rng = rng
        self._room = room - 0.4
        self.camera_matrix = camera_matrix(width, height, rng.uniform(0.95, 1.25))
        self._distance = float(rng.uniform(1.6, 2.8))
        self._breath = (float(rng.uniform(0.0, 0.7)), float(rng.uniform(4.0, 9.0)))
        mount = float(rng.uniform(0.4, 1.2))
        pitch = math.atan2(mount - 0.25, self._distance) + float(rng.normal(0.0, 0.05))
        self.mount = transform(rotation_rpy(0.0, pitch, 0.0) @ BODY_FROM_OPTICAL,
                               (0.1, 0.0, mount))
        self._around = (float(rng.uniform(0.1, 0.6)), float(rng.uniform(5.0, 14.0)),
                        float(rng.uniform(0, 2 * math.pi)))
        self._glance = (float(rng.uniform(0.05, 0.6)), float(rng.uniform(3.0, 8.0)),
                        float(rng.uniform(0, 2 * math.pi)))
        self._position = np.zeros(2)
        self._velocity = np.zeros(2)
        self._yaw = 0.0
        self.turn_rate = 0.0
        self._target = 0
        self._gaze = np.zeros(2)
        self._look_until = 0.0

    @property
    def base_pose(self) -> Array:
        """Tell the (4,4) pose of the base in the world, on the floor."""
        return transform(rotation_rpy(0.0, 0.0, self._yaw),
                         (float(self._position[0]), float(self._position[1]), 0.0))

    @property
    def camera_pose(self) -> Array:
        """Tell the (4,4) pose of the optical frame in the world."""
        return self.base_pose @ self.mount

    def start(self, places: Array, radii: Array) -> None:
        """
        Choose where to begin: the freest of some random points around the objects.

        :param places: (N,2) where the objects stand, in metres.
        :param radii: (N,) their radii in metres.
        """
        centre = places.mean(0)
        angles = self._rng.uniform(0, 2 * math.pi, 12)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        options = np.clip(centre + self._distance * ring, -self._room, self._room)
        gaps = (np.linalg.norm(options[:, None] - places[None], axis=2) - radii).min(1)
        self._position = options[int(np.argmax(np.minimum(gaps, 1.5)))]
        self._gaze = centre
        self._yaw = self._bearing(0.0)

    def _bearing(self, time: float) -> float:
        """Tell the yaw to turn to: at what it looks at, with a glance to the side."""
        amplitude, period, phase = self._glance
        aim = self._gaze - self._position
        return (math.atan2(aim[1], aim[0])
                + amplitude * math.sin(2 * math.pi * time / period + phase))

    def _look_at(self, places: Array, time: float, dt: float) -> None:
        if time >= self._look_until:
            near = np.flatnonzero(np.linalg.norm(places, axis=1) < 3.2)
            self._target = int(self._rng.choice(near)) if len(near) else -1
            self._look_until = time + float(self._rng.uniform(1.2, 3.5))
        centre = np.clip(places, -2.5, 2.5).mean(0)
        goal = centre if self._target < 0 else 0.5 * (centre + np.clip(
            places[self._target], -3.5, 3.5))
        self._gaze = self._gaze + (goal - self._gaze) * min(1.0, dt / 0.7)

    def _wanted_velocity(self, places: Array, radii: Array, time: float) -> Array:
        centre = np.clip(places, -2.0, 2.0).mean(0)
        outward = self._position - centre
        distance = max(float(np.linalg.norm(outward)), 1e-3)
        outward = outward / distance
        amplitude, period = self._breath
        goal = self._distance + amplitude * math.sin(2 * math.pi * time / period)
        speed, period, phase = self._around
        along = speed * math.sin(2 * math.pi * time / period + phase)
        wanted = (0.8 * (goal - distance) * outward
                  + along * np.array([-outward[1], outward[0]]))
        away = self._position - places
        gaps = np.linalg.norm(away, axis=1)
        strength = np.clip(_CLEARANCE + radii - gaps, 0.0, None) * 4.0
        wanted = wanted + np.sum(away / np.maximum(gaps, 1e-3)[:, None] * strength[:, None], 0)
        size = float(np.linalg.norm(wanted))
        return np.asarray(wanted * min(1.0, _MAX_SPEED / max(size, 1e-6)))

    def drive(self, places: Array, radii: Array, time: float, dt: float) -> None:
        """
        Move on by one frame.

        :param places: (N,2) where the objects are now, in metres.
        :param radii: (N,) their radii in metres.
        :param time: seconds since the first frame.
        :param dt: seconds since the last frame.
        """
        self._look_at(places, time, dt)
        change = self._wanted_velocity(places, radii, time) - self._velocity
        size = float(np.linalg.norm(change))
        limit = _MAX_ACCELERATION * dt
        self._velocity = self._velocity + change * min(1.0, limit / max(size, 1e-6))
        self._position = np.clip(self._position + self._velocity * dt, -self._room, self._room)
        error = math.remainder(self._bearing(time) - self._yaw, 2 * math.pi)
        wanted = max(-_MAX_TURN, min(_MAX_TURN, 2.0 * error))
        step = max(-3.0 * dt, min(3.0 * dt, wanted - self.turn_rate))
        self.turn_rate += step
        self._yaw += self.turn_rate * dt
