"""Where frames were, between the moments at which somebody told so."""

from types import SimpleNamespace

from geometry_msgs.msg import TransformStamped
from harness import header
import numpy as np
import pytest
from videomt_ros.ros.stamps import nanoseconds
from videomt_ros.ros.transforms import TransformBuffer, TransformError
from videomt_ros.training.sim.geometry import (
    inverse,
    quaternion_of,
    rotation_quaternion,
    rotation_rpy,
    transform,
)


def told(*entries):
    """Make a TFMessage of (seconds, parent, child, (4, 4) pose)."""
    transforms = []
    for seconds, parent, child, pose in entries:
        message = TransformStamped(header=header(seconds, parent), child_frame_id=child)
        t, q = message.transform.translation, message.transform.rotation
        t.x, t.y, t.z = map(float, pose[:3, 3])
        q.x, q.y, q.z, q.w = quaternion_of(pose[:3, :3])
        transforms.append(message)
    return SimpleNamespace(transforms=transforms)


def at(seconds):
    return nanoseconds(header(seconds).stamp)


def moving(seconds):
    return transform(rotation_rpy(0.1, -0.2, 0.5 * seconds), (seconds, 2 * seconds, 1.0))


MOUNT = transform(rotation_rpy(0.3, 0.2, 0.1), (0.1, 0.2, 0.3))
OTHER = transform(rotation_rpy(-1, 0.5, 2), (4.0, 5.0, 6.0))


@pytest.fixture
def buffer():
    buffer = TransformBuffer()
    buffer.add(told((0, 'base', 'camera', MOUNT), (0, 'map', 'dock', OTHER)), fixed=True)
    for seconds in (0.0, 0.2, 0.1, 0.3):  # late messages count too
        buffer.add(told((seconds, 'map', 'base', moving(seconds))), fixed=False)
    return buffer


def test_chain_at_a_moment_that_was_told(buffer):
    np.testing.assert_allclose(buffer.pose('camera', 'map', at(0.1), 0), moving(0.1) @ MOUNT,
                               atol=1e-9)
    np.testing.assert_allclose(buffer.pose('map', 'camera', at(0.1), 0),
                               inverse(moving(0.1) @ MOUNT), atol=1e-9)
    np.testing.assert_allclose(buffer.pose('camera', 'dock', at(0.2), 0),
                               inverse(OTHER) @ moving(0.2) @ MOUNT, atol=1e-9)
    np.testing.assert_allclose(buffer.pose('camera', 'camera', at(9), 0), np.eye(4))
    np.testing.assert_allclose(buffer.pose('/camera', '/base', at(9), 0), MOUNT, atol=1e-9)


def test_between_two_moments(buffer):
    between = buffer.pose('base', 'map', at(0.175), 0)
    np.testing.assert_allclose(between, moving(0.175), atol=1e-5)


def test_rotation_goes_the_short_way_round():
    buffer = TransformBuffer()
    for seconds, sign in ((0, 1), (1, -1)):
        message = told((seconds, 'a', 'b', transform(rotation_rpy(0, 0, seconds))))
        q = message.transforms[0].transform.rotation
        q.x, q.y, q.z, q.w = (2 * sign * value for value in (q.x, q.y, q.z, q.w))
        buffer.add(message, fixed=False)
    half = buffer.pose('b', 'a', at(0.5), 0)
    np.testing.assert_allclose(half[:3, :3], rotation_rpy(0, 0, 0.5), atol=1e-9)


def test_after_the_newest_and_before_the_oldest(buffer):
    np.testing.assert_allclose(buffer.pose('base', 'map', at(0.35), 0.1), moving(0.3), atol=1e-9)
    with pytest.raises(TransformError, match="where 'base' was in 'map' is known until 0.300 s "
                                             'before the image; expected at most'):
        buffer.pose('camera', 'map', at(0.6), 0.1)
    with pytest.raises(TransformError, match='known from 0.500 s after the image on'):
        buffer.pose('camera', 'map', at(-0.5), 0.1)


def test_frames_that_are_unknown_or_apart(buffer):
    with pytest.raises(TransformError, match="frame 'odom' is not in /tf"):
        buffer.pose('camera', 'odom', at(0), 0)
    buffer.add(told((0, 'island', 'tree', np.eye(4))), fixed=True)
    with pytest.raises(TransformError, match="nothing connects 'camera' with 'tree'"):
        buffer.pose('camera', 'tree', at(0), 0)


def test_time_that_goes_back_is_another_run(buffer):
    buffer.add(told((-50, 'map', 'base', moving(7))), fixed=False)
    np.testing.assert_allclose(buffer.pose('base', 'map', at(-50), 0), moving(7), atol=1e-9)
    with pytest.raises(TransformError):
        buffer.pose('base', 'map', at(0.1), 0)


def test_ten_seconds_are_kept():
    buffer = TransformBuffer()
    for number in range(300):
        buffer.add(told((number / 10, 'map', 'base', moving(number / 10))), fixed=False)
    buffer.pose('base', 'map', at(20), 0)
    with pytest.raises(TransformError):
        buffer.pose('base', 'map', at(19.8), 0)


def test_another_parent_replaces_the_first(buffer):
    buffer.add(told((1, 'odom', 'base', MOUNT)), fixed=False)
    np.testing.assert_allclose(buffer.pose('base', 'odom', at(1), 0), MOUNT, atol=1e-9)
    with pytest.raises(TransformError):
        buffer.pose('base', 'map', at(0.1), 0)


def test_what_is_no_transform_is_passed_over(buffer):
    bad = told((0.2, 'map', 'base', moving(5)), (0.2, 'x', 'x', MOUNT), (0.2, '', 'y', MOUNT))
    bad.transforms[0].transform.rotation.w = float('nan')
    buffer.add(bad, fixed=False)
    loop = told((0.2, 'map', 'base', moving(0.2)))
    loop.transforms[0].transform.rotation.x = loop.transforms[0].transform.rotation.y = 0.0
    loop.transforms[0].transform.rotation.z = loop.transforms[0].transform.rotation.w = 0.0
    buffer.add(loop, fixed=False)
    np.testing.assert_allclose(buffer.pose('base', 'map', at(0.2), 0), moving(0.2), atol=1e-9)


def test_a_ring_of_frames_ends():
    buffer = TransformBuffer()
    buffer.add(told((0, 'a', 'b', MOUNT), (0, 'b', 'c', MOUNT), (0, 'c', 'a', MOUNT)), fixed=True)
    assert buffer.pose('c', 'a', at(0), 0).shape == (4, 4)


def test_quaternions_are_read_as_the_simulator_writes_them():
    rotation = rotation_quaternion(quaternion_of(MOUNT[:3, :3]))
    np.testing.assert_allclose(rotation, MOUNT[:3, :3], atol=1e-12)
