"""Random views: pictures and masks go the same way, to a fraction of a pixel."""

import cv2
import numpy as np
import pytest
from videomt_ros.training.augment import draw_augmentation, rotation_path

SOURCE = (120, 160)


def disc(x=70.0, y=50.0, radius=18.0):
    """Draw a white disc on black with smooth edges, and its mask; centres of pixels are whole."""
    rows, columns = np.mgrid[:SOURCE[0], :SOURCE[1]]
    distance = np.hypot(rows - y, columns - x)
    picture = np.clip((radius + 0.5 - distance) * 255, 0, 255).astype(np.uint8)
    return np.dstack([picture] * 3), (distance <= radius).astype(np.uint8)


def view(seed, size, zoom=1.5, colour=0.0, angles=None):
    return draw_augmentation(np.random.default_rng(seed), SOURCE, size, zoom, colour, angles)


def centroid(weights):
    rows, columns = np.mgrid[:weights.shape[0], :weights.shape[1]]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize('size', ((120, 160), (60, 80), (24, 32), (240, 320), (64, 64)))
@pytest.mark.parametrize('rotated', (False, True))
def test_a_mask_lies_where_the_picture_shows_the_object(size, rotated):
    shifts = []
    for seed in range(40):
        picture, mask = disc(*np.random.default_rng(seed).uniform((60, 40), (100, 80)))
        angles = np.array([11.0]) if rotated else None
        drawn = view(seed, size, angles=angles)
        seen, found = drawn.picture(picture, 0)[..., 0] / 255, drawn.mask(mask, 0)
        assert seen.shape == found.shape == size and found.dtype == bool
        if found.sum() > 8:
            overlap = np.minimum(seen, found).sum() / np.maximum(seen, found).sum()
            assert overlap > (0.9 if size[0] > 30 else 0.65)
            shifts.append(centroid(seen) - centroid(found))
    assert len(shifts) > 30
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.06, 'a bias in x or y'
    assert np.abs(shifts).max() < 0.35


@pytest.mark.parametrize('size', ((120, 160), (60, 80), (30, 40)))
def test_an_object_lands_where_the_drawn_matrix_says(size):
    picture, mask = disc(70, 50, 12)
    for seed in range(10):
        drawn = view(seed, size)
        x, y = drawn.matrices[0] @ (70, 50, 1)
        if 12 < x < size[1] - 12 and 12 < y < size[0] - 12:
            assert np.abs(centroid(drawn.picture(picture, 0)[..., 0]) - (x, y)).max() < 0.1
            assert np.abs(centroid(drawn.mask(mask, 0)) - (x, y)).max() < 0.25


def test_without_zoom_at_its_own_size_a_picture_stays_or_is_mirrored():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*SOURCE, 3)).astype(np.uint8)
    mask = random.integers(0, 2, SOURCE).astype(np.uint8)
    kinds = set()
    for seed in range(12):
        drawn = view(seed, SOURCE, zoom=1.0)
        flipped = drawn.matrices[0, 0, 0] < 0
        kinds.add(flipped)
        way = slice(None, None, -1 if flipped else 1)
        assert np.array_equal(drawn.picture(picture, 0), picture[:, way])
        assert np.array_equal(drawn.mask(mask, 0), mask[:, way] > 0)
    assert kinds == {False, True}


def test_halving_averages_four_pixels_and_keeps_masks_of_half_of_them():
    drawn = next(v for v in (view(s, (60, 80), zoom=1.0) for s in range(9)) if
                 v.matrices[0, 0, 0] > 0)
    mask = np.zeros(SOURCE, np.uint8)
    mask[10:20, 31:50] = 1
    quarters = mask.reshape(60, 2, 80, 2).mean(axis=(1, 3))
    assert np.array_equal(drawn.mask(mask, 0), quarters >= 0.5)


def test_a_crop_is_enlarged_at_most_zoom_and_lies_within_the_picture():
    scales = []
    for seed in range(200):
        matrix = view(seed, SOURCE, zoom=2.0).matrices[0]
        scales.append(abs(matrix[0, 0]))
        back = cv2.invertAffineTransform(matrix)
        corners = back @ np.array([[0, 159, 0, 159], [0, 0, 119, 119], [1, 1, 1, 1.0]])
        assert corners.min() > -0.01
        assert corners[0].max() < 159.01 and corners[1].max() < 119.01
    assert min(scales) == pytest.approx(1.0) and 1.9 < max(scales) <= 2.0
    assert 0.35 < np.mean(np.isclose(scales, 1.0)) < 0.65


def test_shrinking_does_not_alias():
    stripes = np.zeros((*SOURCE, 3), np.uint8)
    stripes[:, ::2] = 255
    small = view(0, (24, 32), zoom=1.0).picture(stripes, 0)
    assert np.abs(small.astype(int) - 127).max() < 10


def test_what_a_rotation_uncovers_is_mirrored_in_picture_and_mask_alike():
    picture, mask = np.full((*SOURCE, 3), 255, np.uint8), np.ones(SOURCE, np.uint8)
    drawn = view(1, SOURCE, angles=np.array([-15.0, 15.0]))
    for t in range(2):
        assert drawn.mask(mask, t).all() and drawn.picture(picture, t).min() == 255


def test_each_frame_of_a_rotating_clip_has_its_own_angle():
    drawn = view(3, SOURCE, zoom=1.0, angles=np.array([-10.0, 0.0, 10.0]))
    turned = [np.degrees(np.arctan2(m[0, 1], abs(m[1, 1]))) for m in drawn.matrices]
    assert [abs(round(a)) for a in turned] == [10, 0, 10] and turned[0] * turned[2] < 0
    still = view(3, SOURCE)
    picture, _ = disc()
    assert np.array_equal(still.picture(picture, 0), still.picture(picture, 4))


def test_colour_changes_within_its_strength_and_not_without_any():
    grey = np.full((*SOURCE, 3), 128, np.uint8)
    assert np.array_equal(view(0, SOURCE).picture(grey, 0), grey)
    levels = np.array([view(s, SOURCE, colour=0.2).picture(grey, 0)[0, 0] for s in range(200)])
    assert 80 < levels.min() < 110 and 146 < levels.max() < 180
    assert np.ptp(levels.astype(int), axis=1).max() > 5, 'channels have gains of their own'


def test_rotations_rise_or_fall_within_fifteen_degrees():
    kinds = set()
    for seed in range(20):
        path = rotation_path(np.random.default_rng(seed), 5)
        steps = np.diff(path)
        assert path.shape == (5,) and np.abs(path).max() <= 15
        assert (steps > 0).all() or (steps < 0).all()
        kinds.add(bool(steps[0] > 0))
    assert kinds == {False, True}


def test_the_same_seed_draws_the_same_view():
    one, same, other = (view(seed, (60, 80), colour=0.3) for seed in (5, 5, 6))
    assert np.array_equal(one.matrices, same.matrices) and one.offset == same.offset
    assert not np.array_equal(one.gain, other.gain)
