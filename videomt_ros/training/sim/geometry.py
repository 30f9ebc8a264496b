"""Rigid transforms and the pinhole camera; every matrix is float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Columns: the optical frame's axes (x right, y down, z forward) in a REP-103 body frame
# (x forward, y left, z up).
BODY_FROM_OPTICAL: Array = np.array(
    [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def rotation_rpy(roll: float, pitch: float, yaw: float) -> Array:
    """
    Make the rotation of fixed-axis roll, pitch and yaw, as URDF defines them.

    :param roll: angle about x in radians.
    :param pitch: angle about y in radians.
    :param yaw: angle about z in radians.
    :returns: (3,3) rotation matrix.
    """
    sr, cr = math.sin(roll), math.cos(roll)
    sp, cp = math.sin(pitch), math.cos(pitch)
    sy, cy = math.sin(yaw), math.cos(yaw)
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr]])


def rpy_of(rotation: Array) -> tuple[float, float, float]:
    """
    Read roll, pitch and yaw out of a rotation.

    :param rotation: (3,3) rotation matrix.
    :returns: roll, pitch, yaw in radians, such that rotation_rpy gives the matrix back.
    """
    pitch = math.asin(float(np.clip(-rotation[2, 0], -1.0, 1.0)))
    if abs(rotation[2, 0]) > 1.0 - 1e-9:
        # Gimbal lock: roll and yaw turn about the same axis, so all of the turn goes into yaw.
        return 0.0, pitch, math.atan2(-rotation[0, 1], rotation[1, 1])
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    return roll, pitch, math.atan2(rotation[1, 0], rotation[0, 0])


def rotation_quaternion(quaternion: tuple[float, float, float, float]) -> Array:
    """
    Turn a unit quaternion into a rotation matrix.

    :param quaternion: x, y, z, w.
    :returns: (3,3) rotation matrix.
    """
    x, y, z, w = quaternion
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def quaternion_of(rotation: Array) -> tuple[float, float, float, float]:
    """
    Turn a rotation matrix into a unit quaternion.

    :param rotation: (3,3) rotation matrix.
    :returns: x, y, z, w with w >= 0.
    """
    # The eigenvector of the largest eigenvalue of this symmetric matrix is the quaternion
    # (Bar-Itzhack 2000); unlike the four-branch formula it has no special cases.
    m = rotation
    k = np.array([
        [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
        [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
        [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)]])
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    sign = -1.0 if w < 0.0 else 1.0
    return sign * float(x), sign * float(y), sign * float(z), sign * float(w)


def transform(rotation: Array | None = None,
              translation: Array | tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Array:
    """
    Assemble a homogeneous transform.

    :param rotation: (3,3) rotation; None for none.
    :param translation: (3,) in metres.
    :returns: (4,4) matrix that maps points of the child frame into the parent frame.
    """
    matrix = np.eye(4)
    if rotation is not None:
        matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def inverse(matrix: Array) -> Array:
    """
    Invert a rigid transform.

    :param matrix: (4,4) rigid transform.
    :returns: (4,4) inverse.
    """
    rotation = matrix[:3, :3].T
    return transform(rotation, -rotation @ matrix[:3, 3])


def camera_matrix(width: int, height: int, horizontal_fov: float) -> Array:
    """
    Make the matrix of a pinhole camera with square pixels and a central principal point.

    :param width: picture width in pixels.
    :param height: picture height in pixels.
    :param horizontal_fov: horizontal angle of view in radians.
    :returns: (3,3) camera matrix; pixel (0, 0) has its centre at (0, 0), as OpenCV counts.
    """
    focal = 0.5 * width / math.tan(0.5 * horizontal_fov)
    return np.array([[focal, 0.0, 0.5 * (width - 1)],
                     [0.0, focal, 0.5 * (height - 1)],
                     [0.0, 0.0, 1.0]])


def project(points: Array, camera_pose: Array, intrinsics: Array) -> tuple[Array, Array]:
    """
    Project points of the world into the picture.

    :param points: (N,3) in metres, in the world frame.
    :param camera_pose: (4,4) pose of the optical frame in the world.
    :param intrinsics: (3,3) camera matrix.
    :returns: (N,2) pixel coordinates u, v (meaningless where the depth is not positive) and (N,)
        depths in metres along the optical axis.
    """
    local = (points - camera_pose[:3, 3]) @ camera_pose[:3, :3]
    depth = local[:, 2]
    safe = np.where(depth > 1e-6, depth, 1e-6)
    uv = local[:, :2] / safe[:, None] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    return uv, depth
