"""Things have tracks, stuff has none, pixels are shared out as in the paper."""

import json
import types

import numpy as np
import pytest
import torch
from torch.nn import functional
from videomt_ros.network import NetworkConfig, Preprocessing, QueryState, VideoMTOutput
from videomt_ros.perception import TrackState, VideoSegmenter
from videomt_ros.perception.offline import segment_clip
from videomt_ros.perception.panoptic import PanopticTask
from videomt_ros.perception.resize import FrameGeometry, Resizer
from videomt_ros.perception.snapshot import restore_snapshot, take_snapshot
from videomt_ros.perception.tasks import View
from videomt_ros.perception.tracks import TrackRules

NEW, TRACKED, LOST, ENDED = TrackState
# Persons and dogs are things; cup is stuff, as if it were grass.
THINGS, STUFF = (0, 1), 'cup'
HERE, THERE, BELOW = (1, 1, 5, 5), (9, 9, 5, 5), (0, 8, 16, 8)
# Nothing is too small to be a thing.
OPEN = {'start_score': 0.0, 'keep_score': 0.0, 'min_area': 0, 'duplicate_overlap': 1.0,
        'confirm_frames': 1}


@pytest.fixture
def watch(scripted):
    """Make a segmenter that sees what a script says."""
    def make(script, **options):
        return VideoSegmenter(
            scripted(script, num_queries=6, things=THINGS), task='panoptic', **options)
    return make


def tell(result):
    """Give (track_id, state, class name, area > 0) of all instances."""
    return [(i.track_id, i.state, i.class_name, i.area > 0) for i in result.instances]


def random_answer(seed, queries=14, classes=5, sharpness=6.0, size=(16, 24)):
    """Give class logits (Q, K+1) and mask logits (Q, h, w) that overlap at their outlines."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, queries, 4, 5, generator=generator) * 6
    heights = functional.interpolate(coarse, size=size, mode='bicubic')[0]
    first, second = heights.topk(2, dim=0).values
    masks = heights - torch.where(heights == first, second, first) + 0.4
    return torch.randn(queries, classes + 1, generator=generator) * sharpness, masks


def judge(class_logits, masks, geometry, **rules):
    """Run the task on one frame of 5 classes, of which 0 and 1 are things."""
    output = VideoMTOutput(
        class_logits[None], torch.eye(len(masks))[None], masks[None],
        QueryState(torch.zeros(1, len(masks), 1), torch.zeros(len(masks), 1)))
    task = PanopticTask(NetworkConfig(
        num_queries=len(masks), class_names=tuple('abcde'), thing_classes=frozenset(THINGS)))
    view = View(output, 0, class_logits.numpy(), geometry, 2.0, 0.0)
    return task.segment(view, TrackRules(**rules)).instances


def assert_same_segments(instances, ids, segments):
    """Compare instances that are seen with the paper's segments of a frame, to the pixel."""
    seen = [i for i in instances if i.area]
    theirs = [s for s in segments if (ids == s.segment_id).any()]
    assert sorted((i.class_id, i.track_id > 0) for i in seen) == sorted(
        (s.class_id, s.is_thing) for s in theirs)
    covered = np.zeros(ids.shape, dtype=bool)
    for segment in theirs:
        mask = ids == segment.segment_id
        covered |= mask
        assert any(i.class_id == segment.class_id and np.array_equal(i.mask, mask) for i in seen)
    np.testing.assert_array_equal(np.any([i.mask for i in seen], axis=0), covered)


@pytest.mark.parametrize('rule, source', [
    ('short_side', (50, 70)), ('short_side', (120, 177)), ('square', (53, 71))])
