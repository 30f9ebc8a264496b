import numpy as np
import pytest
from videomt_ros.training.sim.urdf import read_parts

ROBOT = """<robot name="r">
<material name="paint"><color rgba="0.2 0.4 0.6 1"/></material>
<link name="base"><visual><geometry><box size="1 2 3"/></geometry>
<material name="paint"/></visual></link>
<link name="arm"><visual><origin xyz="0 0 1"/><geometry>{shape}</geometry></visual></link>
<link name="empty"/>
<joint name="elbow" type="revolute"><parent link="base"/><child link="arm"/>
<origin xyz="1 0 0" rpy="0 1.5707963267948966 0"/></joint>
</robot>"""


def write(folder, shape):
    path = folder / 'robot.urdf'
    path.write_text(ROBOT.format(shape=shape))
    return path


def test_parts_are_put_together_over_the_joints(tmp_path):
    path = write(tmp_path, '<mesh filename="arm.obj" scale="2 2 2"/>')
    base, arm = read_parts(path)
    assert (base.kind, base.size, base.rgba) == ('box', (1.0, 2.0, 3.0), (0.2, 0.4, 0.6, 1.0))
    np.testing.assert_array_equal(base.pose, np.eye(4))
    assert (arm.kind, arm.size, arm.rgba) == ('mesh', (2.0, 2.0, 2.0), (1.0, 1.0, 1.0, 1.0))
    assert arm.mesh == str(tmp_path / 'arm.obj')
    # The joint turns z to x, so the arm's metre along z is one along x.
    np.testing.assert_allclose(arm.pose[:3, 3], (2.0, 0.0, 0.0), atol=1e-12)


def test_primitives_keep_their_sizes(tmp_path):
    assert read_parts(write(tmp_path, '<sphere radius="0.5"/>'))[1].size == (0.5,)
    cylinder = '<cylinder length="2" radius="0.25"/>'
    assert read_parts(write(tmp_path, cylinder))[1].size == (0.25, 2.0)


def test_the_whole_is_turned_upright(tmp_path):
    path = write(tmp_path, '<sphere radius="0.5"/>')
    _, arm = read_parts(path, (0.0, 0.0, np.pi / 2))
    np.testing.assert_allclose(arm.pose[:3, 3], (0.0, 2.0, 0.0), atol=1e-12)


def test_an_unknown_shape_is_named(tmp_path):
    path = write(tmp_path, '<capsule radius="1"/>')
    with pytest.raises(ValueError, match=r'robot.urdf: a visual is a <capsule>, expected mesh'):
        read_parts(path)
