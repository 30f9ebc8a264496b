"""Counts of shared pixels, against masks that are laid over each other."""

import numpy as np
from pycocotools import mask as coco_mask
import pytest
from videomt_ros.training.metrics.overlap import count_overlaps


def decoded(tracks, frames, size=20):
    """Give (T, n, H, W) bool."""
    masks = np.zeros((frames, len(tracks), size, size), dtype=bool)
    for n, track in enumerate(tracks):
        for t, mask in enumerate(track.masks):
            if mask is not None:
                masks[t, n] = coco_mask.decode(mask)
    return masks


def test_counts_are_those_of_the_pixels(random_videos):
    for truth, found in random_videos(0, videos=10):
        overlaps = count_overlaps(truth, found, 6)
        ours, theirs = decoded(truth, 6), decoded(found, 6)
        common = (ours[:, :, None] & theirs[:, None]).sum(axis=(3, 4))
        np.testing.assert_array_equal(overlaps.common, common)
        np.testing.assert_array_equal(overlaps.truth_areas, ours.sum(axis=(2, 3)))
        np.testing.assert_array_equal(overlaps.found_areas, theirs.sum(axis=(2, 3)))
        either = (ours[:, :, None] | theirs[:, None]).sum(axis=(3, 4))
        np.testing.assert_allclose(overlaps.frame_iou(), common / np.maximum(either, 1))
        np.testing.assert_allclose(overlaps.track_iou(), common.sum(axis=0) / either.sum(axis=0))


def test_a_whole_track_is_compared_over_space_and_time(boxes):
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 10), None)
    found = boxes((0, 0, 10, 5), None, (0, 0, 10, 5))
    # 50 of 100, 0 of 100, 0 of 50 pixels.
    assert count_overlaps([truth], [found], 3).track_iou() == 50 / 250


def test_classes_are_told_apart(boxes):
    box = (0, 0, 4, 4)
    overlaps = count_overlaps(
        [boxes(box, class_id=2), boxes(box, class_id=5)], [boxes(box, class_id=5, score=0.7)], 1)
    assert overlaps.classes == [2, 5]
    of_class = overlaps.of_class(5)
    assert of_class.common.tolist() == [[[16]]] and of_class.found_scores.tolist() == [0.7]
    assert overlaps.of_class(2).common.shape == (1, 1, 0)


def test_no_tracks_at_all():
    overlaps = count_overlaps([], [], 3)
    assert overlaps.frame_iou().shape == (3, 0, 0) and overlaps.classes == []


def test_another_length_is_refused(boxes):
    with pytest.raises(ValueError, match='masks of 1 frames; expected 2'):
        count_overlaps([boxes((0, 0, 4, 4))], [], 2)
