"""Video consistency, by hand and against its definition read literally, a pixel at a time."""

import numpy as np
import pytest
from videomt_ros.training.metrics.vc import consistency, video_consistency


def literal(truth, found, n, classes):
    """Go through the windows, and through the pixels of each."""
    shares = []
    for start in range(len(truth) - n + 1):
        lasting = right = 0
        for y, x in np.ndindex(truth.shape[1:]):
            labels = truth[start:start + n, y, x]
            if len(set(labels)) == 1 and 0 <= labels[0] < classes:
                lasting += 1
                right += (found[start:start + n, y, x] == labels[0]).all()
        if lasting:
            shares.append(right / lasting)
    return shares


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('n', [1, 3, 8])
def test_against_a_literal_reading(seed, n):
    random = np.random.default_rng(seed)
    truth = np.repeat(random.integers(-1, 4, size=(4, 5, 6)), 5, axis=0)
    found = np.where(random.random(truth.shape) < 0.9, truth, random.integers(0, 3, truth.shape))
    expected = literal(truth, found, n, 3)
    np.testing.assert_allclose(consistency(truth, found, n, 3), expected)


def test_a_flicker_spoils_all_windows_that_see_it():
    truth = np.zeros((10, 1, 2), dtype=int)
    found = truth.copy()
    found[4, 0, 0] = 1
    # Windows of 3 from frames 0 to 7; those from 2, 3 and 4 see the flicker of one of two pixels.
    assert consistency(truth, found, 3, 2).tolist() == [1, 1, 0.5, 0.5, 0.5, 1, 1, 1]


def test_a_steady_error_is_no_consistency():
    truth = np.zeros((4, 2, 2), dtype=int)
    assert consistency(truth, truth + 1, 4, 2).tolist() == [0]


def test_pixels_that_change_or_have_no_class_do_not_count():
    truth = np.array([[[0, 0, 255]], [[0, 1, 255]]])
    assert consistency(truth, np.zeros_like(truth), 2, 2).tolist() == [1]
    assert consistency(truth[:, :, 1:], truth[:, :, 1:], 2, 2).tolist() == []


def test_the_mean_is_over_windows():
    assert video_consistency([np.array([1, 1, 1]), np.array([0]), np.zeros(0)]) == 0.75
    assert np.isnan(video_consistency([consistency(*np.zeros((2, 3, 1, 1), dtype=int), 4, 1)]))
