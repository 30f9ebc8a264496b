import math

import numpy as np
import pytest
from videomt_ros.training.sim.geometry import (
    BODY_FROM_OPTICAL,
    camera_matrix,
    inverse,
    project,
    quaternion_of,
    rotation_quaternion,
    rotation_rpy,
    rpy_of,
    transform,
)


def random_angles(count):
    return np.random.default_rng(0).uniform(-math.pi, math.pi, (count, 3))


def test_rpy_turns_the_way_urdf_defines_it():
    yaw = rotation_rpy(0, 0, math.pi / 2)
    np.testing.assert_allclose(yaw @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    # Fixed axes: roll first, then pitch, so z goes to -y by the roll and stays there.
    np.testing.assert_allclose(rotation_rpy(math.pi / 2, 0.7, 0) @ (0, 0, 1), (0, -1, 0),
                               atol=1e-12)
    # A positive pitch bows a body's nose.
    assert (rotation_rpy(0, 0.3, 0) @ (1, 0, 0))[2] < 0


@pytest.mark.parametrize('pitch', [None, math.pi / 2, -math.pi / 2])
def test_rpy_of_inverts_rotation_rpy(pitch):
    for roll, some, yaw in random_angles(50):
        rotation = rotation_rpy(roll, some if pitch is None else pitch, yaw)
        np.testing.assert_allclose(rotation_rpy(*rpy_of(rotation)), rotation, atol=1e-7)


def test_quaternions_and_matrices_agree():
    for angles in random_angles(50):
        rotation = rotation_rpy(*angles)
        quaternion = quaternion_of(rotation)
        assert quaternion[3] >= 0
        assert math.isclose(np.linalg.norm(quaternion), 1.0, abs_tol=1e-12)
        np.testing.assert_allclose(rotation_quaternion(quaternion), rotation, atol=1e-12)
    half = math.sqrt(0.5)
    np.testing.assert_allclose(quaternion_of(rotation_rpy(0, 0, math.pi / 2)), (0, 0, half, half),
                               atol=1e-12)


def test_inverse_undoes_a_transform():
    pose = transform(rotation_rpy(0.3, -1.0, 2.0), (1.0, -2.0, 3.0))
    np.testing.assert_allclose(inverse(pose) @ pose, np.eye(4), atol=1e-12)


def test_optical_frame_looks_ahead_with_x_right_and_y_down():
    np.testing.assert_array_equal(BODY_FROM_OPTICAL @ (0, 0, 1), (1, 0, 0))
    np.testing.assert_array_equal(BODY_FROM_OPTICAL @ (1, 0, 0), (0, -1, 0))
    np.testing.assert_array_equal(BODY_FROM_OPTICAL @ (0, 1, 0), (0, 0, -1))


def test_camera_matrix_spans_the_angle_of_view_over_the_picture_with_its_borders():
    intrinsics = camera_matrix(320, 240, math.pi / 2)
    # At 90 degrees a point one metre ahead and one to the side lies on the picture's border,
    # half a pixel beyond the last pixel's centre.
    uv, depth = project(np.array([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.75, 1.0]]),
                        np.eye(4), intrinsics)
    np.testing.assert_allclose(uv, [[319.5, 119.5], [-0.5, 119.5], [159.5, 239.5]])
    np.testing.assert_allclose(depth, 1.0)


def test_project_uses_the_camera_pose():
    pose = transform(rotation_rpy(0, 0, math.pi / 2) @ BODY_FROM_OPTICAL, (1.0, 2.0, 0.5))
    uv, depth = project(np.array([[1.0, 5.0, 0.5], [1.0, -1.0, 0.5]]), pose,
                        camera_matrix(64, 48, 1.0))
    np.testing.assert_allclose(uv[0], (31.5, 23.5))
    np.testing.assert_allclose(depth, (3.0, -3.0))
