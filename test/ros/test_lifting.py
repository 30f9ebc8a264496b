"""Where objects of known shape are found to be, and how large."""

from itertools import islice
from statistics import median

import cv2
import numpy as np
import pytest
from videomt_ros.ros.depth import Depth
from videomt_ros.ros.lifting import View
from videomt_ros.ros.pinhole import Pinhole
from videomt_ros.training.sim import HELD_OUT_SEED, SimConfig, Simulation

HEIGHT, WIDTH, FOCAL = 240, 320, 300.0
PINHOLE = Pinhole(FOCAL, FOCAL, WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)
RAYS = np.stack(np.broadcast_arrays(
    (np.arange(WIDTH) - PINHOLE.cx)[None] / FOCAL,
    (np.arange(HEIGHT) - PINHOLE.cy)[:, None] / FOCAL, 1.0), axis=2)
WALL = 6.0


def ball(centre, radius):
    """Render a ball; gives mask and depth, NaN outside."""
    centre = np.array(centre)
    a, b, c = (RAYS ** 2).sum(2), RAYS @ centre, centre @ centre - radius ** 2
    with np.errstate(invalid='ignore'):
        z = (b - np.sqrt(b ** 2 - a * c)) / a
    return ~np.isnan(z), z


def plate(centre, width, height, slope=0.0):
    """Render a plate that is tilted about its horizontal axis by a slope dz / dy."""
    z = (centre[2] - slope * centre[1]) / (1 - slope * RAYS[..., 1])
    points = RAYS * z[..., None]
    tall = height / np.hypot(1, slope)
    mask = ((np.abs(points[..., 0] - centre[0]) < width / 2)
            & (np.abs(points[..., 1] - centre[1]) < tall / 2))
    return mask, z


def lift(mask, z, view_of=lambda samples: View(Depth(samples, 1.0), PINHOLE, (HEIGHT, WIDTH))):
    box = cv2.boundingRect(mask.astype(np.uint8))
    x, y, w, h = box
    return view_of(z.astype(np.float32)).lift(mask[y:y + h, x:x + w], box)


def before_wall(mask, z, wall=WALL):
    return np.where(mask, z, wall)


@pytest.mark.parametrize('centre', [(0, 0, 2), (0.4, -0.3, 2.5), (-0.4, 0.2, 1.5)])
def test_plate_facing_the_camera_is_where_it_is(centre):
    mask, z = plate(centre, 0.6, 0.4)
    placement = lift(mask, before_wall(mask, z)).placed()
    np.testing.assert_allclose(placement.position, centre, atol=0.01)
    np.testing.assert_allclose(placement.size, (0.6, 0.4, 0), atol=0.04)


def test_tilted_plate():
    mask, z = plate((0.1, 0.2, 2.0), 0.6, 0.8, slope=1.0)
    placement = lift(mask, before_wall(mask, z)).placed()
    np.testing.assert_allclose(placement.position, (0.1, 0.2, 2.0), atol=0.03)
    np.testing.assert_allclose(placement.size, (0.6, 0.57, 0.57), atol=0.06)


@pytest.mark.parametrize('centre,radius', [((0, 0, 2), 0.25), ((0.5, 0.2, 3), 0.4),
                                           ((-0.3, -0.2, 1.2), 0.15)])
def test_ball_is_where_its_centre_is_and_not_its_front(centre, radius):
    mask, z = ball(centre, radius)
    surface = lift(mask, before_wall(mask, z))
    placement = surface.placed()
    assert np.linalg.norm(placement.position - centre) < 0.4 * radius
    assert np.linalg.norm(np.median(surface.points, axis=0) - centre) > 0.6 * radius
    np.testing.assert_allclose(placement.size, 2 * radius, rtol=0.4)


def test_frame_of_the_position_is_that_of_the_pose():
    mask, z = plate((0.4, 0.0, 2.0), 0.6, 0.3)
    pose = np.eye(4)
    pose[:3] = [[0, 0, 1, 10], [-1, 0, 0, 20], [0, -1, 0, 30]]  # optical axes in a map
    placement = lift(mask, before_wall(mask, z)).placed(pose)
    np.testing.assert_allclose(placement.position, (12, 19.6, 30), atol=0.01)
    np.testing.assert_allclose(placement.size, (0, 0.6, 0.3), atol=0.03)


def test_mask_that_is_too_large_catches_no_background():
    mask, z = ball((0.2, 0.1, 2), 0.3)
    larger = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    exact, wide = (lift(m, before_wall(mask, z)).placed() for m in (mask, larger))
    assert np.linalg.norm(wide.position - exact.position) < 0.03
    np.testing.assert_allclose(wide.size, exact.size, rtol=0.2)


def test_pixels_that_mix_object_and_background_are_left_out():
    mask, z = plate((0, 0, 2), 0.6, 0.4)
    mixed = cv2.blur(before_wall(mask, z), (3, 3))
    placement = lift(mask, mixed).placed()
    np.testing.assert_allclose(placement.position, (0, 0, 2), atol=0.03)
    assert placement.size[2] < 0.1


def test_noise_and_holes():
    rng = np.random.default_rng(0)
    mask, z = ball((0.2, 0.1, 2), 0.3)
    z = before_wall(mask, z) + rng.normal(0, 0.01, z.shape)
    z[rng.uniform(size=z.shape) < 0.3] = np.nan
    placement = lift(mask, z).placed()
    assert np.linalg.norm(placement.position - (0.2, 0.1, 2)) < 0.12


def test_object_behind_another_one():
    """The edge that an occluder cuts is none of the object."""
    mask, z = ball((0, 0, 2), 0.4)
    z = before_wall(mask, z)
    z[:, :150] = 1.0
    mask[:, :150] = False
    placement = lift(mask, z).placed()
    assert abs(placement.position[2] - 2) < 0.2


