"""Of a mask in parts, the one stays that goes on from the last frame."""

from dataclasses import replace

import numpy as np
import pytest
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.parts import keep_main_parts
from videomt_ros.perception.result import TrackState

LEFT, RIGHT = np.s_[4:8, 2:6], np.s_[4:10, 20:26]  # 16 and 36 pixels, 14 columns apart


def mask(*parts, size=(16, 32)):
    """Give bool pixels."""
    pixels = np.zeros(size, dtype=bool)
    for part in parts:
        pixels[part] = True
    return pixels


def logits(*masks):
    """Give logits of different heights, positive in the masks."""
    heights = np.linspace(0.5, 3, masks[0].size, dtype=np.float32).reshape(masks[0].shape)
    return np.stack([np.where(mask, heights, -heights) for mask in masks])


def kept(before, *parts):
    """Give the pixels that stay of one mask; ``before`` is that of its track."""
    given = logits(mask(*parts))
    result = keep_main_parts(given, [None if before is None else before.ravel()])
    assert np.array_equal(abs(result), abs(given))
    return result[0] > 0


@pytest.mark.parametrize('before, part', [
    (None, RIGHT),  # the larger one
    (mask(LEFT), LEFT), (mask(RIGHT), RIGHT),
    (mask(np.s_[7:9, 5:7]), LEFT),  # one pixel says where it was
    (mask(np.s_[0:2, 10:14]), RIGHT),  # in neither
    (mask(), RIGHT),
    (mask(np.s_[4:7, 2:6], np.s_[4:5, 20:26]), LEFT),  # more of it in the smaller one
])
def test_the_part_of_the_last_frame_stays_or_else_the_largest(before, part):
    assert np.array_equal(kept(before, LEFT, RIGHT), mask(part))


def test_what_is_in_one_piece_stays_whatever_was_before():
    for before in (None, mask(RIGHT), mask()):
        assert np.array_equal(kept(before, LEFT), mask(LEFT))
    assert not kept(None).any()
    corners = (np.s_[2:6, 2:6], np.s_[6:9, 6:9])
    assert np.array_equal(kept(None, *corners), mask(*corners)), 'they touch'


def test_close_parts_belong_together():
    # A main part of 64 pixels reaches 2 pixels far: over a gap of one column, and not of two.
    main, near, far = np.s_[4:12, 4:12], np.s_[4:12, 13:15], np.s_[4:12, 14:16]
    assert np.array_equal(kept(None, main, near), mask(main, near))
    assert np.array_equal(kept(None, main, far), mask(main))


def test_each_mask_has_a_track_of_its_own():
    both = logits(mask(LEFT, RIGHT), mask(LEFT, RIGHT), mask(LEFT, RIGHT))
    result = keep_main_parts(both, [mask(LEFT).ravel(), None, mask(LEFT).ravel()]) > 0
    assert np.array_equal(result, np.stack([mask(LEFT), mask(RIGHT), mask(LEFT)]))
    assert np.array_equal(both, logits(*[mask(LEFT, RIGHT)] * 3)), 'what was given has not changed'
    assert keep_main_parts(both[:0], []).shape == (0, 16, 32)


# In cells of 4 pixels, and in pixels: x, y, width, height.
SMALL, LARGE = (1, 1, 3, 3), (10, 8, 4, 4)
SMALL_BOX, LARGE_BOX, BOTH_BOX = (4, 4, 12, 12), (40, 32, 16, 16), (4, 4, 52, 44)


def two(shows, first, second, name='person'):
    """Give an answer with two boxes in one mask."""
    classes, pixels = shows(name, first)
    x, y, width, height = second
    pixels[y:y + height, x:x + width] = 4.0
    return classes, pixels


@pytest.fixture
def twins(scripted, shows):
    """Make a segmenter whose slot 0 shows one person, and then another with it, and it alone."""
    def make(task, parts, record='all'):
        network = scripted([
            {0: shows('person', SMALL)}, {0: two(shows, SMALL, LARGE)}, {},
            {0: two(shows, SMALL, LARGE)}, {0: shows('person', LARGE)}])
        network.config = replace(network.config, mask_parts=record)
        return VideoSegmenter(network, task=task, mask_parts=parts, confirm_frames=1)
    return make


def boxes(segmenter, frame, count=4):
    """Give the box of the only instance in each frame."""
    found = []
    for _ in range(count):
        [instance] = segmenter.process(frame).instances
        found.append(instance.box if instance.area else None)
    return found


@pytest.mark.parametrize('task', ['instance', 'panoptic'])
def test_a_track_stays_with_its_object(twins, frame, task):
    # The old place counts after a frame in which it was not seen, too.
    assert boxes(twins(task, 'main'), frame) == [SMALL_BOX, SMALL_BOX, None, SMALL_BOX]
    assert boxes(twins(task, 'all'), frame, 5) == [
        SMALL_BOX, BOTH_BOX, None, BOTH_BOX, LARGE_BOX]


@pytest.mark.parametrize('task', ['instance', 'panoptic'])
def test_another_that_the_slot_goes_over_to_is_a_track_of_its_own(twins, frame, task):
    segmenter = twins(task, 'main')
    boxes(segmenter, frame)
    gone, come = segmenter.process(frame).instances
    assert (gone.track_id, gone.state, gone.area) == (1, TrackState.LOST, 0)
    assert (come.track_id, come.state, come.box) == (2, TrackState.TRACKED, LARGE_BOX)


@pytest.mark.parametrize('record, parts, expected', [
    ('all', 'auto', 'all'), ('main', 'auto', 'main'), ('main', 'all', 'all'),
    ('all', 'main', 'main')])
def test_the_record_of_the_weights_decides_unless_it_is_overruled(
        twins, frame, record, parts, expected):
    shown = {'all': BOTH_BOX, 'main': SMALL_BOX}
    segmenter = twins('instance', parts, record)
    assert boxes(segmenter, frame, 2)[1] == shown[expected]
    segmenter.configure(mask_parts='auto')
    segmenter.configure(start_score=0.6)  # leaves it
    segmenter.reset()
    segmenter.process(frame)
    [instance] = segmenter.process(frame).instances
    assert instance.box == shown[record]


def test_stuff_keeps_all_its_parts(scripted, shows, frame):
    network = scripted([{0: two(shows, SMALL, LARGE, 'cup')}], things=(0, 1))
    segmenter = VideoSegmenter(network, task='panoptic', mask_parts='main')
    [instance] = segmenter.process(frame).instances
    assert (instance.class_name, instance.box) == ('cup', BOTH_BOX)
