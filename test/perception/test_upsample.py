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
