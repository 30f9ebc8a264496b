"""Run lengths: hand-made cases, random round trips, and refusals."""

import time

import cv2
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


def frayed_blobs(count, height=720, width=1280):
    """Draw ellipses of many sizes whose outlines are as uneven as those of real masks."""
    rng = np.random.default_rng(11)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 3)
    noise /= np.abs(noise).max()
    y, x = np.mgrid[:height, :width]
    for _ in range(count):
        centre_y, centre_x = rng.random(2) * (height, width)
        radius_y, radius_x = 10 + rng.random(2) * (150, 250)
        distance = np.hypot((y - centre_y) / radius_y, (x - centre_x) / radius_x)
        yield distance + 0.5 * np.roll(noise, rng.integers(width, size=2), (0, 1)) < 1


def seconds_of(work):
    """Give the least time of this thread that the work has taken, and what came of it."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        result = work()
        times.append(time.thread_time() - began)
    return min(times), result


def test_no_pixel_of_a_large_mask_is_touched_by_python():
    masks = list(frayed_blobs(20))
    encoding, runs = seconds_of(lambda: [encode_runs(mask) for mask in masks])
    decoding, back = seconds_of(lambda: [decode_runs(each, 720, 1280) for each in runs])
    for mask, each, again in zip(masks, runs, back, strict=True):
        assert 50 < each.size < 20_000, 'no blob with an uneven outline'
        np.testing.assert_array_equal(again, mask)

    pixels = masks[0].tobytes()

    def pass_by():
        for _ in pixels:
            pass

    # A bound in the machine's own measure: Python cannot even pass by the pixels of more than
    # eight masks in the time that is allowed for all twenty.
    allowed = 8 * seconds_of(pass_by)[0]
    assert encoding < allowed and decoding < allowed


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
