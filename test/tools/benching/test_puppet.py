"""A puppet sees as many objects as it is told, at every frame, and no others."""

import pytest
import torch
from videomt_ros.network import Preprocessing
from videomt_ros.perception import VideoSegmenter
from videomt_ros.tools.benching.frames import drawn_frames
from videomt_ros.tools.benching.puppet import make_puppet

SMALL = {
    'num_layers': 3, 'num_query_blocks': 2, 'num_queries': 40, 'grid_size': 20,
    'preprocessing': Preprocessing('square', size=320)}


@pytest.mark.parametrize('objects', [0, 1, 7])
def test_it_sees_what_it_is_told(objects):
    segmenter = VideoSegmenter(make_puppet('S', objects, **SMALL))
    for frame in drawn_frames(200, 320, 3):
        result = segmenter.process_many({'': frame})['']
        assert len(result.instances) == objects
        assert all(each.score > 0.8 for each in result.instances)
        covered = float((result.label_map > 0).mean())
        assert (0.15 < covered < 0.5) if objects else covered == 0


def test_it_is_the_same_each_time():
    first, second = (make_puppet('S', 2, **SMALL).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_drawn_frames_move_and_repeat():
    frames = drawn_frames(48, 64, 3)
    assert [each.frame.shape for each in frames] == [(48, 64, 3)] * 3
    assert frames[1].stamp > frames[0].stamp
    assert (frames[0].frame != frames[1].frame).mean() > 0.3
    assert (frames[2].frame == drawn_frames(48, 64, 3)[2].frame).all()