@pytest.mark.parametrize('score, overlap', [(0.8, 0.8), (0.3, 0.4), (0.0, 0.0)])
def test_a_single_frame_is_the_papers_result_to_the_pixel(rule, source, score, overlap):
    geometry = Resizer(Preprocessing(rule, 64), 16).geometry(*source)
    size = (geometry.padded[0] // 4, geometry.padded[1] // 4)
    counts = []
    for seed in range(6):
        class_logits, masks = random_answer(seed, size=size)
        instances = judge(class_logits, masks, geometry, **OPEN, score_threshold=score,
                          overlap_threshold=overlap)
        ids, segments = segment_clip(
            class_logits[None], masks[None], 'panoptic', geometry.padded, geometry.resized,
            geometry.source, THINGS, score_threshold=score, overlap_threshold=overlap)
        assert_same_segments(instances, ids[0], segments)
        probabilities = class_logits.softmax(-1)
        for segment in segments:
            same = [i for i in instances if i.class_id == segment.class_id]
            wanted = float(probabilities[segment.query, segment.class_id])
            assert any(i.score == pytest.approx(wanted, abs=1e-6) or not segment.is_thing
                       and i.score >= wanted for i in same)
        counts.append(len(segments))
    assert max(counts) >= 3


def test_by_default_the_thresholds_are_those_of_the_paper():
    geometry = Resizer(Preprocessing(size=64), 16).geometry(50, 70)
    found = 0
    for seed in range(8):
        class_logits, masks = random_answer(seed)
        ids, segments = segment_clip(
            class_logits[None], masks[None], 'panoptic', geometry.padded, geometry.resized,
            geometry.source, THINGS)
        assert_same_segments(judge(class_logits, masks, geometry, min_area=0), ids[0], segments)
        found += len(segments)
    assert found > 8


@pytest.mark.parametrize('frames', [1, 2, 5])
@pytest.mark.parametrize('moving', [True, False])
def test_the_last_frame_of_a_clip_is_the_papers_offline_result(scripted, frames, moving):
    # Every slot is one track or stuff throughout. Where masks move, the overlap test is left out:
    # its areas are those of a frame here, and of the clip there.
    overlap = 0.0 if moving else 0.8
    rules = {**OPEN, 'move_overlap': 1.0, 'max_lost': 99, 'overlap_threshold': overlap}
    kinds = []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        base, masks = random_answer(seed, queries=9, classes=3, size=(16, 16))
        base += 3 * functional.one_hot(base.argmax(-1), 4)
        script = []
        for t in range(frames):
            if moving:
                masks = masks.roll((t % 2, 1), dims=(1, 2))
            noise = torch.randn(base.shape, generator=generator) * 0.3
            script.append(dict(enumerate(zip(base + noise, masks, strict=True))))
        network = scripted(script, num_queries=len(base), square=True, things=THINGS)
        segmenter = VideoSegmenter(network, task='panoptic', **rules, score_threshold=0.6)
        for _ in range(frames):
            result = segmenter.process(np.zeros((50, 70, 3), dtype=np.uint8))
        assert {i.age for i in result.instances if i.track_id} <= {frames}
        classes, masks = (torch.stack([torch.stack([answer[slot][part] for slot in answer])
                                       for answer in script]) for part in (0, 1))
        ids, segments = segment_clip(
            classes, masks, 'panoptic', (64, 64), (64, 64), (50, 70), THINGS,
            score_threshold=0.6, overlap_threshold=overlap)
        assert_same_segments(result.instances, ids[-1], segments)
        mean = classes.mean(0).softmax(-1)
        for instance in result.instances:
            if instance.track_id and instance.area:
                wanted = [float(mean[s.query, s.class_id]) for s in segments if s.is_thing]
                assert any(instance.score == pytest.approx(each, abs=1e-5) for each in wanted)
        kinds += [i.track_id > 0 for i in result.instances if i.area]
    assert kinds.count(True) > 5 and kinds.count(False) > 2


def test_without_a_resize_it_is_transformers_own_function():
    pytest.importorskip('torchvision')
    from transformers.models.videomt.video_processing_videomt import VideomtVideoProcessor
    size = (24, 36)  # theirs takes the sigmoid after the resize, the paper's before it
    for seed in range(6):
        class_logits, masks = random_answer(seed, size=size)
        theirs = VideomtVideoProcessor().post_process_panoptic_segmentation(
            types.SimpleNamespace(
                class_queries_logits=class_logits[None], masks_queries_logits=masks[None]),
            target_sizes=[size], label_ids_to_fuse={2, 3, 4})[0]
        instances = judge(
            class_logits, masks, FrameGeometry(size, size, size, True), min_area=0)
        found = theirs['segmentation'].numpy()
        ids = {each['id']: each['label_id'] for each in theirs['segments_info']}
        for segment_id, class_id in ids.items():
            assert any(i.class_id == class_id and np.array_equal(i.mask, found == segment_id)
                       for i in instances)
        assert sum(i.area > 0 for i in instances) == len(ids)


def test_things_are_tracks_and_stuff_is_not(watch, shows, frame):
    scene = {0: shows('person', HERE), 2: shows(STUFF, BELOW, 0.9), 4: shows('dog', (7, 1, 5, 5))}
    segmenter = watch([scene] * 3, confirm_frames=2)
    first = segmenter.process(frame, 1.0)
    assert tell(first) == [(0, TRACKED, STUFF, True), (1, NEW, 'person', True),
                           (2, NEW, 'dog', True)]
    second = segmenter.process(frame, 1.1)
    assert tell(second) == [(0, TRACKED, STUFF, True), (1, TRACKED, 'person', True),
                            (2, TRACKED, 'dog', True)]
    stuff, person, dog = second.instances
    assert (stuff.age, stuff.first_seen, stuff.last_seen) == (1, 1.1, 1.1)
    assert (person.age, person.first_seen, person.last_seen) == (2, 1.0, 1.1)
    assert stuff.score == pytest.approx(0.9) and person.score == pytest.approx(0.95)
    assert stuff.box == (0, 32, 64, 32) and stuff.area == 64 * 32
    assert [i.mask_value for i in first.instances] == [i.mask_value for i in second.instances]
    assert second.task == 'panoptic'
    assert set(second.timings) == {'prepare', 'network', 'masks', 'tracks', 'total'}


def test_maps_show_each_pixel_once(watch, shows, frame):
    segmenter = watch([{0: shows('person', (2, 5, 4, 6)), 2: shows(STUFF, BELOW, 0.9)}])
    result = segmenter.process(frame)
    stuff, person = result.instances
    assert not (stuff.mask & person.mask).any()
    # The person is the surer one, and its lower half lies on the stuff.
    assert person.mask[40, 16] and not stuff.mask[40, 16] and stuff.mask[40, 40]
    assert person.area + stuff.area == (result.label_map > 0).sum() > 64 * 32
    for instance in result.instances:
        np.testing.assert_array_equal(result.label_map == instance.mask_value, instance.mask)
        np.testing.assert_array_equal(result.class_map == instance.class_id, instance.mask)
        sure = 255 * instance.score / (1 + np.exp(-4))
        assert result.confidence_map[instance.mask].max() == pytest.approx(sure, abs=1)
    void = ~(stuff.mask | person.mask)
    assert (result.label_map[void] == 0).all() and (result.class_map[void] == 255).all()
    assert (result.confidence_map[void] == 0).all() and void[5, 5]
    assert result.label_map.dtype == np.uint8


def test_stuff_of_one_class_is_one_segment_with_the_same_value_always(watch, shows, frame):
    scene = {1: shows(STUFF, HERE, 0.9), 3: shows(STUFF, THERE, 0.85),
             0: shows('dog', (9, 1, 4, 4))}
    segmenter = watch([scene, {}, {5: shows(STUFF, BELOW)}])
    first, _, second = (segmenter.process(frame) for _ in range(3))
    stuff = first.instances[0]
    assert tell(first) == [(0, TRACKED, STUFF, True), (1, NEW, 'dog', True)]
    assert stuff.mask[14, 14] and stuff.mask[46, 46] and stuff.area == 2 * (20 * 20 - 4)
    assert stuff.score == pytest.approx(0.9)
    assert stuff.mask_value == second.instances[0].mask_value == 254
    assert first.instances[1].mask_value == 1
    segmenter.reset()
    assert segmenter.process(frame).instances[0].mask_value == 254


def test_a_thing_that_is_covered_is_lost_and_comes_back_with_its_id(watch, shows, frame):
    dog = shows('dog', HERE, 0.9)
    covered = {0: dog, 1: shows('person', (1, 1, 5, 4), 0.97)}
    segmenter = watch([{0: dog}] * 2 + [covered] * 2 + [{0: dog}], confirm_frames=1)
    assert [tell(segmenter.process(frame)) for _ in range(5)] == [
        [(1, TRACKED, 'dog', True)], [(1, TRACKED, 'dog', True)],
        [(1, LOST, 'dog', False), (2, TRACKED, 'person', True)],
        [(1, LOST, 'dog', False), (2, TRACKED, 'person', True)],
        [(1, TRACKED, 'dog', True), (2, LOST, 'person', False)]]


def test_a_thing_that_changes_slots_keeps_its_id(watch, shows, frame):
    segmenter = watch(
        [{0: shows('dog', HERE)}] * 2 + [{3: shows('dog', (2, 1, 5, 5))}] * 2, confirm_frames=1)
    assert [tell(segmenter.process(frame)) for _ in range(4)] == [
        [(1, TRACKED, 'dog', True)]] * 4


def test_two_slots_on_one_thing_are_one_track(watch, shows, frame):
    both = {0: shows('dog', HERE, 0.93), 3: shows('dog', HERE, 0.92)}
    segmenter = watch([{0: shows('dog', HERE, 0.93)}] + [both] * 3, confirm_frames=1)
    assert [tell(segmenter.process(frame)) for _ in range(4)] == [
        [(1, TRACKED, 'dog', True)]] * 4


def test_ids_are_never_given_again(watch, shows, frame):
    segmenter = watch([{0: shows('dog', HERE), 1: shows(STUFF, BELOW)}] * 2, confirm_frames=1)
    segmenter.process(frame)
    segmenter.reset()
    assert tell(segmenter.process(frame)) == [
        (0, TRACKED, STUFF, True), (1, ENDED, 'dog', False), (2, TRACKED, 'dog', True)]


def test_what_is_hidden_ends_after_a_while(watch, shows, frame):
    segmenter = watch([{0: shows('dog', HERE)}] * 2 + [{}] * 9, confirm_frames=1, max_lost=0.5)
    states = [[i.state for i in segmenter.process(frame).instances] for _ in range(10)]
    assert states == [[TRACKED]] * 2 + [[LOST]] * 5 + [[ENDED], [], []]


def test_a_slot_that_turns_to_stuff_elsewhere_is_stuff_at_once(watch, shows, frame):
    segmenter = watch(
        [{0: shows('dog', HERE)}] * 20 + [{0: shows(STUFF, THERE)}] * 2, confirm_frames=1)
    for _ in range(20):
        segmenter.process(frame)
    for _ in range(2):
        result = segmenter.process(frame)
        assert tell(result) == [(0, TRACKED, STUFF, True), (1, LOST, 'dog', False)]
        assert result.class_map[46, 46] == 2 and result.instances[0].score > 0.9


def test_a_slot_that_turns_to_a_thing_is_a_new_track_at_once(watch, shows, frame):
    segmenter = watch(
        [{0: shows(STUFF, BELOW)}] * 20 + [{0: shows('dog', HERE)}] * 2, confirm_frames=1)
    for _ in range(20):
        assert tell(segmenter.process(frame)) == [(0, TRACKED, STUFF, True)]
    for _ in range(2):
        result = segmenter.process(frame)
        assert tell(result) == [(1, TRACKED, 'dog', True)]
        assert result.instances[0].score > 0.9


def test_what_is_learnt_of_stuff_is_the_mean_since_the_memory_began(watch, shows, frame):
    sure, doubtful = shows(STUFF, BELOW, 0.99), shows(STUFF, BELOW, 0.5)
    segmenter = watch([{0: sure}] * 3 + [{0: doubtful}] * 30)
    seen = [bool(segmenter.process(frame).instances) for _ in range(12)]
    assert seen[:5] == [True] * 5 and seen == sorted(seen, reverse=True) and not seen[-1]
    segmenter.reset()
    assert segmenter.process(frame).instances  # sure again
    mean = (3 * np.log([0.99, 0.01 / 3]) + 2 * np.log([0.5, 0.5 / 3])) / 5
    odds = np.exp(mean)
    segmenter = watch([{0: sure}] * 3 + [{0: doubtful}] * 2)
    for _ in range(5):
        result = segmenter.process(frame)
    assert result.instances[0].score == pytest.approx(odds[0] / (odds[0] + 3 * odds[1]))


def test_no_object_counts_as_a_class(watch, shows, frame):
    classes, mask = shows(STUFF, BELOW)
    classes = torch.tensor([0.05, 0.02, 0.45, 0.48]).log()
    thing = torch.tensor([0.45, 0.02, 0.05, 0.48]).log()
    segmenter = watch([{0: (classes, mask), 1: (thing, shows(None, HERE)[1])}],
                      score_threshold=0.3, start_score=0.3, keep_score=0.3)
    assert segmenter.process(frame).instances == ()
    assert segmenter.network.asked == []


def test_a_thing_begins_at_start_score_and_is_seen_above_the_threshold(watch, shows, frame):
    script = [{0: shows('dog', HERE, p)} for p in (0.85, 0.95, 0.86, 0.85)]
    segmenter = watch(script, start_score=0.9, keep_score=0.5, confirm_frames=1)
    assert [tell(segmenter.process(frame)) for _ in range(4)] == [
        [], *[[(1, TRACKED, 'dog', True)]] * 3]


def test_masks_are_made_only_of_slots_that_are_sure(watch, shows, frame):
    segmenter = watch([{0: shows('dog', HERE), 1: shows('person', THERE, 0.7),
                        3: shows(STUFF, BELOW), 5: shows(STUFF, HERE, 0.79)}])
    segmenter.process(frame)
    assert segmenter.network.asked == [[0, 3]]


def test_unwanted_classes_cost_nothing(watch, shows, frame):
    scene = {0: shows('dog', HERE), 1: shows('person', THERE), 3: shows(STUFF, BELOW, 0.99)}
    segmenter = watch([scene] * 2, classes=['person'], confirm_frames=1)
    result = segmenter.process(frame)
    assert tell(result) == [(1, TRACKED, 'person', True)]
    assert result.instances[0].area == 20 * 20 - 4  # not contested
    assert segmenter.network.asked == [[1]]
    segmenter.configure(classes=[STUFF])
    assert tell(segmenter.process(frame)) == [
        (0, TRACKED, STUFF, True), (1, ENDED, 'person', False)]


def test_tracks_and_stuff_have_values_of_their_own():
    def values(slots, things, stuff):
        task = PanopticTask(NetworkConfig(
            num_queries=slots, class_names=tuple(map(str, range(things + stuff))),
            thing_classes=frozenset(range(things))))
        masks = torch.full((slots, 8, 8), -9.0)
        class_logits = torch.zeros(slots, things + stuff + 1)
        for slot in range(min(things + stuff, 64)):
            masks[slot, slot // 8, slot % 8] = 9
            class_logits[slot, things + stuff - 1 - slot] = 20
        output = VideoMTOutput(class_logits[None], torch.eye(slots)[None], masks[None], QueryState(
            torch.zeros(1, slots, 1), torch.zeros(slots, 1)))
        size = (8, 8)
        done = task.segment(View(output, 0, class_logits.numpy(), FrameGeometry(
            size, size, size, False), None, 0.0), TrackRules(min_area=0))
        return done.label_dtype, [i.mask_value for i in done.instances]
    dtype, found = values(200, 58, 6)
    assert dtype is np.uint8 and sorted(found) == [*range(1, 59), *range(249, 255)]
    dtype, found = values(200, 1, 200)
    assert dtype is np.uint16 and max(found) < 2 ** 16 - 1 and len(set(found)) == 64
    assert values(300, 3, 3)[0] is np.uint16


def test_masks_that_are_not_numbers_are_an_error_that_changes_no_memory(watch, shows, frame):
    dog, (floor, mask) = shows('dog', HERE), shows(STUFF, BELOW)
    segmenter = watch([{0: dog, 2: (floor, mask)}, {0: dog, 2: (floor, mask * float('nan'))}])
    segmenter.process(frame, 1.0)
    for _ in range(2):
        with pytest.raises(FloatingPointError, match='mask logits'):
            segmenter.process(frame, 1.1)
    segmenter.network.script[1] = segmenter.network.script[0]
    result = segmenter.process(frame, 1.1)
    assert tell(result) == [(0, TRACKED, STUFF, True), (1, NEW, 'dog', True)]
    assert result.instances[1].age == 2


def test_the_memory_survives_being_written_down(watch, shows, frame):
    scene = {0: shows('person', HERE), 2: shows(STUFF, BELOW, 0.9)}
    one, other = watch([scene] * 4, confirm_frames=2), watch([scene] * 4, confirm_frames=2)
    one.network.queries = other.network.queries = torch.zeros(6, 1)
    for _ in range(2):
        one.process(frame, 1.0)
    text, tensors = take_snapshot(one)
    restore_snapshot(other, json.loads(json.dumps(text)), tensors)
    expected, result = one.process(frame, 1.1), other.process(frame, 1.1)
    assert tell(result) == tell(expected) and result.instances[1].age == 3
    np.testing.assert_array_equal(result.label_map, expected.label_map)
