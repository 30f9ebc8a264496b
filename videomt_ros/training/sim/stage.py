"""What stands in a scene besides the objects: floor, walls, pillars, light and sky."""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .geometry import Array, quaternion_of, rotation_rpy
from .physics import asset_folder, bullet
from .renderer import Light
from .textures import Picture, random_sky, random_texture

_OPEN_ROOM = 9.0


@dataclass(frozen=True)
class Stage:
    """
    The surroundings of a scene.

    :param room: half the side of the square room in metres.
    :param light: the light.
    :param sky: (h,w,3) uint8 panorama of what lies beyond the walls.
    :param pillars: (P,2) where pillars stand, in metres.
    :param pillar_radii: (P,) their radii in metres.
    """

    room: float
    light: Light
    sky: Picture
    pillars: Array
    pillar_radii: Array

    def fill(self, rgb: Picture, empty: NDArray[np.bool_], rays: Array,
             camera_pose: Array) -> None:
        """
        Paint the sky into the pixels that show nothing.

        :param rgb: (H,W,3) uint8, changed in place.
        :param empty: (H,W) bool, the pixels that show nothing.
        :param rays: (H,W,3) directions of the pixels in the optical frame.
        :param camera_pose: (4,4) pose of the optical frame in the world.
        """
        if not empty.any():
            return
        x, y, z = (rays[empty] @ camera_pose[:3, :3].T).T
        height, width = self.sky.shape[:2]
        column = (np.arctan2(y, x) / (2 * math.pi) * width).astype(int) % width
        slope = np.arctan2(z, np.hypot(x, y)) / math.pi + 0.5
        rgb[empty] = self.sky[(slope * (height - 1)).astype(int), column]


def load_texture(client: int, folder: Path, picture: Picture) -> int:
    """
    Hand a picture to PyBullet.

    :param client: PyBullet's client number.
    :param folder: where the file is put that PyBullet reads it from.
    :param picture: (h,w,3) uint8, RGB.
    :returns: PyBullet's texture number.
    """
    path = folder / f'texture_{len(list(folder.glob("texture_*.png")))}.png'
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_PNG_COMPRESSION, 1])
    number: int = bullet().loadTexture(str(path), physicsClientId=client)
    return number


def _panel(client: int, folder: Path, sides: tuple[float, float], tile: float, texture: int,
           position: tuple[float, float, float], rotation: Array, solid: int = -1) -> int:
    """Put up a textured rectangle, its front along its z axis; it is as solid as `solid` is."""
    pb = bullet()
    path = folder / f'panel_{len(list(folder.glob("panel_*.obj")))}.obj'
    u, v = sides[0] / tile, sides[1] / tile
    x, y = sides[0] / 2, sides[1] / 2
    path.write_text(
        f'v {-x} {-y} 0\nv {x} {-y} 0\nv {x} {y} 0\nv {-x} {y} 0\n'
        f'vt 0 0\nvt {u} 0\nvt {u} {v}\nvt 0 {v}\nvn 0 0 1\n'
        'f 1/1/1 2/2/1 3/3/1\nf 1/1/1 3/3/1 4/4/1\n')
    shape = pb.createVisualShape(pb.GEOM_MESH, fileName=str(path), physicsClientId=client)
    body: int = pb.createMultiBody(0.0, solid, shape, position, quaternion_of(rotation),
                                   physicsClientId=client)
    pb.changeVisualShape(body, -1, textureUniqueId=texture, physicsClientId=client)
    return body


def _pillar(client: int, texture: int, sides: tuple[float, float, float],
            position: tuple[float, float, float], yaw: float) -> None:
    pb = bullet()
    half = [side / 2 for side in sides]
    solid = pb.createCollisionShape(pb.GEOM_BOX, halfExtents=half, physicsClientId=client)
    shape = pb.createVisualShape(pb.GEOM_MESH, fileName=str(asset_folder() / 'cube.obj'),
                                 meshScale=sides, physicsClientId=client)
    body = pb.createMultiBody(0.0, solid, shape, position,
                              quaternion_of(rotation_rpy(0.0, 0.0, yaw)), physicsClientId=client)
    pb.changeVisualShape(body, -1, textureUniqueId=texture, physicsClientId=client)


def _random_light(rng: Generator) -> Light:
    angle, height = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 1.4)
    warmth = rng.uniform(-0.12, 0.12)
    ambient = float(rng.uniform(0.4, 0.75))
    return Light(
        direction=(math.cos(angle), math.sin(angle), math.tan(height)),
        colour=(min(1.0, 1.0 + warmth), 1.0 - abs(warmth) / 3, min(1.0, 1.0 - warmth)),
        ambient=ambient, diffuse=float(rng.uniform(0.95, 1.25)) - ambient,
        specular=float(rng.uniform(0.0, 0.3)), shadow=bool(rng.uniform() < 0.5))


def build_stage(client: int, rng: Generator, folder: Path) -> Stage:
    """
    Build the surroundings of a scene.

    :param client: PyBullet's client number.
    :param rng: source of chance.
    :param folder: an empty folder for the files that PyBullet reads.
    :returns: what was built.
    """
    pb = bullet()
    walled = rng.uniform() < 0.75
    room = float(rng.uniform(4.2, 6.5)) if walled else _OPEN_ROOM
    ground = pb.createCollisionShape(pb.GEOM_PLANE, physicsClientId=client)
    carpet = load_texture(client, folder, random_texture(rng))
    floor = _panel(client, folder, (2 * room, 2 * room), float(rng.uniform(1.0, 3.0)), carpet,
                   (0.0, 0.0, 0.0), np.eye(3), ground)
    pb.changeDynamics(floor, -1, lateralFriction=0.6, restitution=0.5, rollingFriction=0.01,
                      physicsClientId=client)
    if walled:
        tall = float(rng.uniform(1.0, 3.2))
        tile = float(rng.uniform(0.8, 3.0))
        papers = [load_texture(client, folder, random_texture(rng)) for _ in range(2)]
        for side in range(4):
            turn = rotation_rpy(0.0, 0.0, side * math.pi / 2)
            # Front of the wall to the inside: its z axis is the room's -x, its y axis up.
            face = turn @ np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
            x, y, _ = turn @ (room, 0.0, 0.0)
            _panel(client, folder, (2 * room, tall), tile, papers[side % 2],
                   (float(x), float(y), tall / 2), face)
    count = int(rng.choice((0, 1, 2), p=(0.45, 0.35, 0.2)))
    places, radii = np.zeros((count, 2)), np.zeros(count)
    for number in range(count):
        # Tall and slim, so that no pillar looks like a block.
        sides = (float(rng.uniform(0.15, 0.45)), float(rng.uniform(0.1, 0.3)),
                 float(rng.uniform(1.1, 2.2)))
        distance, angle = rng.uniform(0.3, 2.0), rng.uniform(0, 2 * math.pi)
        places[number] = distance * math.cos(angle), distance * math.sin(angle)
        radii[number] = math.hypot(sides[0], sides[1]) / 2
        _pillar(client, load_texture(client, folder, random_texture(rng)), sides,
                (float(places[number, 0]), float(places[number, 1]), sides[2] / 2),
                float(rng.uniform(0, math.pi)))
    return Stage(room, _random_light(rng), random_sky(rng), places, radii)
