from dataclasses import FrozenInstanceError
from itertools import islice

import numpy as np
import pytest
from videomt_ros.training.sim import CLASS_NAMES, HELD_OUT_SEED, SimConfig, Simulation
from videomt_ros.training.sim.geometry import camera_matrix, project, transform
from videomt_ros.training.sim.world import visible_share

pytest.importorskip('pybullet')

SMALL = SimConfig(width=160, height=120)


def run(seed, frames, config=SMALL, every=1):
    with Simulation(seed, config) as simulation:
        return list(islice(simulation, 0, frames, every))


def points_of(frame, mask):
    """Take the pixels of a mask back into the world by depth, camera matrix and pose."""
    v, u = np.nonzero(mask)
    rays = np.stack([u, v, np.ones_like(u)], axis=1) @ np.linalg.inv(frame.camera_matrix).T
    local = rays * frame.depth[v, u, None]
    return local @ frame.camera_pose[:3, :3].T + frame.camera_pose[:3, 3]


@pytest.fixture(scope='module')
def scenes():
    return {seed: run(seed, 40, every=3) for seed in (2, HELD_OUT_SEED, HELD_OUT_SEED + 2)}


def test_the_same_seed_gives_the_same_frames_bit_for_bit():
    first, other, again = run(5, 12), run(6, 12), run(5, 12)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.rgb, two.rgb)
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_array_equal(one.depth, two.depth)
        np.testing.assert_array_equal(one.camera_pose, two.camera_pose)
        for seen, seen_again in zip(one.objects, two.objects, strict=True):
            np.testing.assert_array_equal(seen.pose, seen_again.pose)
            assert seen.visible == seen_again.visible
    assert (first[0].rgb != other[0].rgb).mean() > 0.5


def test_frames_have_the_promised_shapes_and_stamps():
    with Simulation(1) as simulation:
        frames = list(islice(simulation, 3))
    frame = frames[2]
    assert frame.rgb.shape == (240, 320, 3)
    assert frame.rgb.dtype == np.uint8
    assert frame.ids.shape == frame.depth.shape == (240, 320)
    assert frame.ids.dtype == np.uint8
    assert frame.depth.dtype == np.float32
    assert [f.index for f in frames] == [0, 1, 2]
    np.testing.assert_allclose([f.stamp for f in frames], (0.0, 0.1, 0.2))
    with pytest.raises(FrozenInstanceError):
        frame.index = 7


def test_ids_and_classes_stay_with_their_objects(scenes):
    for seed, frames in scenes.items():
        with Simulation(seed, SMALL) as simulation:
            classes = simulation.classes
        assert list(classes) == list(range(1, len(classes) + 1))
        for frame in frames:
            assert {seen.instance_id: seen.class_name for seen in frame.objects} == classes
            assert set(np.unique(frame.ids)) <= {0, *classes}
            for seen in frame.objects:
                assert CLASS_NAMES[seen.class_id] == seen.class_name
                assert seen.pixels == np.count_nonzero(frame.ids == seen.instance_id)


def test_depth_masks_and_poses_agree(scenes):
    checked = 0
    for frames in scenes.values():
        for frame in frames:
            for seen in frame.objects:
                points = points_of(frame, frame.ids == seen.instance_id)
                local = (points - seen.pose[:3, 3]) @ seen.pose[:3, :3]
                # Every pixel of an object, taken into its frame, lies in its bounding box.
                assert (np.abs(local) <= seen.size / 2 + 0.02).all()
                checked += len(points)
    assert checked > 20_000


def test_the_floor_is_where_the_depth_says(scenes):
    for frames in scenes.values():
        for frame in frames:
            mask = frame.ids == 0
            mask[:-3] = False
            if mask.sum() > 30:
                heights = points_of(frame, mask)[:, 2]
                assert abs(np.median(heights)) < 0.005
            assert (frame.depth >= 0).all()
            assert (frame.depth[frame.ids > 0] > 0.05).all()


def test_floors_are_textured_in_colours_and_patterns_of_their_own():
    tints, contrasts = [], []
    for seed in range(8):
        frame, = run(seed, 1, SimConfig(width=160, height=120, sensor=False))
        floor = (frame.ids == 0) & (frame.depth > 0)
        floor[floor] = np.abs(points_of(frame, floor)[:, 2]) < 0.01
        assert floor.sum() > 3000
        # A floor of one colour differs from pixel to pixel at the borders of shadows only.
        beside = floor[:, 1:] & floor[:, :-1]
        assert (np.diff(frame.rgb.astype(int), axis=1)[beside] != 0).any(1).mean() > 0.4
        colours = frame.rgb[floor].astype(float)
        tints.append(colours.mean(0) / colours.mean())
        dark, bright = np.percentile(colours.mean(1), (5, 95))
        contrasts.append(np.log(bright / dark))
    # Scenes with one texture for all have 0.03 and 0.07 here, from light, shadows and view.
    assert (np.std(tints, axis=0) > 0.1).all()
    assert np.std(contrasts) > 0.12


