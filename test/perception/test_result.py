"""Masks and maps of a result."""

import dataclasses

import numpy as np
import pytest
from videomt_ros.perception import FrameResult, Instance, TrackState


def make_instance(track_id, box, probability, score=1.0, class_id=0, value=None, size=(30, 40)):
    x, y, width, height = box
    return Instance(
        track_id=track_id, state=TrackState.TRACKED, class_id=class_id, class_name='thing',
        score=score, box=box, area=width * height, age=1, mask_value=value or track_id,
        first_seen=None, last_seen=None, frame_size=size,
        probabilities=np.full((height, width), probability, dtype=np.uint8))


def make_result(*instances, dtype=np.uint8, size=(30, 40)):
    return FrameResult(
        camera='', stamp=None, height=size[0], width=size[1], task='instance',
        instances=instances, epoch=0, reset_reason=None, skipped=0, dt=None, timings={},
        label_dtype=dtype)


def test_states_are_those_of_the_message():
    assert [(state.name, int(state)) for state in TrackState] == [
        ('NEW', 1), ('TRACKED', 2), ('LOST', 3), ('ENDED', 4)]


def test_a_mask_fills_its_box_in_the_frame():
    instance = make_instance(1, (5, 7, 3, 2), 200)
    instance.probabilities[0, 1] = 0
    wanted = np.zeros((30, 40), dtype=bool)
    wanted[7:9, 5:8] = True
    wanted[7, 6] = False
    assert instance.mask.dtype == bool and np.array_equal(instance.mask, wanted)
    assert np.array_equal(instance.box_mask, wanted[7:9, 5:8])
    assert instance.mask is instance.mask  # made once


def test_maps_show_values_classes_and_confidence():
    result = make_result(make_instance(9, (5, 7, 3, 2), 204, 0.5, class_id=4, value=3))
    inside = np.zeros((30, 40), dtype=bool)
    inside[7:9, 5:8] = True
    assert np.array_equal(result.label_map, np.where(inside, 3, 0))
    assert np.array_equal(result.class_map, np.where(inside, 4, 255))
    assert np.array_equal(result.confidence_map, np.where(inside, 102, 0))
    assert {result.label_map.dtype, result.class_map.dtype, result.confidence_map.dtype} == {
        np.dtype(np.uint8)}


def test_overlaps_go_to_the_highest_score_times_probability_whatever_the_order():
    weak, strong = make_instance(1, (0, 0, 6, 6), 250, 0.6), make_instance(2, (3, 3, 6, 6), 200)
    for result in (make_result(weak, strong), make_result(strong, weak)):
        assert result.label_map[2, 2] == 1
        assert result.label_map[4, 4] == 2  # 200 against 150
        assert result.confidence_map[4, 4] == 200
    sure = make_instance(2, (3, 3, 6, 6), 140)
    assert make_result(weak, sure).label_map[4, 4] == 1  # 150 against 140


def test_a_doubtful_mask_still_beats_the_background():
    result = make_result(make_instance(1, (0, 0, 2, 2), 128, score=0.001))
    assert result.label_map[0, 0] == 1 and result.confidence_map[0, 0] == 1


def test_label_maps_of_many_slots_have_16_bits():
    result = make_result(make_instance(1, (0, 0, 2, 2), 255, value=60000), dtype=np.uint16)
    assert result.label_map.dtype == np.uint16 and result.label_map[1, 1] == 60000


def test_a_result_without_instances_is_empty():
    result = make_result()
    assert not result.label_map.any() and (result.class_map == 255).all()


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_result().epoch = 3
