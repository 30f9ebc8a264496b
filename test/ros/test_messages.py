"""Results to messages and back, without a node."""

import dataclasses
import time

from harness import header
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from videomt_ros.msg import Track, TrackArray
from videomt_ros.perception import FrameResult, Instance, TrackState
from videomt_ros.ros.images import ImageError
from videomt_ros.ros.messages import (
    frame_result,
    label_image,
    mask_message,
    segment_mask,
    track_mask,
    tracks_message,
)
from videomt_ros.ros.stamps import StampScale

HEIGHT, WIDTH = 40, 60
SCALE = StampScale(header(0).stamp)
RNG = np.random.default_rng(5)


def instance(track_id, mask, score=0.8, state=TrackState.TRACKED, mask_value=None):
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    box, inside = (0, 0, 0, 0), np.zeros((0, 0), np.uint8)
    if rows.size:
        x, y = int(columns[0]), int(rows[0])
        box = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
        inside = mask[y:y + box[3], x:x + box[2]].astype(np.uint8) * 200
    return Instance(
        track_id=track_id, state=state, class_id=track_id + 2, class_name=f'class {track_id}',
        score=score, box=box, area=int(mask.sum()), age=7, mask_value=mask_value or track_id,
        first_seen=0.1, last_seen=0.3, probabilities=inside, frame_size=mask.shape)


def result_of(*instances, dtype=np.uint8):
    return FrameResult(
        camera='', stamp=0.3, height=HEIGHT, width=WIDTH, task='instance', instances=instances,
        epoch=3, reset_reason=None, skipped=2, dt=0.1, timings={}, label_dtype=dtype)


def blob(top, left, height, width, share=0.7):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:top + height, left:left + width] = RNG.random((height, width)) < share
    return mask


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def test_tracks_round_trip_even_where_they_overlap():
    masks = [blob(2, 3, 20, 30), blob(10, 10, 30, 50), blob(0, 0, HEIGHT, WIDTH, 0.5),
             blob(39, 59, 1, 1, 2.0)]
    result = result_of(*(instance(n + 1, mask) for n, mask in enumerate(masks)))
    message = over_the_wire(tracks_message(result, header(0.3), SCALE, mask_runs=True))
    assert message.header == header(0.3)
    assert (message.epoch, message.skipped, message.height, message.width) == (3, 2, 40, 60)
    for track, mask, given in zip(message.tracks, masks, result.instances, strict=True):
        np.testing.assert_array_equal(track_mask(track, HEIGHT, WIDTH), mask)
        box = track.box
        assert (box.x_offset, box.y_offset, box.width, box.height) == given.box
        assert (track.track_id, track.class_id, track.class_name, track.age, track.area) == (
            given.track_id, given.class_id, given.class_name, 7, mask.sum())
        assert track.score == np.float32(0.8) and track.state == Track.STATE_TRACKED
        assert track.first_seen == header(0.1).stamp and track.last_seen == header(0.3).stamp
        assert not track.has_position


def test_states_have_the_values_of_the_message():
    assert {state.name: state.value for state in TrackState} == {
        name: getattr(Track, f'STATE_{name}') for name in ('NEW', 'TRACKED', 'LOST', 'ENDED')}


def test_track_that_is_not_seen():
    lost = instance(4, np.zeros((HEIGHT, WIDTH), bool), state=TrackState.LOST)
    track, = tracks_message(result_of(lost), header(0), SCALE, mask_runs=True).tracks
    assert (track.state, track.area, track.mask_value) == (Track.STATE_LOST, 0, 0)
    assert not track.mask_counts and track.box.width == 0
    assert track.last_seen == header(0.3).stamp
    assert not track_mask(track, HEIGHT, WIDTH).any()
    assert not mask_message(result_of(lost), header(0)).segments


