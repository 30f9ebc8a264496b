"""Patches equal the whole upsampled masks, whatever the sizes, and their scores Hugging Face's."""

import numpy as np
import pytest
import torch
from videomt_ros.network import Preprocessing
from videomt_ros.perception.resize import Resizer
from videomt_ros.perception.upsample import MaskUpsampler

SOURCES = [(641, 359), (359, 641), (720, 1280), (113, 97), (40, 31), (64, 64)]
RECORDS = [Preprocessing(size=160), Preprocessing('square', size=160)]


def make_masks(size, rng):
    """Give logits of a blob, a blob at the lower right border, noise, specks and nothing."""
    y, x = np.mgrid[:size[0], :size[1]]
    blob = 6 - np.hypot(y - size[0] * 0.4, x - size[1] * 0.6)
    corner = 9 - np.hypot(y - size[0], x - size[1])
    noise = rng.normal(0, 3, size)
    specks = np.where(rng.random(size) < 0.01, 5.0, -5.0)
    nothing = np.full(size, -3.0)
    return np.stack([blob, corner, noise, specks, nothing]).astype(np.float32)


@pytest.mark.parametrize('source', SOURCES)
@pytest.mark.parametrize('record', RECORDS, ids=['short_side', 'square'])
@pytest.mark.parametrize('stride', [4, 8])
def test_patches_are_the_visible_part_of_the_upsampled_masks(source, record, stride):
    geometry = Resizer(record, patch_size=16).geometry(*source)
    size = (geometry.padded[0] // stride, geometry.padded[1] // stride)
    logits = make_masks(size, np.random.default_rng(1))
    whole = geometry.masks_to_source(torch.from_numpy(logits)).numpy()
    patches = MaskUpsampler(geometry, size).patches(logits)
    for patch, wanted in zip(patches, whole, strict=True):
        x, y, width, height = patch.box
        full = np.zeros(source, dtype=np.uint8)
        full[y:y + height, x:x + width] = patch.probabilities
        sure = np.abs(wanted) > 1e-4  # a logit that rounds to either side of 0 may fall there
        assert np.array_equal((full > 0)[sure], (wanted > 0)[sure])
        inside = (full > 0) & sure
        exact = 255 / (1 + np.exp(-wanted[inside].astype(float)))
        assert np.abs(full[inside] - exact).max(initial=0) < 0.51
        assert full[full > 0].min(initial=255) >= 128
        assert patch.area == np.count_nonzero(full)
        if patch.area:
            rows, columns = np.nonzero(full)
            assert patch.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert patches[-1].area == 0 and patches[-1].box == (0, 0, 0, 0)


@pytest.mark.parametrize('record', RECORDS, ids=['short_side', 'square'])
def test_mean_probability_is_hugging_faces_mask_score(record):
    geometry = Resizer(record, patch_size=16).geometry(221, 333)
    size = (geometry.padded[0] // 4, geometry.padded[1] // 4)
    logits = make_masks(size, np.random.default_rng(2))
    whole = geometry.masks_to_source(torch.from_numpy(logits))
    positive = (whole > 0).flatten(1)
    wanted = (whole.sigmoid().flatten(1) * positive).sum(1) / (positive.sum(1) + 1e-6)
    found = [patch.mean_probability for patch in MaskUpsampler(geometry, size).patches(logits)]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_a_mask_in_the_padding_only_is_empty():
    geometry = Resizer(Preprocessing(size=64), patch_size=16).geometry(64, 66)  # padded to 96
    logits = np.full((1, 16, 24), -4.0, dtype=np.float32)
    logits[:, :, 20:] = 4
    assert MaskUpsampler(geometry, (16, 24)).patches(logits)[0].area == 0


def test_overflowing_logits_are_certain():
    geometry = Resizer(Preprocessing('square', size=64), patch_size=16).geometry(64, 64)
    logits = np.full((1, 16, 16), -1e30, dtype=np.float32)
    logits[:, 4:8, 4:8] = 1e30
    with np.errstate(all='raise', under='ignore'):
        patch = MaskUpsampler(geometry, (16, 16)).patches(logits)[0]
    assert patch.box == (16, 16, 16, 16)
    assert patch.area == 16 * 16 - 4  # bilinear interpolation rounds the corners
    assert set(np.unique(patch.probabilities)) == {0, 255}


@pytest.fixture
def made(monkeypatch):
    """Give the list of the pixels that each part of a mask was made of."""
    pixels, original = [], MaskUpsampler._strip

    def spy(self, mask, rows, columns):
        chances, inside = original(self, mask, rows, columns)
        pixels.append(chances.size)
        return chances, inside
    monkeypatch.setattr(MaskUpsampler, '_strip', spy)
    return pixels


CELL = 8  # a side of a mask's pixel in those of the frame
LARGE = Resizer(Preprocessing(size=360), patch_size=16).geometry(720, 1280)
GRID = (LARGE.padded[0] // 4, LARGE.padded[1] // 4)


def boxes_of_cells(*boxes):
    """Give logits of masks that are positive in a box (x, y, width, height) each."""
    logits = np.full((len(boxes), *GRID), -4.0, dtype=np.float32)
    for mask, (x, y, width, height) in zip(logits, boxes, strict=True):
        mask[y:y + height, x:x + width] = 4
    return logits


@pytest.mark.parametrize('place', [(40, 30), (0, 0), (155, 86)], ids=['middle', 'first', 'last'])
def test_a_small_object_costs_its_box_and_a_margin(made, place):
    patch, = MaskUpsampler(LARGE, GRID).patches(boxes_of_cells((*place, 5, 4)))
    width, height = patch.box[2:]
    assert 0 < patch.area <= width * height <= (5 * CELL) * (4 * CELL)
    assert patch.area <= sum(made) <= (width + 2 * CELL) * (height + 2 * CELL) < 720 * 1280 / 200


@pytest.mark.parametrize('row', [5, 80], ids=['beside', 'below'])
def test_two_small_objects_far_apart_in_one_mask_cost_no_picture(made, row):
    logits = boxes_of_cells((4, 5, 5, 4), (150, row, 5, 4)).max(axis=0, keepdims=True)
    patch, = MaskUpsampler(LARGE, GRID).patches(logits)
    # Whole strips of 64 rows are made, and each of the two may lie in two of them.
    assert patch.area <= sum(made) <= 2 * (7 * CELL) * (2 * 64)
    assert sum(made) < patch.box[2] * patch.box[3] / 5


def test_each_mask_costs_its_own_pixels(made):
    upsampler = MaskUpsampler(LARGE, GRID)
    assert upsampler.patches(boxes_of_cells()) == [] and made == []
    costs = []
    for count in (1, 2, 4, 8):
        made.clear()
        upsampler.patches(boxes_of_cells(*((20 + 10 * n, 40, 5, 4) for n in range(count))))
        costs.append(sum(made))
    assert costs == [n * costs[0] for n in (1, 2, 4, 8)]
    made.clear()
    assert upsampler.patches(boxes_of_cells((3, 3, 0, 0)))[0].area == 0 and made == []
