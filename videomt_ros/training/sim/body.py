"""A rigid body of the physics world."""

from __future__ import annotations

from dataclasses import dataclass
import math

from .geometry import Array, rotation_quaternion, transform
from .physics import bullet

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class Body:
    """
    A handle on one body.

    :param client: PyBullet's client number.
    :param number: PyBullet's body number.
    """

    client: int
    number: int

    def pose(self) -> tuple[Vector, Quaternion]:
        """
        Read where it is.

        :returns: position in metres and orientation quaternion x, y, z, w.
        """
        position, orientation = bullet().getBasePositionAndOrientation(
            self.number, physicsClientId=self.client)
        return position, orientation

    def matrix(self) -> Array:
        """
        Read where it is as a matrix.

        :returns: (4,4) pose in the world.
        """
        position, orientation = self.pose()
        return transform(rotation_quaternion(orientation), position)

    def place(self, position: Vector, orientation: Quaternion) -> None:
        """
        Put it somewhere, at rest.

        :param position: in metres.
        :param orientation: quaternion x, y, z, w.
        """
        pb = bullet()
        pb.resetBasePositionAndOrientation(self.number, position, orientation,
                                           physicsClientId=self.client)
        pb.resetBaseVelocity(self.number, (0, 0, 0), (0, 0, 0), physicsClientId=self.client)

    def vertical_speed(self) -> float:
        """
        Read how fast it rises.

        :returns: metres a second, negative when falling.
        """
        linear, _ = bullet().getBaseVelocity(self.number, physicsClientId=self.client)
        return float(linear[2])

    def push(self, linear: Vector, angular: Vector) -> None:
        """
        Give it a velocity.

        :param linear: metres a second.
        :param angular: radians a second.
        """
        bullet().resetBaseVelocity(self.number, linear, angular, physicsClientId=self.client)


def heading(orientation: Quaternion) -> tuple[float, float]:
    """
    Tell where a body's x axis points, and how upright it stands.

    :param orientation: quaternion x, y, z, w.
    :returns: yaw in radians, and the cosine between its z axis and the vertical.
    """
    x, y, z, w = orientation
    yaw = math.atan2(2 * (x * y + z * w), 1 - 2 * (y * y + z * z))
    return yaw, 1 - 2 * (x * x + y * y)