def test_stuff_is_in_the_legend_but_no_track():
    floor = dataclasses.replace(instance(9, blob(0, 0, 9, 9)), track_id=0)
    result = result_of(floor, instance(1, blob(20, 20, 9, 9)))
    assert [t.track_id for t in tracks_message(result, header(0), SCALE, True).tracks] == [1]
    assert [(s.track_id, s.mask_value) for s in mask_message(result, header(0)).segments] == [
        (0, 9), (1, 1)]


def test_no_tracks():
    message = tracks_message(result_of(), header(1), SCALE, mask_runs=True)
    assert message.tracks == [] and message.header == header(1)
    empty = mask_message(result_of(), header(1))
    assert not label_image(empty).any() and label_image(empty).shape == (HEIGHT, WIDTH)


def test_without_runs_the_decoder_says_what_is_missing():
    message = tracks_message(result_of(instance(1, blob(0, 0, 9, 9))), header(0), SCALE,
                             mask_runs=False)
    assert not message.tracks[0].mask_counts
    with pytest.raises(ValueError, match='carries no mask runs.*publish_mask_runs'):
        track_mask(message.tracks[0], HEIGHT, WIDTH)


def test_box_beyond_the_image_is_refused():
    track, = tracks_message(result_of(instance(1, blob(0, 50, 9, 10))), header(0), SCALE,
                            mask_runs=True).tracks
    with pytest.raises(ValueError, match='expected it inside the image of 50x40'):
        track_mask(track, HEIGHT, 50)


@pytest.mark.parametrize('dtype,encoding', [(np.uint8, 'mono8'), (np.uint16, 'mono16')])
def test_label_image_and_legend(dtype, encoding):
    values = (3, 250 if dtype is np.uint8 else 300)
    first, second = blob(0, 0, 30, 30, 1.0), blob(20, 20, 20, 40, 1.0)
    result = result_of(instance(1, first, score=0.9, mask_value=values[0]),
                       instance(2, second, score=0.6, mask_value=values[1]), dtype=dtype)
    message = over_the_wire(mask_message(result, header(2)))
    assert message.labels.encoding == encoding
    assert message.header == message.labels.header == header(2)
    assert (message.epoch, message.task) == (3, 'instance')
    labels = label_image(message)
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels == values[0], first)
    np.testing.assert_array_equal(labels == values[1], second & ~first)
    assert [(s.mask_value, s.track_id, s.class_id, s.class_name) for s in message.segments] == [
        (values[0], 1, 3, 'class 1'), (values[1], 2, 4, 'class 2')]
    np.testing.assert_array_equal(segment_mask(message, 2), second & ~first)
    assert not segment_mask(message, 99).any()


def test_cut_label_image():
    message = mask_message(result_of(), header(0))
    del message.labels.data[-1:]
    with pytest.raises(ImageError, match='truncated'):
        label_image(message)


def test_result_of_a_message_paints_the_same_maps():
    seen = [instance(1, blob(0, 0, 30, 30)), instance(2, blob(20, 20, 20, 40), score=0.4)]
    lost = instance(3, np.zeros((HEIGHT, WIDTH), bool), state=TrackState.LOST)
    result = result_of(*seen, lost)
    back = frame_result(over_the_wire(
        tracks_message(result, header(0.3), SCALE, mask_runs=True)))
    assert (back.height, back.width, back.epoch, back.skipped) == (HEIGHT, WIDTH, 3, 2)
    assert [i.state for i in back.instances] == [i.state for i in result.instances]
    assert [i.box for i in back.instances] == [i.box for i in result.instances]
    np.testing.assert_array_equal(back.label_map, result.label_map)
    np.testing.assert_array_equal(back.class_map, result.class_map)


def test_fifty_tracks_are_fast():
    many = [instance(n + 1, blob(0, 0, HEIGHT, WIDTH)) for n in range(50)]
    result = result_of(*many)
    tracks_message(result, header(0), SCALE, mask_runs=True)
    began = time.perf_counter()
    message = tracks_message(result, header(0), SCALE, mask_runs=True)
    assert time.perf_counter() - began < 0.1
    assert isinstance(message, TrackArray) and len(message.tracks) == 50
