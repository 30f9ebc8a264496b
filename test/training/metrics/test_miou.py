"""mIoU, by hand and pixel by pixel."""

import numpy as np
import pytest
from videomt_ros.training.metrics.miou import confusion, mean_iou


def test_by_hand():
    truth = np.array([[0, 0, 1, 1], [1, 1, 255, -1]])
    found = np.array([[0, 1, 1, 1], [255, 1, 0, 0]])
    counts = confusion(truth, found, 3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 3, 0, 1], [0, 0, 0, 0]]
    result = mean_iou(counts)
    assert result.per_class == {0: 0.5, 1: pytest.approx(3 / 5)}
    assert result.miou == pytest.approx(0.55)


def test_a_class_that_is_only_predicted_counts():
    result = mean_iou(confusion(np.array([0, 0]), np.array([0, 2]), 3))
    assert result.per_class == {0: 0.5, 2: 0}
    assert result.miou == 0.25


def test_videos_add_up():
    random = np.random.default_rng(0)
    truth, found = random.integers(-1, 5, size=(2, 3, 8, 8))
    parts = sum(confusion(t, f, 4) for t, f in zip(truth, found, strict=True))
    np.testing.assert_array_equal(parts, confusion(truth, found, 4))
    ious = [((truth == c) & (found == c)).sum()
            / ((truth == c) | ((found == c) & (truth >= 0) & (truth < 4))).sum()
            for c in range(4)]
    assert mean_iou(parts).miou == pytest.approx(np.mean(ious))


def test_nothing_annotated():
    assert np.isnan(mean_iou(confusion(np.array([255]), np.array([0]), 2)).miou)


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r'\(3,\); expected \(2,\)'):
        confusion(np.zeros(2, dtype=int), np.zeros(3, dtype=int), 1)
