"""Run lengths, in all the forms that annotation files have them in."""

import numpy as np
from pycocotools import mask as coco_mask
import pytest
from videomt_ros.training.metrics.tracks import at_least, compressed, ScoredTrack
from videomt_ros.training.run_lengths import encode

MASK = np.zeros((6, 8), dtype=bool)
MASK[1:4, 2:7] = True


@pytest.mark.parametrize('segment', [
    encode(MASK),
    # Column by column, background first: 2 columns of 6 and a row, then 3 set and 3 not.
    {'size': [6, 8], 'counts': [13, 3, 3, 3, 3, 3, 3, 3, 3, 3, 8]},
    [[2, 1, 7, 1, 7, 4, 2, 4]],
    [[2, 1], [2, 1, 7, 1, 7, 4, 2, 4], [0, 0, 8, 6]],
], ids=['compressed', 'list', 'polygon', 'polygon and less'])
def test_all_forms_give_the_same_mask(segment):
    np.testing.assert_array_equal(coco_mask.decode(compressed(segment, 6, 8)), MASK)


@pytest.mark.parametrize('nothing', [
    None, [], {}, [[]], [[1, 2]], [[1, 2, 3, 4]], [[1, 2, 3, 4], [], [1]]])
def test_nothing_stays_nothing(nothing):
    assert compressed(nothing, 6, 8) is None


def test_another_frame_size_is_refused():
    with pytest.raises(ValueError, match='size 8x6; expected 10x6'):
        compressed(encode(MASK), 6, 10)


@pytest.mark.parametrize('garbage', [
    'abc', {'counts': 'x'}, 5, {'size': [6, 8], 'counts': 5}, [5], [1, 1, 5, 1, 5, 4], [['a'] * 6],
    [[None] * 6], [[[1, 1], [5, 1], [5, 4]]], {'size': 'ab', 'counts': [48]},
    {'size': [6], 'counts': [48]}, {'size': [6, 8], 'counts': ['a']}])
def test_garbage_is_refused(garbage):
    with pytest.raises(ValueError, match='expected run lengths'):
        compressed(garbage, 6, 8)


def test_only_sure_tracks_are_kept():
    tracks = [ScoredTrack(0, (), score) for score in (0.2, 0.3, 0.4)]
    assert at_least(tracks, 0.3) == tracks[1:]