def test_too_little_depth_is_no_position():
    mask, z = ball((0, 0, 2), 0.3)
    assert lift(mask, np.zeros_like(z)) is None
    assert lift(mask, np.full_like(z, np.nan)) is None
    few = np.zeros_like(z)
    few[120, 160:163] = 2.0
    assert lift(mask, few) is None
    one = np.zeros_like(mask)
    one[5, 5] = True
    assert lift(one, np.full_like(z, 2.0)) is None


def test_nonsense_gives_numbers_or_nothing():
    rng = np.random.default_rng(1)
    with np.errstate(all='raise'):
        for number in range(400):
            shape = tuple(rng.integers(1, 60, 2))
            z = rng.choice([0, 0.3, 2, 2.1, 9e4, np.nan, np.inf, -1], shape,
                           p=rng.dirichlet(np.ones(8) / 3))
            view = View(Depth(z.astype(np.float32), 1.0), PINHOLE, (HEIGHT, WIDTH))
            x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
            box = x, y, int(rng.integers(1, WIDTH - x + 1)), int(rng.integers(1, HEIGHT - y + 1))
            mask = rng.random((box[3], box[2])) < rng.choice([0.02, 0.5, 1.0])
            surface = view.lift(mask, box)
            if surface is not None:
                placement = surface.placed(np.eye(4))
                assert np.isfinite(placement.position).all(), number
                assert placement.position[2] > 0.2 and (placement.size >= 0).all()


def test_objects_at_the_border_and_of_every_size():
    z = np.full((HEIGHT, WIDTH), 2.0)
    for x, y, w, h in ((0, 0, WIDTH, HEIGHT), (0, 0, 3, 2), (WIDTH - 2, HEIGHT - 3, 2, 3),
                       (0, 100, WIDTH, 2), (100, 0, 1, HEIGHT), (317, 0, 3, 240)):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y:y + h, x:x + w] = True
        position = lift(mask, z).placed().position
        expected = 2 * RAYS[[y, y + h - 1]][:, [x, x + w - 1]].mean((0, 1))
        np.testing.assert_allclose(position, expected, atol=0.06)


@pytest.mark.parametrize('shape', [(120, 160), (60, 80), (480, 640), (180, 240), (64, 64)])
def test_depth_of_another_resolution(shape):
    mask, z = ball((0.2, 0.1, 2), 0.4)
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int)
                     for n, m in zip(shape, z.shape, strict=True))
    z = before_wall(mask, z)[rows[:, None], columns]
    position = lift(mask, z).placed().position
    assert np.linalg.norm(position - (0.2, 0.1, 2)) < 0.22, 'half the radius'
    mask, z = plate((0.2, 0.1, 2), 0.6, 0.4)
    z = before_wall(mask, z)[rows[:, None], columns]
    np.testing.assert_allclose(lift(mask, z).placed().position, (0.2, 0.1, 2), atol=0.04)


def simulated_errors(seeds, config, frames):
    """Give the error of every object that counts as present, as a share of its distance."""
    errors, of_surface = [], []
    for seed in seeds:
        with Simulation(seed, config) as simulation:
            for frame in islice(simulation, frames):
                k = frame.camera_matrix
                view = View(Depth(np.round(frame.depth * 1000).astype(np.uint16), 1e-3),
                            Pinhole(k[0, 0], k[1, 1], k[0, 2], k[1, 2]), frame.ids.shape)
                for thing in frame.objects:
                    if thing.present:
                        mask = frame.ids == thing.instance_id
                        x, y, w, h = box = cv2.boundingRect(mask.astype(np.uint8))
                        truth = (np.linalg.inv(frame.camera_pose) @ thing.pose)[:3, 3]
                        surface = view.lift(mask[y:y + h, x:x + w], box)
                        for found, to in ((surface.placed().position, errors),
                                          (np.median(surface.points, axis=0), of_surface)):
                            to.append(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    return errors, of_surface


def test_simulated_objects_are_where_they_are():
    """With the true masks; the true position is the centre of the object's bounding box."""
    pytest.importorskip('pybullet')
    errors, of_surface = simulated_errors(range(HELD_OUT_SEED + 600, HELD_OUT_SEED + 608),
                                          SimConfig(rate=2), 8)
    assert len(errors) > 150
    print(f'{len(errors)} objects: median error {100 * median(errors):.2f} % of the distance; '
          f'median of the surface {100 * median(of_surface):.2f} %')
    assert median(errors) < 0.03
    assert median(of_surface) > 1.5 * median(errors)


def test_size_in_an_upright_frame():
    """A box on the floor, seen from above: size along the axes of the map."""
    half = np.array([0.2, 0.3, 0.25])
    camera = np.eye(4)
    down = 0.5
    camera[:3] = [[0, -np.sin(down), np.cos(down), -2], [-1, 0, 0, 0.3],
                  [0, -np.cos(down), -np.sin(down), 1.2]]
    direction, origin = RAYS @ camera[:3, :3].T, camera[:3, 3]
    centre = np.array([0.0, 0.0, half[2]])
    with np.errstate(divide='ignore', invalid='ignore'):
        faces = [(centre + sign * half - origin) / direction for sign in (-1, 1)]
    enter, leave = np.minimum(*faces).max(2), np.maximum(*faces).min(2)
    mask = (enter < leave) & (enter > 0)
    floor = np.where(direction[..., 2] < 0, -origin[2] / direction[..., 2], 20.0)
    placement = lift(mask, np.where(mask, enter, floor)).placed(camera)
    np.testing.assert_allclose(placement.position, centre, atol=0.06)
    np.testing.assert_allclose(placement.size, 2 * half, rtol=0.25)
