"""What hides what in scenes as they are drawn, against pictures of each object alone."""

from itertools import islice

import numpy as np
import pytest
from videomt_ros.training.sim import SimConfig, Simulation
from videomt_ros.training.sim.geometry import project, quaternion_of
from videomt_ros.training.sim.renderer import clip_matrices, shoot

pytest.importorskip('pybullet')

WIDTH, HEIGHT = 160, 120
CLEAN = SimConfig(width=WIDTH, height=HEIGHT, sensor=False)
SEEDS = (0, 2, 7)  # scenes without pillars, so that objects alone hide objects
NEAR, FAR = 0.08, 30.0
CORNERS = np.array([(a, b, c) for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])


def pixel(frame, points):
    """Project points; give pixel coordinates, depths and whether each is in the picture."""
    uv, depth = project(points, frame.camera_pose, frame.camera_matrix)
    inside = (depth > NEAR) & (uv >= 0).all(1) & (uv <= (WIDTH - 1, HEIGHT - 1)).all(1)
    return np.round(uv).astype(int), depth, inside


def alone(simulation, frame, view):
    """Render an object where a frame has it, with the others beyond the far plane."""
    for actor, other in zip(simulation._actors, frame.objects, strict=True):
        place = view.pose[:3, 3].tolist() if other is view else (0.0, 0.0, 100.0)
        actor.body.place(place, quaternion_of(other.pose[:3, :3]))
    shot = shoot(simulation._client, *clip_matrices(
        frame.camera_pose, frame.camera_matrix, WIDTH, HEIGHT, NEAR, FAR), WIDTH, HEIGHT)
    body = simulation._actors[view.instance_id - 1].body.number
    return shot.bodies == body, shot.depth_of(NEAR, FAR)


@pytest.fixture(scope='module')
def sights():
    """Give (frame, object, its mask and depth alone) for what lies wholly in the picture."""
    found = []
    for seed in SEEDS:
        with Simulation(seed, CLEAN) as simulation, Simulation(seed, CLEAN) as probe:
            for frame in islice(simulation, 0, 40, 4):
                for view in frame.objects:
                    box = CORNERS * view.size @ view.pose[:3, :3].T + view.pose[:3, 3]
                    if pixel(frame, box)[2].all():
                        found.append((frame, view, *alone(probe, frame, view)))
    return found


def test_objects_in_the_picture_are_partly_hidden_by_nearer_ones(sights):
    partly = 0
    for frame, view, mask, depth in sights:
        shown = frame.ids == view.instance_id
        assert not (shown & ~mask).any()
        hidden = mask & ~shown
        assert (frame.ids[hidden] > 0).all()
        assert (frame.depth[hidden] <= depth[hidden] + 1e-3).all()
        partly += 0 < view.visible < 0.7 and np.count_nonzero(hidden) > 0.2 * mask.sum()
    assert partly >= 20


def test_the_visible_share_is_that_of_the_pixels_seen_without_the_others(sights):
    truth = np.array([view.pixels / mask.sum() for _, view, mask, _ in sights])
    told = np.array([view.visible for _, view, _, _ in sights])
    # Cells of two pixels see a little more than there is of a flat object far away.
    assert np.abs(told - truth).max() < 0.3
    covered = truth < 0.9
    assert np.abs(told - truth)[covered].mean() < 0.08
    assert told[truth == 1.0].min() > 0.8
    assert np.count_nonzero(covered) > 40


def test_objects_are_wholly_hidden_although_they_are_in_the_picture(sights):
    gone = 0
    for frame, view, mask, _ in sights:
        if view.pixels:
            continue
        assert not view.present
        assert view.visible == 0.0
        # Alone it would be seen: it is there, not too small and not beyond the border.
        assert mask.sum() >= 50
        (u, v), depth, inside = (each[0] for each in pixel(frame, view.pose[None, :3, 3]))
        assert inside
        gone += 0 < frame.depth[v, u] < depth and frame.ids[v, u] not in (0, view.instance_id)
    assert gone >= 5
