"""The memory of each camera: carried on, batched, reset with a reason, never mixed up."""

import numpy as np
import pytest
import torch
from videomt_ros.network import load_network, NetworkConfig, Preprocessing, VideoMT
from videomt_ros.perception import FrameInput, TrackState, VideoSegmenter

HERE, THERE = (1, 1, 5, 5), (9, 9, 5, 5)
NEW, TRACKED, LOST, ENDED = TrackState


@pytest.fixture
def random_network():
    """Make a small random network whose answers depend on what it sees and has seen."""
    def make(seed=0, **fields):
        torch.manual_seed(seed)
        network = VideoMT(NetworkConfig(**{
            'hidden_size': 32, 'num_layers': 3, 'num_heads': 2, 'mlp_size': 64, 'num_queries': 12,
            'num_query_blocks': 2, 'grid_size': 4, 'class_names': ('person', 'dog', 'cup'),
            'thing_classes': frozenset(range(3)), 'preprocessing': Preprocessing(size=64),
            **fields}))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.2)
        return network
    return make


@pytest.fixture
def person(scripted, shows):
    """Make a segmenter that sees one person in every frame."""
    def make(**options):
        return VideoSegmenter(scripted([{0: shows('person', HERE)}] * 50), **options)
    return make


def clip(seed, count, height=50, width=70):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def ids(result):
    return [(i.track_id, i.state) for i in result.instances]


def describe(result):
    return [(i.track_id, i.state, i.class_id, i.box, i.area, i.age, i.mask_value,
             i.first_seen, i.last_seen) for i in result.instances]


def test_a_result_says_what_was_seen(person, frame):
    segmenter = person(confirm_frames=2)
    first = segmenter.process(frame, 10.0, 'front')
    assert (first.camera, first.stamp, first.task) == ('front', 10.0, 'instance')
    assert (first.height, first.width) == (64, 64)
    assert (first.epoch, first.reset_reason, first.dt, first.skipped) == (0, None, None, 0)
    second = segmenter.process(frame, 10.1, 'front', skipped=3)
    assert second.dt == pytest.approx(0.1) and second.skipped == 3
    instance, = second.instances
    assert ids(first) == [(1, NEW)] and ids(second) == [(1, TRACKED)]
    assert (instance.class_id, instance.class_name, instance.age) == (0, 'person', 2)
    assert (instance.first_seen, instance.last_seen) == (10.0, 10.1)
    assert instance.box == (4, 4, 20, 20)
    assert 0 < instance.score < 0.95
    assert instance.mask[14, 14] and not instance.mask[40, 40]
    assert second.label_map[14, 14] == instance.mask_value and second.class_map[14, 14] == 0
    assert set(second.timings) == {'prepare', 'network', 'masks', 'tracks', 'total'}
    assert second.timings['total'] == pytest.approx(
        sum(ms for stage, ms in second.timings.items() if stage != 'total'))
    assert min(second.timings.values()) >= 0


def test_the_memory_goes_from_frame_to_frame(scripted, shows, frame):
    network = scripted([{0: shows('person', HERE)}, {1: shows('dog', THERE)}])
    segmenter = VideoSegmenter(network)
    segmenter.process(frame)
    assert [i.class_name for i in segmenter.process(frame).instances if i.area] == ['dog']


def test_seconds_count_without_stamps_too(scripted, shows, frame):
    script = [{0: shows('person', HERE)}] * 3 + [{}] * 20
    segmenter = VideoSegmenter(scripted(script), max_lost=1.0)
    states = [ids(segmenter.process(frame)) for _ in range(15)]
    assert states[3:13] == [[(1, LOST)]] * 10  # a frame counts as 0.1 s
    assert states[13:] == [[(1, ENDED)], []]
    segmenter.reset()
    for _ in range(3):
        segmenter.process(frame)
    assert ids(segmenter.process(frame, skipped=8)) == [(2, LOST)]
    assert ids(segmenter.process(frame, skipped=1)) == [(2, ENDED)]


