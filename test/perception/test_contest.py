"""Who gets which pixel of a frame."""

import numpy as np
import pytest
import torch
from videomt_ros.network import Preprocessing
from videomt_ros.perception import bands
from videomt_ros.perception.contest import share_out
from videomt_ros.perception.resize import FrameGeometry, Resizer

GRID = (4, 5)
AS_IT_IS = FrameGeometry(GRID, GRID, GRID, one_step=False)


def blocks(*areas, strength=40.0):
    """Give mask logits that are positive in the given cells (row, column slices) alone."""
    logits = torch.full((len(areas), *GRID), -strength)
    for mask, area in zip(logits, areas, strict=True):
        mask[area] = strength
    return logits


def scores(*values):
    return np.array(values, dtype=np.float32)


def test_pixels_go_to_the_highest_score_times_probability():
    left, right = (slice(None), slice(0, 3)), (slice(None), slice(2, 5))
    shares = share_out(blocks(left, right), scores(0.9, 0.8), AS_IT_IS, 0.0)
    assert shares.owner.tolist() == [[0, 0, 0, 1, 1]] * 4
    assert shares.areas.tolist() == [12, 8] and shares.passed == [0, 1]
    assert (shares.chances == 255).all()


def test_nothing_is_held_below_a_half_and_a_half_is_enough():
    logits = torch.tensor([[-0.1, 0.0, 0.1, -9.0, 9.0]]).expand(1, 4, 5)
    shares = share_out(logits, scores(0.9), AS_IT_IS, 0.0)
    assert shares.owner.tolist() == [[1, 0, 0, 1, 0]] * 4
    assert shares.chances[0].tolist() == [121, 128, 134, 0, 255]


def test_a_mask_must_win_its_share_and_exactly_that_is_enough():
    wide, small = (slice(0, 2), slice(0, 5)), (0, slice(0, 2))
    shares = share_out(blocks(wide, small), scores(0.8, 0.9), AS_IT_IS, 0.8)
    assert shares.passed == [0, 1] and shares.areas.tolist() == [8, 2]
    small = (0, slice(0, 3))
    shares = share_out(blocks(wide, small), scores(0.8, 0.9), AS_IT_IS, 0.8)
    assert shares.passed == [1] and shares.areas.tolist() == [7, 3]


def test_empty_masks_do_not_pass_whatever_the_threshold():
    logits = blocks((slice(0, 2), slice(0, 5)), (0, 0))
    logits[1] = -40
    assert share_out(logits, scores(0.8, 0.99), AS_IT_IS, 0.0).passed == [0]


def test_without_masks_nothing_is_owned():
    shares = share_out(torch.zeros(0, *GRID), scores(), AS_IT_IS, 0.8)
    assert not shares.owner.any() and shares.owner.shape == GRID
    assert shares.passed == [] and not shares.chances.any()


@pytest.mark.parametrize('size, source', [(64, (50, 70)), (160, (200, 260)), (160, (90, 120))])
def test_bands_change_nothing(size, source, monkeypatch):
    geometry = Resizer(Preprocessing(size=size), 16).geometry(*source)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, geometry.padded[0] // 4, geometry.padded[1] // 4,
                         generator=generator) * 3
    weights = torch.rand(9, generator=generator).numpy()
    whole = share_out(logits, weights, geometry, 0.3)
    monkeypatch.setitem(bands._VALUES_AT_ONCE, 'cpu', 1 << 13)
    bands.source_bands.cache_clear()
    parts = share_out(logits, weights, geometry, 0.3)
    bands.source_bands.cache_clear()
    assert parts.passed == whole.passed and len(np.unique(whole.owner)) > 5
    assert (parts.owner != whole.owner).sum() <= 1  # a tie that rounds to the other side
    assert np.abs(parts.areas - whole.areas).max() <= 1
    assert np.abs(parts.chances.astype(int) - whole.chances).max() <= 1
