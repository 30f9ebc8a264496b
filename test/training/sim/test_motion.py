from itertools import islice

import numpy as np
import pytest
from videomt_ros.training.sim import cast, CLASS_NAMES, SimConfig, Simulation
from videomt_ros.training.sim.catalogue import KINDS
from videomt_ros.training.sim.model import load_model
from videomt_ros.training.sim.motion import Drive, Drop, Kick, random_motion, Rest

pytest.importorskip('pybullet')

RATE = 20
# The physics is that of every scene; the picture is as small as can be, for nobody looks at it.
BLIND = SimConfig(width=16, height=16, rate=RATE, sensor=False)


@pytest.fixture
def play(monkeypatch):
    """Return a function that runs a scene of chosen classes, places and motions."""
    def play(seconds, *objects, seed=0):
        names, places, motions = zip(*objects, strict=True)
        left = iter(motions)
        monkeypatch.setattr(cast, '_choose', lambda *_: [CLASS_NAMES.index(n) for n in names])
        monkeypatch.setattr(cast, '_spots', lambda *_: list(places))
        monkeypatch.setattr(
            cast, 'random_motion', lambda rng, vehicle, ball, *pose: next(left)(*pose))
        with Simulation(seed, BLIND) as simulation:
            frames = list(islice(simulation, round(seconds * RATE)))
        return [[frame.objects[i] for frame in frames] for i in range(len(names))]
    return play


def rest(position, orientation):
    return Rest()


def drop(release):
    return lambda position, orientation: Drop(
        release, (position[0], position[1], 5.0 + position[2]), orientation)


def kick(position, orientation):
    return Kick([(0.0, 3.0, 0.0, 3.0, 0.0)])


def drive(position, orientation):
    return Drive([(3.0, 0.0)], 1.0, 2.0)


def lowest(view):
    """Tell the height of the lowest point of an object's surface."""
    model = load_model(KINDS[view.class_id])
    return (model.surface * (view.size / model.extent) @ view.pose[2, :3]).min() + view.pose[2, 3]


@pytest.mark.parametrize('name', ['block', 'soccer_ball', 'teddy'])
def test_what_is_dropped_hangs_then_falls_and_comes_to_rest(play, name):
    views, = play(6.0, (name, (0.0, 0.0), drop(0.5)))
    heights = np.array([view.pose[2, 3] for view in views])
    half = views[0].size / 2
    time = np.arange(len(heights)) / RATE
    # Its release comes with a step of the physics, so the frame of that time shows it in place.
    np.testing.assert_allclose(heights[time <= 0.5], 5.005 + half[2], atol=0.002)
    falling = (time >= 0.5) & (time <= 1.4)
    assert (np.diff(heights[falling]) < 0).all()
    fallen = heights[0] - heights[falling]
    np.testing.assert_allclose(
        fallen, 0.5 * 9.81 * (time[falling] - 0.5) ** 2, rtol=0.03, atol=0.03)
    # It lies on one of its sides; a ball has but one.
    assert np.abs(half - heights[-1]).min() < 0.005
    assert np.ptp(heights[-RATE:]) < 0.001
    assert max(heights[time > 2.0]) < 3.0  # it bounces, but not as high


# What the physics leaves out, the handle of a mug and the rim of a tray, sinks into the floor
# where it comes to lie below; see catalogue.py.
SINKS = {'mug': 0.08, 'tray': 0.14}


@pytest.mark.parametrize('name', CLASS_NAMES)
def test_what_fell_lies_on_the_floor_and_not_in_it(play, name):
    views, = play(7.0, (name, (0.0, 0.0), drop(0.0)))
    np.testing.assert_allclose(views[-1].pose, views[-RATE // 2].pose, atol=1e-3)
    # Some shapes are narrower than the boxes on which they rest, as r2d2's is.
    assert -SINKS.get(name, 0.01) < lowest(views[-1]) < 0.05


def test_what_rests_stands_upright_on_the_floor(play):
    places = [(1.5 * (i % 4) - 2.25, 1.5 * (i // 4) - 1.5) for i in range(len(CLASS_NAMES))]
    tracks = play(3.0, *((name, place, rest) for name, place in zip(
        CLASS_NAMES, places, strict=True)))
    for place, views in zip(places, tracks, strict=True):
        for view in views:
            assert abs(lowest(view)) < 0.01
            assert view.pose[2, 2] > 0.999
        np.testing.assert_allclose(views[-1].pose[:2, 3], place, atol=0.01)


@pytest.mark.parametrize(('moving', 'motion', 'standing'), [
    ('block', kick, 'block'), ('soccer_ball', kick, 'soccer_ball'),
    ('soccer_ball', kick, 'domino'), ('racecar', drive, 'lego'), ('husky', drive, 'soccer_ball')])
def test_bodies_push_and_do_not_pass_through_each_other(play, moving, motion, standing):
    first, second = play(2.5, (moving, (-0.7, 0.0), motion), (standing, (0.4, 0.0), rest))
    one, two = (np.array([view.pose[:3, 3] for view in views]) for views in (first, second))
    assert one[-1, 0] - one[0, 0] > 0.15
    assert two[-1, 0] - two[0, 0] > 0.15  # they have met
    # At no time do the balls within the boxes around the two meet.
    apart = (first[0].size.min() + second[0].size.min()) / 2
    assert np.linalg.norm(one - two, axis=1).min() > apart - 0.02


class Hanging:
    """A body that only remembers where it was put."""

    height = None

    def place(self, position, orientation):
        self.height = position[2]


def test_some_objects_fall_in_at_different_times():
    rng = np.random.default_rng(0)
    for vehicle, ball, share in ((False, False, 0.22), (False, True, 0.25), (True, False, 0.05)):
        motions = [random_motion(rng, vehicle, ball, (1.0, 2.0, 0.3), (0.0, 0.0, 0.0, 1.0))
                   for _ in range(400)]
        drops = [motion for motion in motions if isinstance(motion, Drop)]
        assert len(drops) / 400 == pytest.approx(share, abs=0.06)
        held = []
        for time in (-0.1, 1.75, 3.5):
            bodies = [Hanging() for _ in drops]
            for motion, body in zip(drops, bodies, strict=True):
                motion.step(body, time)
            held.append(np.mean([body.height == 5.3 for body in bodies]))
        assert held[0] == 1.0
        assert 0.2 < held[1] < 0.8
        assert held[2] == 0.0