@pytest.mark.parametrize('change, reason', [
    ({'stamp': 4.9}, 'stamp went back by 0.100 s'),
    ({'stamp': 7.1}, 'gap of 2.100 s, over max_gap 2 s'),
    ({'frame': np.zeros((64, 80, 3), dtype=np.uint8)}, 'image size changed from 64x64 to 80x64'),
    ({'frame_id': 'rear'}, "frame_id changed from 'front' to 'rear'"),
    (None, 'reset was asked for'),
])
def test_what_breaks_the_stream_resets_the_memory(person, frame, change, reason):
    segmenter = person(max_gap=2.0, confirm_frames=1)
    given = {'frame': frame, 'stamp': 5.0, 'frame_id': 'front'}
    segmenter.process(**given)
    assert ids(segmenter.process(**given)) == [(1, TRACKED)]
    if change is None:
        segmenter.reset()
    result = segmenter.process(**{**given, **(change or {})})
    assert (result.epoch, result.reset_reason, result.dt) == (1, reason, None)
    assert ids(result) == [(1, ENDED), (2, TRACKED)]
    after = segmenter.process(**{**given, **(change or {})})
    assert (after.epoch, after.reset_reason) == (1, None)
    assert ids(after) == [(2, TRACKED)]


@pytest.mark.parametrize('change', [
    {'stamp': 5.0}, {'stamp': 7.0}, {'stamp': None}, {'frame_id': None}])
def test_what_does_not_break_the_stream_does_not(person, frame, change):
    segmenter = person(max_gap=2.0, confirm_frames=1)
    given = {'frame': frame, 'stamp': 5.0, 'frame_id': 'front'}
    segmenter.process(**given)
    result = segmenter.process(**{**given, **change})
    assert result.epoch == 0 and ids(result) == [(1, TRACKED)]


def test_a_reset_of_one_camera_leaves_the_others_alone(person, frame):
    segmenter = person(confirm_frames=1)
    segmenter.process_many({'front': (frame, 1.0), 'rear': (frame, 1.0)})
    segmenter.reset('rear')
    segmenter.reset('rear')
    segmenter.reset('no such camera')
    results = segmenter.process_many({'front': (frame, 1.1), 'rear': (frame, 1.1)})
    assert (results['front'].epoch, ids(results['front'])) == (0, [(1, TRACKED)])
    assert results['rear'].epoch == 1
    assert ids(results['rear']) == [(1, ENDED), (2, TRACKED)]


def test_ids_go_on_over_many_resets(person, frame):
    segmenter = person(confirm_frames=1)
    for epoch in range(5):
        result = segmenter.process(frame)
        assert result.epoch == epoch
        assert [i.track_id for i in result.instances if i.area] == [epoch + 1]
        segmenter.reset()


def test_several_cameras_are_one_batch_and_equal_single_runs(random_network):
    network = random_network()
    options = {'start_score': 0.2, 'keep_score': 0.1, 'confirm_frames': 2}
    clips = {'front': clip(1, 5), 'left': clip(2, 5), 'rear': clip(3, 5)}
    alone = {name: [] for name in clips}
    for name, frames in clips.items():
        segmenter = VideoSegmenter(network, **options)
        alone[name] = [segmenter.process(frame, i * 0.1, name) for i, frame in enumerate(frames)]
    together = VideoSegmenter(network, **options)
    for i in range(5):
        results = together.process_many({
            name: (frames[i], i * 0.1) for name, frames in clips.items()})
        assert list(results) == list(clips)
        for name, result in results.items():
            wanted = alone[name][i]
            assert describe(result) == describe(wanted)
            assert (result.label_map != wanted.label_map).sum() <= 1
            for ours, theirs in zip(result.instances, wanted.instances, strict=True):
                assert ours.score == pytest.approx(theirs.score, abs=1e-5)
    assert all(i.area for i in alone['left'][-1].instances[:1])  # there was something to compare


def test_bad_masks_of_one_camera_cost_the_others_nothing(scripted, shows, frame):
    person, mask = shows('person', HERE)
    segmenter = VideoSegmenter(scripted([
        {0: (person, mask)}, {0: (person, mask * float('nan'))}, {0: (person, mask)}]))
    segmenter.process(frame, 0.0, 'front')
    failed = {}
    results = segmenter.process_many({'rear': (frame, 0.1), 'front': (frame, 0.1)}, failed)
    assert list(results) == ['rear'] and ids(results['rear']) == [(1, NEW)]
    assert list(failed) == ['front'] and 'mask logits' in str(failed['front'])
    with pytest.raises(FloatingPointError, match='mask logits'):
        segmenter.process_many({'front': (frame, 0.2)})


