import numpy as np
import pytest
from videomt_ros.training.sim.geometry import camera_matrix, project
from videomt_ros.training.sim.renderer import clip_matrices, Light, shoot

pb = pytest.importorskip('pybullet')

WIDTH, HEIGHT, NEAR, FAR = 320, 240, 0.08, 30.0
INTRINSICS = camera_matrix(WIDTH, HEIGHT, 1.1)


@pytest.fixture
def client():
    number = pb.connect(pb.DIRECT)
    yield number
    pb.disconnect(number)


def show_plate(client, centre, half, colour=(1, 1, 1, 1), light=None):
    """Render a thin plate that faces a camera at the origin; `centre` is on its front."""
    shape = pb.createVisualShape(pb.GEOM_BOX, halfExtents=[half, half, 0.001], rgbaColor=colour,
                                 physicsClientId=client)
    body = pb.createMultiBody(0, -1, shape, np.add(centre, (0, 0, 0.001)).tolist(),
                              physicsClientId=client)
    matrices = clip_matrices(np.eye(4), INTRINSICS, WIDTH, HEIGHT, NEAR, FAR)
    shot = shoot(client, *matrices, WIDTH, HEIGHT, light)
    pb.removeBody(body, physicsClientId=client)
    return shot, shot.bodies == body


def test_depth_and_place_fit_to_the_camera_matrix(client):
    rng = np.random.default_rng(0)
    shifts, widths = [], []
    for _ in range(30):
        centre = rng.uniform((-0.5, -0.35, 1.8), (0.5, 0.35, 4.0))
        shot, mask = show_plate(client, centre, 0.25)
        np.testing.assert_allclose(shot.depth_of(NEAR, FAR)[mask], centre[2], atol=1e-3)
        v, u = np.nonzero(mask)
        uv, _ = project(centre[None], np.eye(4), INTRINSICS)
        shifts.append((u.mean() - uv[0, 0], v.mean() - uv[0, 1]))
        widths.append(u.max() - u.min() + 1 - 0.5 * INTRINSICS[0, 0] / centre[2])
    # A single plate may be off by half a pixel; on the average, nothing may be left over.
    assert np.abs(shifts).max() < 0.6
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0.0, atol=0.15)
    assert abs(np.mean(widths)) < 0.2


def test_colours_come_in_the_order_red_green_blue(client):
    for channel in range(3):
        colour = [float(number == channel) for number in range(3)]
        shot, mask = show_plate(client, (0.0, 0.0, 2.0), 0.3, [*colour, 1.0],
                                Light(direction=(0, 0, -1)))
        shown = shot.rgb[mask].mean(0)
        assert shown[channel] > 100
        assert max(shown[other] for other in range(3) if other != channel) < 30


def test_direction_colour_and_strength_of_the_light_reach_the_picture(client):
    def shown(**light):
        light = {'direction': (0.0, 0.0, -1.0), **light}
        shot, mask = show_plate(client, (0.0, 0.0, 2.0), 0.3, [0.5, 0.5, 0.5, 1.0], Light(**light))
        return shot.rgb[mask].mean(0)

    plain = shown()
    np.testing.assert_allclose(plain, plain[0])
    assert (shown(ambient=0.3) < plain - 20).all()
    assert (shown(diffuse=0.1) < plain - 20).all()
    assert (shown(direction=(1.0, 0.0, -0.2)) < plain - 20).all()
    red, green, blue = shown(colour=(1.0, 0.5, 0.25))
    assert red - 10 > green > blue + 5


def test_left_and_up_are_not_mirrored(client):
    _, mask = show_plate(client, (-0.6, -0.4, 2.0), 0.1)  # x to the right, y down
    v, u = np.nonzero(mask)
    assert len(u) > 100
    assert u.max() < WIDTH / 2
    assert v.max() < HEIGHT / 2


def test_where_nothing_is_there_is_no_body(client):
    shot, mask = show_plate(client, (0.0, 0.0, 2.0), 0.2)
    assert (shot.bodies[~mask] == -1).all()
    assert mask.sum() < 0.2 * mask.size
