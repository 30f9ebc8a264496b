"""The overlay keeps the frame readable: fills, outlines and labels where they belong."""

import dataclasses

import numpy as np
import pytest
from videomt_ros.perception import FrameResult, Instance, overlay, TrackState
from videomt_ros.perception.draw import stuff_colour, track_colour


def make_result(size, *boxes, name='person', **fields):
    instances = []
    for i, (x, y, width, height) in enumerate(boxes):
        instances.append(Instance(
            track_id=i + 1, state=TrackState.TRACKED, class_id=0, class_name=name, score=0.87,
            box=(x, y, width, height), area=width * height, age=1, mask_value=i + 1,
            first_seen=None, last_seen=None, frame_size=size,
            probabilities=np.full((height, width), 250, dtype=np.uint8)))
    return FrameResult(
        camera='', stamp=None, height=size[0], width=size[1], task='instance',
        instances=tuple(dataclasses.replace(i, **fields) for i in instances), epoch=0,
        reset_reason=None, skipped=0, dt=None, timings={}, label_dtype=np.uint8)


def changed(frame, result):
    return (overlay(frame, result) != frame).any(axis=2)


@pytest.mark.parametrize('size', [(240, 320), (1080, 1920), (97, 131)])
def test_masks_are_filled_with_their_colour_and_the_rest_stays(size):
    height, width = size
    frame = np.full((*size, 3), 90, dtype=np.uint8)
    box = (width // 4, height // 3, width // 3, height // 3)
    picture = overlay(frame, make_result(size, box))
    assert picture.shape == frame.shape and picture.dtype == np.uint8
    assert (frame == 90).all()
    centre = picture[height // 2, width // 4 + width // 6].astype(int)
    wanted = 90 * 0.55 + np.array(track_colour(1)) * 0.45
    assert np.abs(centre - wanted).max() <= 1
    assert (picture[-height // 6:] == 90).all()


def test_a_hole_is_not_filled():
    frame = np.full((240, 320, 3), 90, dtype=np.uint8)
    result = make_result((240, 320), (100, 100, 100, 100))
    result.instances[0].probabilities[30:70, 30:70] = 0
    assert (overlay(frame, result)[140:160, 140:160] == 90).all()


@pytest.mark.parametrize('size', [(240, 320), (1080, 1920)])
def test_labels_are_large_enough_and_inside_the_picture(size):
    height, width = size
    frame = np.zeros((*size, 3), dtype=np.uint8)
    for corner in ((0, 0), (width - 9, 0), (0, height - 9), (width - 9, height - 9)):
        label = changed(frame, make_result(size, (*corner, 9, 9)))
        label[corner[1]:corner[1] + 9, corner[0]:corner[0] + 9] = True
        rows, columns = np.nonzero(label)
        assert np.ptp(rows) >= height / 40 and np.ptp(columns) >= width / 20
        assert np.ptp(columns) < width / 2  # in one piece: it did not wrap around a border


def test_letters_stand_out_from_their_background():
    frame = np.zeros((240, 320, 3), dtype=np.uint8)
    for track in range(1, 30):
        result = make_result((240, 320), (100, 100, 90, 90), track_id=track)
        colours = overlay(frame, result)[82:98, 100:180].reshape(-1, 3)
        luminance = colours @ (0.299, 0.587, 0.114)
        assert np.ptp(luminance) > 70


def test_long_names_are_cut_to_the_picture():
    frame = np.zeros((90, 120, 3), dtype=np.uint8)
    label = changed(frame, make_result((90, 120), (100, 40, 9, 9), name='traveling_case_' * 4))
    assert label[20:38].any()
    assert np.array_equal(label, label & (np.arange(120) < 120))


def test_labels_of_neighbours_do_not_cover_each_other():
    frame = np.zeros((240, 320, 3), dtype=np.uint8)
    one = changed(frame, make_result((240, 320), (50, 100, 20, 20)))
    two = changed(frame, make_result((240, 320), (50, 100, 20, 20), (52, 100, 20, 20)))
    assert two.sum() > 1.5 * one.sum()


def test_stuff_is_filled_in_the_colour_of_its_class_and_named_in_its_middle():
    frame = np.full((240, 320, 3), 90, dtype=np.uint8)
    result = make_result((240, 320), (0, 100, 320, 140), name='floor', track_id=0, class_id=7)
    result.instances[0].probabilities[:, :160] = 0  # the right half only
    picture = overlay(frame, result)
    filled = 90 * 0.55 + np.array(stuff_colour(7)) * 0.45
    assert np.abs(picture[110, 200] - filled).max() <= 1
    assert (picture[:, :150] == 90).all() and (picture[:95] == 90).all()
    named = (np.abs(picture - filled).max(axis=2) > 1)[102:238, 164:318]
    rows, columns = np.nonzero(named)
    assert rows.mean() + 102 == pytest.approx(170, abs=12)
    assert columns.mean() + 164 == pytest.approx(240, abs=12)


def test_stuff_that_is_too_thin_for_its_name_has_none():
    frame = np.full((240, 320, 3), 90, dtype=np.uint8)
    result = make_result((240, 320), (0, 100, 320, 6), track_id=0)
    assert not changed(frame, result)[:97].any() and not changed(frame, result)[109:].any()


def test_lost_and_ended_tracks_are_not_drawn():
    frame = np.full((240, 320, 3), 90, dtype=np.uint8)
    for state in (TrackState.LOST, TrackState.ENDED):
        result = make_result((240, 320), (0, 0, 0, 0), state=state)
        assert not changed(frame, result).any()


def test_colours_are_stable_and_distinct():
    colours = [track_colour(i) for i in range(1, 60)]
    assert colours == [track_colour(i) for i in range(1, 60)]
    for a, b in zip(colours, colours[1:], strict=False):
        assert np.abs(np.subtract(a, b)).max() > 80
    assert len(set(colours)) == len(colours)


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'expected that of the result, \(240, 320, 3\)'):
        overlay(np.zeros((24, 32, 3), dtype=np.uint8), make_result((240, 320)))