def test_cameras_of_other_sizes_go_in_their_own_batch(person, frame):
    segmenter = person()
    wide = np.zeros((64, 96, 3), dtype=np.uint8)
    large = np.zeros((128, 128, 3), dtype=np.uint8)  # resized to the size of the small ones
    segmenter.process_many({
        'a': (frame, 0.0), 'b': (wide, 0.0), 'c': FrameInput(frame), 'd': (large, 0.0)})
    assert segmenter.network.batches == [3, 1]


def test_a_camera_that_starts_late_starts_anew(person, frame):
    segmenter = person(confirm_frames=2)
    segmenter.process(frame, camera='front')
    results = segmenter.process_many({'front': (frame, None), 'rear': (frame, None)})
    assert ids(results['front']) == [(1, TRACKED)] and ids(results['rear']) == [(1, NEW)]


@pytest.mark.parametrize('bad', [
    np.zeros((64, 64, 3), dtype=np.float32), np.zeros((64, 64), dtype=np.uint8),
    np.zeros((0, 64, 3), dtype=np.uint8), np.zeros((64, 64, 4), dtype=np.uint8), None])
def test_a_bad_frame_is_an_error_that_changes_no_memory(person, frame, bad):
    segmenter = person(confirm_frames=2)
    segmenter.process(frame, 1.0)
    with pytest.raises(ValueError, match="^camera 'front': frame "):
        segmenter.process_many({'': (frame, 0.5), 'front': (bad, 0.5)})
    with pytest.raises(ValueError, match="^camera '': frame "):
        segmenter.process(bad, 0.5)
    result = segmenter.process(frame, 1.1)
    assert (result.epoch, ids(result)) == (0, [(1, TRACKED)])


def test_an_answer_that_is_not_finite_is_an_error_that_changes_no_memory(scripted, shows, frame):
    classes, mask = shows('person', HERE)
    network = scripted([{0: (classes, mask)}, {0: (classes * float('nan'), mask)}])
    segmenter = VideoSegmenter(network)
    segmenter.process(frame, 1.0)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="camera '': .* not finite"):
            segmenter.process(frame, 1.05)
    network.script[1] = network.script[0]
    result = segmenter.process(frame, 1.1)
    assert (result.epoch, ids(result)) == (0, [(1, NEW)])
    assert result.instances[0].age == 2


@pytest.mark.parametrize('classes', [['dog'], [1], ('dog', 1)])
def test_only_wanted_classes_are_looked_at(scripted, shows, frame, classes):
    network = scripted([{0: shows('person', HERE), 3: shows('dog', THERE)}])
    result = VideoSegmenter(network, classes=classes).process(frame)
    assert [i.class_name for i in result.instances] == ['dog']
    assert network.asked == [[3]]


def test_settings_change_between_frames(scripted, shows, frame):
    both = {0: shows('person', HERE), 3: shows('dog', THERE, 0.6)}
    segmenter = VideoSegmenter(scripted([both] * 9), confirm_frames=1, classes=['person'])
    assert ids(segmenter.process(frame)) == [(1, TRACKED)]
    segmenter.configure(classes=None, start_score=0.7)
    assert ids(segmenter.process(frame)) == [(1, TRACKED)]
    segmenter.configure(start_score=0.5, max_gap=1.0)
    assert ids(segmenter.process(frame)) == [(1, TRACKED), (2, TRACKED)]
    segmenter.configure(classes=['dog'])
    assert ids(segmenter.process(frame)) == [(1, ENDED), (2, TRACKED)]


def test_a_bad_setting_changes_nothing(person, frame):
    segmenter = person(confirm_frames=1)
    for bad in ({'classes': ['cat']}, {'start_score': 2.0}, {'max_gap': 0.0}):
        with pytest.raises(ValueError):
            segmenter.configure(**{'confirm_frames': 5, 'max_gap': 9.0, **bad})
    assert ids(segmenter.process(frame)) == [(1, TRACKED)]


