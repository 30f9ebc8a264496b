"""Frames encoded ahead give what frame by frame gives; a memory survives being written down."""

import json

import numpy as np
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.perception import FrameInput
from videomt_ros.perception.ahead import AheadSegmenter
from videomt_ros.perception.snapshot import restore_snapshot, take_snapshot


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(3)
    network = VideoMT(NetworkConfig(
        hidden_size=32, num_layers=4, num_heads=2, mlp_size=64, num_queries=12,
        num_query_blocks=2, grid_size=4, class_names=('person', 'dog', 'cup'),
        thing_classes=frozenset({0, 1}), preprocessing=Preprocessing(size=64)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        network.class_head.weight *= 8  # sure of what it sees, however wrong
    return network


@pytest.fixture(params=['instance', 'panoptic', 'semantic'])
def make(network, request):
    def build():
        return AheadSegmenter(
            network, task=request.param, start_score=0.3, keep_score=0.2, max_lost=0.5,
            confirm_frames=2)
    return build


def clip(seed, count, height=50, width=70):
    """Give pictures that change slowly, so that some tracks last and some do not."""
    random = np.random.default_rng(seed)
    first, last = random.integers(0, 256, (2, height, width, 3))
    return [FrameInput((first + (last - first) * i / count).astype(np.uint8), i / 10, 'eye')
            for i in range(count)]


def describe(result, exact=True):
    return [(i.track_id, i.state, i.class_id, i.box, i.area, i.age, i.mask_value,
             i.score if exact else round(i.score, 4), i.first_seen, i.last_seen)
            for i in result.instances]


def test_one_by_one_it_is_the_segmenter_to_the_bit(make):
    one, other = make(), make()
    seen = 0
    for frame in clip(0, 12):
        expected = one.process(*frame[:2], 'a', frame_id='eye')
        result = other.process_encoded({'a': other.encode([frame])[0]})['a']
        assert describe(result) == describe(expected)
        assert np.array_equal(result.label_map, expected.label_map)
        seen += len(result.instances)
    assert seen > 5, 'the random network shows nothing, so nothing was compared'


def test_many_at_once_give_the_same_tracks(make):
    one, other = make(), make()
    frames = clip(0, 12)
    expected = [describe(one.process(*frame[:2], 'a', frame_id='eye'), False) for frame in frames]
    encoded = other.encode(frames)
    assert [describe(other.process_encoded({'a': each})['a'], False)
            for each in encoded] == expected


def test_an_engine_that_cannot_be_split_gets_whole_frames(make, network):
    calls = []

    def engine(pixels, state):
        calls.append(pixels.shape)
        return network(pixels, state)
    one, other = make(), make()
    other._engine = engine
    frames = clip(0, 6)
    expected = [describe(one.process(*frame[:2], 'a', frame_id='eye')) for frame in frames]
    encoded = other.encode(frames)
    assert not calls and all(each.tokens is None for each in encoded)
    assert [describe(other.process_encoded({'a': each})['a']) for each in encoded] == expected
    assert len(calls) == 6 and other.engine is engine


def test_cameras_of_any_size_go_together_and_stay_apart(make):
    together, apart = make(), make()
    clips = {'a': clip(1, 6), 'b': clip(2, 6), 'wide': clip(3, 6, 40, 160)}
    encoded = together.encode([frame for frames in clips.values() for frame in frames])
    for i in range(6):
        results = together.process_encoded(
            {name: encoded[6 * place + i] for place, name in enumerate(clips)})
        assert list(results) == list(clips)
        for name, frames in clips.items():
            alone = apart.process_many({name: frames[i]})[name]
            assert describe(results[name], False) == describe(alone, False)


def test_the_memory_is_reset_as_in_the_segmenter(make):
    segmenter = make()
    frames = [*clip(0, 3), FrameInput(clip(0, 1)[0].frame, 99.0, 'eye')]
    results = [segmenter.process_encoded({'': each})[''] for each in segmenter.encode(frames)]
    assert [result.epoch for result in results] == [0, 0, 0, 1]
    assert 'gap of 98.800 s' in results[3].reset_reason


def test_what_is_no_picture_is_refused(make):
    with pytest.raises(ValueError, match=r'expected \(H, W, 3\) uint8'):
        make().encode([FrameInput(np.zeros((4, 4), np.uint8))])


def test_answers_that_are_no_numbers_change_nothing(make, network):
    segmenter = make()
    frames = segmenter.encode(clip(0, 3))
    segmenter.process_encoded({'': frames[0]})
    before = take_snapshot(segmenter)
    with torch.inference_mode():
        frames[1].tokens.tokens[:] = float('nan')
    with pytest.raises(FloatingPointError, match='not finite'):
        segmenter.process_encoded({'': frames[1]})
    after = take_snapshot(segmenter)
    assert before[0] == after[0]
    assert all(torch.equal(before[1][name], after[1][name]) for name in before[1])


def test_a_restored_memory_goes_on_to_the_bit(make):
    frames = {'a': clip(4, 20), 'b': clip(5, 20)}
    whole = make()
    encoded = {name: whole.encode(each) for name, each in frames.items()}
    expected = [whole.process_encoded({name: each[i] for name, each in encoded.items()})
                for i in range(20)]
    for stop in (1, 7, 13):
        first, second = make(), make()
        for i in range(stop):
            first.process_encoded({name: each[i] for name, each in encoded.items()})
        text, tensors = take_snapshot(first)
        first.process_encoded({name: each[stop] for name, each in encoded.items()})
        restore_snapshot(second, text, tensors)
        for i in range(stop, 20):
            results = second.process_encoded({name: each[i] for name, each in encoded.items()})
            for name, result in results.items():
                assert describe(result) == describe(expected[i][name])
                assert np.array_equal(result.label_map, expected[i][name].label_map)
                assert np.array_equal(result.confidence_map, expected[i][name].confidence_map)


def test_a_snapshot_before_the_first_frame_is_empty(make):
    segmenter = make()
    text, tensors = take_snapshot(segmenter)
    assert (json.loads(text), tensors) == ({'dict': []}, {})
    restore_snapshot(segmenter, text, tensors)


@pytest.mark.parametrize('text', [
    '{"class": "os:system", "number": 0, "fields": []}',
    '{"class": "videomt_ros.perception.segmenter:np", "number": 0, "fields": []}',
    '{"class": "videomt_ros.perception.tracks:deque", "number": 0, "fields": []}',
    '{"enum": "videomt_ros.perception.tracks:Track", "value": 1}',
    '{"tensor": "17"}', '{"call": "me"}', '{"again": 3}'])
def test_a_foreign_snapshot_is_refused(make, text):
    with pytest.raises(ValueError, match='no snapshot'):
        restore_snapshot(make(), text, {})


def test_only_data_can_be_written_down(make):
    segmenter = make()
    segmenter.process(clip(0, 1)[0].frame)
    segmenter._cameras[''].task.hook = print
    with pytest.raises(TypeError, match='which is no data'):
        take_snapshot(segmenter)
