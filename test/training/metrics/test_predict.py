"""Tracks out of a network, by a segmenter that says what the test wants, and by a real one."""

from types import SimpleNamespace

import numpy as np
from pycocotools import mask as coco_mask
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.perception.offline import segment_clip
from videomt_ros.training.metrics import encode, match_classes, track_offline, track_online

FRAME = np.zeros((20, 20, 3), dtype=np.uint8)


class ScriptedSegmenter:
    """Says at each frame what is written down for it."""

    def __init__(self, script):
        self.script = script
        self.stamps = []
        self.resets = 0

    def reset(self, camera):
        assert camera == ''
        self.resets += 1

    def process(self, frame, stamp):
        assert frame is FRAME
        self.stamps.append(stamp)
        return SimpleNamespace(instances=self.script[len(self.stamps) - 1])


def seen(track_id, class_id, score, pixels):
    mask = np.zeros((20, 20), dtype=bool)
    mask.ravel()[:pixels] = True
    return SimpleNamespace(
        track_id=track_id, class_id=class_id, score=score, area=pixels, mask=mask)


def test_online_gathers_what_is_said_of_each_track():
    segmenter = ScriptedSegmenter([
        [seen(4, 0, 0.5, 10), seen(5, 2, 0.9, 3)],
        [seen(4, 1, 0.9, 12), seen(6, 3, 0.9, 1)],
        [seen(4, 1, 0.9, 0), seen(6, 3, 0.9, 2)],  # 4 is lost
    ])
    prediction = track_online(segmenter, [FRAME] * 3, fps=5, classes={0: 0, 1: 7, 2: 1})
    assert segmenter.stamps == pytest.approx([0, 0.2, 0.4]) and segmenter.resets == 1
    assert prediction.frames == 3 and prediction.seconds > 0
    first, second = prediction.tracks  # the third is of a class that nobody wants
    assert (first.class_id, second.class_id) == (7, 1)
    assert first.score == pytest.approx((0.5 + 0.9) / 3)  # 0 where it was not seen
    assert [mask and int(coco_mask.area(mask)) for mask in first.masks] == [10, 12, None]
    assert second.masks == (encode(seen(5, 2, 0.9, 3).mask), None, None)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = VideoMT(NetworkConfig(
        hidden_size=32, num_layers=3, num_heads=2, mlp_size=64, num_queries=6, grid_size=4,
        num_query_blocks=2, class_names=('cat', 'dog'), thing_classes=frozenset(range(2)),
        preprocessing=Preprocessing(rule='short_side', size=40, max_size=100))).eval()
    with torch.no_grad():
        network.class_head.weight.mul_(20)
    return network


def test_offline_is_the_protocol_of_the_paper(network):
    frames = np.random.default_rng(0).integers(0, 256, size=(4, 30, 46, 3), dtype=np.uint8)
    prediction = track_offline(network, frames, {0: 3, 1: 5}, top_k=4)
    assert prediction.frames == 4 and len(prediction.tracks) == 4

    # The same by hand: frames one after the other, then the decision over all of them.
    from videomt_ros.perception.resize import Resizer
    resizer = Resizer(network.config.preprocessing, network.config.patch_size)
    state, classes, masks = None, [], []
    with torch.inference_mode():
        for frame in frames:
            output = network(resizer.prepare(frame, torch.device('cpu'))[None], state)
            state = output.state
            classes.append(output.class_logits)
            masks.append(output.mask_logits)
        geometry = resizer.geometry(30, 46)
        assert geometry.resized == (40, 61)
        expected = segment_clip(
            torch.cat(classes), torch.cat(masks), 'instance', geometry.padded, geometry.resized,
            (30, 46), top_k=4)
    for track, instance in zip(prediction.tracks, expected, strict=True):
        assert track.class_id == (3, 5)[instance.class_id]
        assert track.score == pytest.approx(instance.score)
        for mask, frame in zip(track.masks, instance.masks, strict=True):
            assert (mask is not None) == frame.any()
            if mask is not None:
                np.testing.assert_array_equal(coco_mask.decode(mask), frame)
    only = track_offline(network, frames, {1: 0}, top_k=4).tracks
    assert len(only) == sum(instance.class_id == 1 for instance in expected)
    assert {track.class_id for track in only} <= {0}


def test_classes_are_matched_by_name():
    assert match_classes(('Giant Panda', 'cat', 'soccer_ball'), ('soccer ball', 'giant-panda')) \
        == {0: 1, 2: 0}
    with pytest.raises(ValueError, match='the network knows cat, .*; expected a class of'):
        match_classes(('cat',), ('dog',))
