"""PyBullet's software renderer behind plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import Array, inverse
from .physics import bullet


@dataclass(frozen=True)
class Light:
    """
    A directional light.

    :param direction: (x, y, z) from the scene towards the light.
    :param colour: RGB, each 0..1.
    :param ambient: share of light that comes from everywhere.
    :param diffuse: share that depends on the angle of the surface.
    :param specular: share that is mirrored.
    :param shadow: whether things cast shadows.
    """

    direction: tuple[float, float, float] = (0.4, 0.3, 1.0)
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ambient: float = 0.6
    diffuse: float = 0.4
    specular: float = 0.1
    shadow: bool = False


@dataclass(frozen=True)
class Shot:
    """
    What the renderer gives for one picture.

    :param rgb: (H,W,3) uint8, RGB; white where nothing is.
    :param buffer: (H,W) float32, the depth buffer, 0 at the near plane and 1 at the far plane.
    :param bodies: (H,W) int32, PyBullet's body number, -1 where nothing is.
    """

    rgb: NDArray[np.uint8]
    buffer: NDArray[np.float32]
    bodies: NDArray[np.int32]

    def depth_of(self, near: float, far: float) -> NDArray[np.float32]:
        """
        Turn the depth buffer into distances along the optical axis.

        :param near: near plane in metres.
        :param far: far plane in metres.
        :returns: (H,W) float32 metres.
        """
        depth: NDArray[np.float32] = (
            near * far / (far - (far - near) * self.buffer.astype(np.float64))).astype(np.float32)
        return depth


def clip_matrices(camera_pose: Array, intrinsics: Array, width: int, height: int,
                  near: float, far: float) -> tuple[list[float], list[float]]:
    """
    Make OpenGL's view and projection matrices of a pinhole camera.

    :param camera_pose: (4,4) pose of the optical frame in the world.
    :param intrinsics: (3,3) camera matrix, pixel centres at whole numbers.
    :param width: picture width in pixels.
    :param height: picture height in pixels.
    :param near: near plane in metres.
    :param far: far plane in metres.
    :returns: view and projection matrix, each 16 numbers, column by column.
    """
    view = np.diag([1.0, -1.0, -1.0, 1.0]) @ inverse(camera_pose)
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    # This renderer samples a pixel at its lower left corner, not at its centre; moving the
    # principal point there puts the samples where the camera matrix says that they are.
    cx, cy = intrinsics[0, 2], intrinsics[1, 2] + 1.0
    projection = np.array([
        [2 * fx / width, 0.0, 1 - 2 * cx / width, 0.0],
        [0.0, 2 * fy / height, 2 * cy / height - 1, 0.0],
        [0.0, 0.0, -(far + near) / (far - near), -2 * far * near / (far - near)],
        [0.0, 0.0, -1.0, 0.0]])
    return view.T.ravel().tolist(), projection.T.ravel().tolist()


def shoot(client: int, view: list[float], projection: list[float], width: int, height: int,
          light: Light | None = None) -> Shot:
    """
    Render the world of a physics client as it stands.

    :param client: PyBullet's client number.
    :param view: OpenGL view matrix, 16 numbers.
    :param projection: OpenGL projection matrix, 16 numbers.
    :param width: picture width in pixels.
    :param height: picture height in pixels.
    :param light: the light; None for a plain one.
    :returns: colours, depth buffer and body numbers.
    """
    pb = bullet()
    light = light or Light()
    _, _, rgba, buffer, bodies = pb.getCameraImage(
        width, height, view, projection, lightDirection=light.direction, lightColor=light.colour,
        lightDistance=20.0, shadow=int(light.shadow), lightAmbientCoeff=light.ambient,
        lightDiffuseCoeff=light.diffuse, lightSpecularCoeff=light.specular,
        renderer=pb.ER_TINY_RENDERER, physicsClientId=client)
    shape = (height, width)
    return Shot(np.asarray(rgba, np.uint8).reshape(*shape, 4)[..., :3],
                np.asarray(buffer, np.float32).reshape(shape),
                np.asarray(bodies, np.int32).reshape(shape))