def test_the_centre_of_a_solid_object_falls_into_its_mask(scenes):
    solid = {'soccer_ball', 'block', 'lego', 'duck'}
    hits = []
    for frames in scenes.values():
        for frame in frames:
            for seen in frame.objects:
                if seen.class_name in solid and seen.visible > 0.95 and seen.present:
                    uv, depth = project(seen.pose[None, :3, 3], frame.camera_pose,
                                        frame.camera_matrix)
                    u, v = np.round(uv[0]).astype(int)
                    hits.append(frame.ids[v, u] == seen.instance_id)
                    assert frame.depth[v, u] < depth[0]
    assert len(hits) > 20
    assert all(hits)


def test_presence_is_a_share_of_the_picture(scenes):
    absent = present = 0
    for frames in scenes.values():
        for frame in frames:
            for seen in frame.objects:
                assert seen.present == (seen.pixels >= 0.0015 * 160 * 120)
                assert 0.0 <= seen.visible <= 1.0
                assert seen.pixels or not seen.visible
                absent += not seen.present
                present += seen.present
    assert absent > 10
    assert present > 50


def test_objects_move_and_the_camera_drives_and_turns(scenes):
    for frames in scenes.values():
        first, last = frames[0], frames[-1]
        travelled = max(np.linalg.norm(one.pose[:3, 3] - two.pose[:3, 3])
                        for one, two in zip(first.objects, last.objects, strict=True))
        assert travelled > 0.2
        headings = [np.arctan2(f.base_pose[1, 0], f.base_pose[0, 0]) for f in frames]
        assert np.ptp(np.unwrap(headings)) > 0.1
        places = np.array([frame.base_pose[:3, 3] for frame in frames])
        assert np.ptp(places[:, :2], axis=0).max() > 0.1
        assert (places[:, 2] == 0).all()
        heights = [frame.camera_pose[2, 3] for frame in frames]
        assert 0.4 <= min(heights) <= max(heights) <= 1.2


def test_objects_leave_the_picture_and_come_back(scenes):
    returned = 0
    for frames in scenes.values():
        for views in zip(*(frame.objects for frame in frames), strict=True):
            seen = np.flatnonzero([view.present for view in views])
            returned += len(seen) > 1 and (np.diff(seen) > 1).any()
    assert returned >= 2


def test_scenes_hold_several_objects_of_one_class():
    several = 0
    for seed in range(10):
        with Simulation(seed, SMALL) as simulation:
            names = list(simulation.classes.values())
        assert 3 <= len(names) <= 8
        several += len(set(names)) < len(names)
    assert several >= 5


def test_the_number_of_objects_and_the_rate_can_be_chosen():
    frames = run(3, 3, SimConfig(width=96, height=64, rate=20, objects=(2, 2)))
    assert frames[0].rgb.shape == (64, 96, 3)
    assert len(frames[0].objects) == 2
    assert frames[2].stamp == pytest.approx(0.1)


def test_the_sensor_can_be_left_out():
    clean = run(4, 2, SimConfig(width=160, height=120, sensor=False))
    real = run(4, 2)
    np.testing.assert_array_equal(clean[1].ids, real[1].ids)
    np.testing.assert_array_equal(clean[1].depth, real[1].depth)
    assert (clean[1].rgb != real[1].rgb).mean() > 0.5


def test_visible_share_of_a_half_covered_and_a_half_left_plate():
    intrinsics = camera_matrix(160, 120, 1.0)
    grid = np.linspace(-0.5, 0.5, 25)
    surface = np.array([(x, y, 0.0) for x in grid for y in grid])
    pose = transform(translation=(0.0, 0.0, 2.0))
    uv, _ = project(surface + (0, 0, 2.0), np.eye(4), intrinsics)
    (left, top), (right, bottom) = np.round(uv.min(0)).astype(int), np.round(uv.max(0)).astype(int)
    shown = np.zeros((120, 160), bool)
    shown[top:bottom + 1, left:right + 1] = True

    def share(mask, place=pose):
        return visible_share(surface, place, np.eye(4), intrinsics, mask)

    assert share(shown) == 1.0
    assert share(np.zeros_like(shown)) == 0.0
    shown[:, left:(left + right) // 2] = False
    assert share(shown) == pytest.approx(0.5, abs=0.06)
    # Half of it beyond the picture's left border.
    edge = transform(translation=(-160 / 2 / intrinsics[0, 0] * 2.0, 0.0, 2.0))
    shown[:] = False
    shown[top:bottom + 1, :(right - left) // 2] = True
    assert share(shown, edge) == pytest.approx(0.5, abs=0.06)
    assert share(shown, transform(translation=(0.0, 0.0, -2.0))) == 0.0


@pytest.mark.parametrize(('wrong', 'message'), [
    ({'width': 4}, 'picture size is 4x240'), ({'rate': 7}, 'rate is 7'),
    ({'objects': (5, 2)}, r'objects is \(5, 2\)'), ({'objects': (1, 300)}, 'within 1..60'),
    ({'min_visible': 1.5}, 'min_visible is 1.5')])
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        SimConfig(**wrong)


def test_a_scene_runs_once_and_not_after_it_was_closed():
    with pytest.raises(ValueError, match='seed is -1'):
        Simulation(-1)
    with Simulation(0, SMALL) as simulation:
        next(iter(simulation))
        with pytest.raises(RuntimeError, match='scene 0 ran before'):
            iter(simulation)
    simulation.close()
    with pytest.raises(RuntimeError, match='is closed'):
        iter(simulation)
