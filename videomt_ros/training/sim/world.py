"""The simulated robot camera: one scene for each seed, frame after frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from .cast import Actor, build_cast
from .catalogue import CLASS_NAMES
from .frame import ObjectView, SimConfig, SimFrame
from .geometry import Array, project
from .physics import bullet
from .renderer import clip_matrices, shoot
from .robot import Robot
from .sensor import Sensor
from .stage import build_stage

_PHYSICS_RATE = 120
_SETTLING_STEPS = 60
_NEAR, _FAR = 0.08, 30.0
_CELL = 2
_SPAN = 2 ** 31
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def visible_share(surface: Array, pose: Array, camera_pose: Array, intrinsics: Array,
                  shown: NDArray[np.bool_]) -> float:
    """
    Estimate which share of an object's outline is seen.

    The surface's points are projected, those outside the picture too, and gathered in cells of
    two pixels; a cell is seen where a pixel beside it shows the object.

    :param surface: (N,3) points on the surface in metres, in the object's frame.
    :param pose: (4,4) pose of the object in the world.
    :param camera_pose: (4,4) pose of the optical frame in the world.
    :param intrinsics: (3,3) camera matrix.
    :param shown: (H,W) bool, the pixels that show the object.
    :returns: share in 0..1; 0 when all of it lies behind the camera.
    """
    height, width = shown.shape
    uv, depth = project(surface @ pose[:3, :3].T + pose[:3, 3], camera_pose, intrinsics)
    ahead = depth > _NEAR
    if not ahead.any() or not shown.any():
        return 0.0
    column, row = np.floor(uv[ahead] / _CELL).astype(np.int64).T
    # One number for each cell: finding unique numbers is ten times faster than unique pairs.
    row, column = np.divmod(np.unique(row * _SPAN + column + _SPAN // 2), _SPAN)
    u, v = (column - _SPAN // 2) * _CELL, row * _CELL
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    grown = cv2.dilate(shown.astype(np.uint8), _NEIGHBOURS)
    return float(grown[v[inside], u[inside]].sum() / len(u))


class Simulation:
    """
    A scene that a simulated robot drives through.

    Iterating over it renders one frame after the other, without end. The same seed and
    configuration give the same frames, bit for bit, on the same machine and versions.

    :param seed: number of the scene; from HELD_OUT_SEED on it is reserved for evaluation.
    :param config: size, rate and number of objects; None for the defaults.
    :raises SimulatorMissingError: when PyBullet is not installed.
    :raises ValueError: when the seed is negative.
    """

    def __init__(self, seed: int, config: SimConfig | None = None) -> None:
        if seed < 0:
            raise ValueError(f'seed is {seed}, expected a number from 0 on')
        self.seed = seed
        self.config = config or SimConfig()
        pb = bullet()
        stage_rng, cast_rng, robot_rng, sensor_rng = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4))
        self._client: int = pb.connect(pb.DIRECT)
        try:
            pb.setGravity(0, 0, -9.81, physicsClientId=self._client)
            pb.setTimeStep(1.0 / _PHYSICS_RATE, physicsClientId=self._client)
            pb.setPhysicsEngineParameter(deterministicOverlappingPairs=1,
                                         physicsClientId=self._client)
            with TemporaryDirectory(prefix='videomt_sim_') as name:
                folder = Path(name)
                self._stage = build_stage(self._client, stage_rng, folder)
                self._actors: tuple[Actor, ...] = build_cast(
                    self._client, cast_rng, folder, self._stage, self.config.objects)
        except BaseException:
            pb.disconnect(self._client)
            raise
        width, height = self.config.width, self.config.height
        self._robot = Robot(robot_rng, width, height, self._stage.room)
        self._sensor = Sensor(sensor_rng, width, height)
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        self._rays = (np.stack([u, v, np.ones_like(u)], axis=2)
                      @ np.linalg.inv(self._robot.camera_matrix).T)
        numbers = [actor.body.number for actor in self._actors]
        self._instance_of = np.zeros(max(numbers) + 2, np.uint8)
        self._instance_of[np.array(numbers) + 1] = [a.instance_id for a in self._actors]
        self._started = self._closed = False

    def __enter__(self) -> Simulation:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give the physics world back; doing it twice is fine."""
        if not self._closed:
            self._closed = True
            bullet().disconnect(self._client)

    @property
    def classes(self) -> dict[int, str]:
        """Tell the class name of each instance number."""
        return {actor.instance_id: CLASS_NAMES[actor.class_id] for actor in self._actors}

    def _advance(self, time: float) -> None:
        for actor in self._actors:
            actor.motion.step(actor.body, time)
        bullet().stepSimulation(physicsClientId=self._client)

    def _obstacles(self, poses: list[Array]) -> tuple[Array, Array]:
        """Tell where the robot must not go: objects near the floor, and pillars."""
        low = [(pose[:2, 3], actor.radius) for pose, actor in
               zip(poses, self._actors, strict=True) if pose[2, 3] < 3.0]
        low += list(zip(self._stage.pillars, self._stage.pillar_radii, strict=True))
        if not low:
            return np.zeros((1, 2)), np.zeros(1)
        return np.array([place for place, _ in low]), np.array([radius for _, radius in low])

    def _capture(self, index: int, poses: list[Array]) -> SimFrame:
        config, robot = self.config, self._robot
        camera_pose, intrinsics = robot.camera_pose, robot.camera_matrix
        view, projection = clip_matrices(camera_pose, intrinsics, config.width, config.height,
                                         _NEAR, _FAR)
        shot = shoot(self._client, view, projection, config.width, config.height,
                     self._stage.light)
        empty = shot.bodies < 0
        rgb = np.ascontiguousarray(shot.rgb)
        self._stage.fill(rgb, empty, self._rays, camera_pose)
        depth = shot.depth_of(_NEAR, _FAR)
        depth[empty] = 0.0
        ids = self._instance_of[shot.bodies + 1]
        stamp = index / config.rate
        if config.sensor:
            rgb = self._sensor.expose(rgb, stamp, robot.turn_rate, float(intrinsics[0, 0]))
        views = []
        for actor, pose in zip(self._actors, poses, strict=True):
            shown = ids == actor.instance_id
            pixels = int(np.count_nonzero(shown))
            views.append(ObjectView(
                actor.instance_id, actor.class_id, CLASS_NAMES[actor.class_id], pose, actor.size,
                pixels, visible_share(actor.surface, pose, camera_pose, intrinsics, shown),
                pixels > 0 and pixels >= config.min_visible * config.width * config.height))
        return SimFrame(index, stamp, rgb, ids, depth, intrinsics, robot.base_pose, camera_pose,
                        tuple(views))

    def __iter__(self) -> Iterator[SimFrame]:
        """
        Run the scene.

        :returns: its frames, without end.
        :raises RuntimeError: when it ran before or is closed.
        """
        if self._started or self._closed:
            raise RuntimeError(f'scene {self.seed} ran before or is closed; make a new Simulation')
        self._started = True
        return self._run()

    def _run(self) -> Iterator[SimFrame]:
        config = self.config
        steps = _PHYSICS_RATE // config.rate
        for step in range(-_SETTLING_STEPS, 0):
            self._advance(min(step / _PHYSICS_RATE, -1e-9))
        index = 0
        while True:
            poses = [actor.body.matrix() for actor in self._actors]
            places, radii = self._obstacles(poses)
            if index == 0:
                self._robot.start(places, radii)
            else:
                self._robot.drive(places, radii, index / config.rate, 1.0 / config.rate)
            yield self._capture(index, poses)
            for step in range(steps):
                self._advance((index * steps + step) / _PHYSICS_RATE)
            index += 1
