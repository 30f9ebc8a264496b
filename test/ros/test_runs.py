"""Run lengths: hand-made cases, random round trips, and refusals."""

import numpy as np
import pytest
from videomt_ros.ros.runs import decode_runs, encode_runs


@pytest.mark.parametrize('rows,counts', [
    (['..##.'], [2, 2, 1]),
    (['##...'], [0, 2, 3]),
    (['.....'], [5]),
    (['#####'], [0, 5]),
    (['..##', '#..#'], [2, 3, 2, 1]),  # runs go on over the end of a row
    (['.'], [1]),
    (['#'], [0, 1]),
])
def test_counts(rows, counts):
    mask = np.array([[pixel == '#' for pixel in row] for row in rows])
    assert encode_runs(mask).tolist() == counts
    np.testing.assert_array_equal(decode_runs(counts, *mask.shape), mask)


def test_random_masks_round_trip():
    rng = np.random.default_rng(3)
    for _ in range(200):
        height, width = rng.integers(1, 40, 2)
        mask = rng.random((height, width)) < rng.random()
        runs = encode_runs(mask)
        assert runs.dtype == np.uint32
        assert (runs[1:] > 0).all() and runs.sum() == mask.size
        np.testing.assert_array_equal(decode_runs(runs, height, width), mask)


def test_view_of_a_larger_mask():
    mask = np.zeros((10, 10), bool)
    mask[3:5, 4:9] = True
    assert encode_runs(mask[2:6, 3:10]).tolist() == [8, 5, 2, 5, 8]


def test_empty_mask():
    assert encode_runs(np.zeros((0, 0), bool)).size == 0
    assert decode_runs(np.zeros(0, np.uint32), 0, 0).shape == (0, 0)


def test_wrong_sum():
    with pytest.raises(ValueError, match='add up to 5 pixels; expected 2x3 = 6'):
        decode_runs([2, 3], 2, 3)
