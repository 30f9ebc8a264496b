"""What is cut out of a frame is the mask, in its tight box."""

import numpy as np
import pytest
from videomt_ros.perception.regions import cut_out


def test_a_region_keeps_its_box_its_holes_and_its_chances():
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:9, 6:16] = True
    mask[6, 8] = False
    mask[18, 20] = True
    chances = np.full((20, 30), 200, dtype=np.uint8)
    chances[18, 20] = 0
    patch = cut_out(mask, chances)
    assert patch.box == (6, 4, 15, 15) and patch.area == 50
    wanted = np.where(mask, 200, 0)
    wanted[18, 20] = 1  # however doubtful, it belongs to the region
    np.testing.assert_array_equal(patch.probabilities, wanted[4:19, 6:21])
    assert patch.probabilities.dtype == np.uint8
    assert patch.mean_probability == pytest.approx((49 * 200 + 1) / 255 / 50)


def test_nothing_has_an_empty_patch():
    patch = cut_out(np.zeros((5, 5), dtype=bool), np.zeros((5, 5), dtype=np.uint8))
    assert patch.box == (0, 0, 0, 0) and patch.area == 0 and not patch.probabilities.size