@pytest.mark.parametrize('options, said', [
    ({'task': 'depth'}, r"task 'depth': expected one of \('instance'"),
    ({'engine': 'warp'}, "engine 'warp': expected one of"),
    ({'resize': 'crop'}, "resize 'crop': expected one of"),
    ({'classes': ['cat']}, "class 'cat' is not one .* it knows person, dog, cup"),
    ({'classes': [3]}, 'class 3 is not one'),
    ({'start_score': 7}, 'start_score is 7: expected 0 to 1'),
    ({'mask_parts': 'half'}, "mask_parts is 'half': expected one of"),
    ({'max_gap': -1}, 'max_gap is -1: expected more than 0'),
])
def test_unknown_choices_are_refused_with_the_known_ones(person, options, said):
    with pytest.raises(ValueError, match=said):
        person(**options)


def test_more_classes_than_a_class_map_holds_are_refused(random_network):
    names = tuple(str(i) for i in range(256))
    with pytest.raises(ValueError, match='256 classes'):
        VideoSegmenter(random_network(class_names=names, thing_classes=frozenset()))


def test_the_rule_of_the_weights_can_be_overruled(random_network):
    network = random_network()
    shapes = []
    network.register_forward_pre_hook(lambda module, given: shapes.append(given[0].shape))
    for resize in ('auto', 'short_side', 'square'):
        VideoSegmenter(network, resize=resize).process(clip(0, 1)[0])
    assert [tuple(shape) for shape in shapes] == [
        (1, 3, 64, 96), (1, 3, 64, 96), (1, 3, 64, 64)]


def test_boxes_and_masks_of_odd_sizes_are_in_source_pixels(scripted, shows):
    # 641 x 359 goes to 114 x 64, padded to 128 x 64: cells of 4 pixels, 16 across, 32 down.
    network = scripted([])
    classes, _ = shows('person', HERE)
    mask = torch.full((32, 16), -4.0)
    mask[4:12, 3:9] = 4
    network.script = [{0: (classes, mask)}]
    network.config = NetworkConfig(
        num_queries=1, class_names=network.config.class_names, thing_classes=frozenset(),
        preprocessing=network.config.preprocessing)
    result = VideoSegmenter(network).process(np.zeros((641, 359, 3), dtype=np.uint8))
    assert result.label_map.shape == (641, 359)
    x, y, width, height = result.instances[0].box
    down, across = 641 / 114, 359 / 64
    assert x == pytest.approx(12 * across, abs=1) and y == pytest.approx(16 * down, abs=1)
    assert x + width == pytest.approx(36 * across, abs=1)
    assert y + height == pytest.approx(48 * down, abs=1)


def test_many_slots_make_label_maps_of_16_bits(scripted, shows, frame):
    network = scripted([{290: shows('person', HERE)}], num_queries=300)
    assert VideoSegmenter(network).process(frame).label_map.dtype == np.uint16


def test_warming_up_leaves_the_memory_alone(person, frame):
    segmenter = person()
    segmenter.process(frame)
    segmenter.warm_up(64, 64)
    segmenter.warm_up(64, 96, cameras=3)
    assert segmenter.network.batches == [1, 1, 1, 2, 3]
    result = segmenter.process(frame)
    assert result.epoch == 0 and result.instances[0].age == 2


@pytest.mark.parametrize('precision', ['bf16', 'fp32', 'auto'])
def test_a_saved_network_is_loaded_in_the_wanted_precision(random_network, tmp_path, precision):
    network = random_network()
    network.save_pretrained(tmp_path)
    segmenter = VideoSegmenter.from_pretrained(
        str(tmp_path), precision=precision, device='cpu', engine='eager', start_score=0.2,
        keep_score=0.1)
    assert segmenter.network.dtype == (
        torch.bfloat16 if precision == 'bf16' else torch.float32)
    frames = clip(4, 3)
    wanted = VideoSegmenter(load_network(str(tmp_path)), start_score=0.2, keep_score=0.1)
    for frame in frames:
        ours, theirs = segmenter.process(frame), wanted.process(frame)
    assert (ours.label_map > 0).mean() == pytest.approx((theirs.label_map > 0).mean(), abs=0.05)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision 'int3': expected one of"):
        VideoSegmenter.from_pretrained('nowhere', precision='int3')


def test_frames_leave_no_gradients_behind(random_network):
    segmenter = VideoSegmenter(random_network())
    segmenter.process(clip(0, 1)[0])
    assert not segmenter._cameras[''].queries.queries.requires_grad
