"""Maps with one value a pixel."""

import numpy as np
import pytest
from videomt_ros.training.metrics.panoptic import count_pairs, paint, PanopticVideo, VOID


def test_the_surer_track_is_on_top(boxes):
    tracks = [boxes((0, 0, 4, 4), None, class_id=1, score=0.5),
              boxes((2, 0, 4, 4), (2, 0, 4, 4), class_id=0, score=0.9)]
    video = paint(tracks, (2, 20, 20), background=7)
    assert video.classes == {1: 1, 2: 0, 3: 7}
    assert video.segments[:, 0, :8].tolist() == [
        [1, 1, 2, 2, 2, 2, 3, 3], [3, 3, 2, 2, 2, 2, 3, 3]]
    assert video.class_map()[0, 0, :8].tolist() == [1, 1, 0, 0, 0, 0, 7, 7]


def test_of_equally_sure_tracks_the_first_is_on_top(boxes):
    box = (0, 0, 4, 4)
    video = paint([boxes(box), boxes(box), boxes(box)], (1, 20, 20), background=1)
    assert set(np.unique(video.segments)) == {1, 4}


def test_void_lies_under_every_track(boxes):
    video = paint(
        [boxes((0, 0, 4, 4), None, score=0.1)], (2, 20, 20), background=7,
        void=[boxes((2, 0, 4, 4), (0, 0, 2, 2)), boxes((4, 0, 4, 4), None)])
    assert video.classes == {1: 0, 2: 7}
    assert video.segments[:, 0, :10].tolist() == [
        [1, 1, 1, 1, 0, 0, 0, 0, 2, 2], [0, 0, 2, 2, 2, 2, 2, 2, 2, 2]]


def test_pairs_are_counted_frame_by_frame():
    truth = PanopticVideo(np.array([[[0, 9, 9]], [[5, 5, 9]]]), {9: 0, 5: 1})
    found = PanopticVideo(np.array([[[2, 2, 0]], [[2, 0, 2]]]), {2: 0})
    assert count_pairs(truth, found).tolist() == [
        # void, segment 2; rows: void, 9, 5
        [[0, 1], [1, 1], [0, 0]],
        [[0, 0], [0, 1], [1, 1]]]


def test_void_has_no_class():
    video = PanopticVideo(np.array([[[0, 300, 7]]]), {300: 2, 7: 4})
    assert video.class_map().tolist() == [[[VOID, 2, 4]]]


def test_a_segment_without_class_is_refused():
    with pytest.raises(ValueError, match='segment 8 is in the map and has no class'):
        PanopticVideo(np.array([[[1, 8]]]), {1: 0, 9: 0}).class_map()


def test_maps_of_different_shape_are_refused():
    one, other = (PanopticVideo(np.zeros((1, 2, n), dtype=int), {}) for n in (3, 4))
    with pytest.raises(ValueError, match=r'\(1, 2, 4\); expected \(1, 2, 3\)'):
        count_pairs(one, other)
