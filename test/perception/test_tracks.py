"""The life of a track, told with slots whose classes and masks are written down."""

import numpy as np
import pytest
from videomt_ros.perception.tracks import label_dtype, TrackRules
from written_camera import Camera, DOG, ENDED, GRID, HERE, LOST, NEW, PERSON, THERE, TRACKED


def test_a_track_is_born_confirmed_and_counts_its_frames():
    camera = Camera(confirm_frames=3)
    assert camera.frame() == {}
    assert camera.frame({1: (DOG, HERE)}) == {1: (NEW, 1)}
    assert camera.track(1).age == 1
    assert camera.track(1).class_id == DOG
    assert camera.track(1).first_seen == camera.track(1).last_seen == pytest.approx(0.2)
    assert camera.frame({1: (DOG, HERE)}) == {1: (NEW, 1)}
    assert camera.frame({1: (DOG, HERE)}) == {1: (TRACKED, 1)}
    assert camera.track(1).age == 3
    assert camera.track(1).first_seen == pytest.approx(0.2)
    assert camera.track(1).last_seen == pytest.approx(0.4)


def test_a_track_can_be_confirmed_at_once():
    assert Camera(confirm_frames=1).frame({1: (DOG, HERE)}) == {1: (TRACKED, 1)}


def test_an_unconfirmed_track_ends_with_its_first_empty_frame():
    camera = Camera(confirm_frames=3)
    camera.frames(2, {1: (DOG, HERE)})
    assert camera.frame() == {1: (ENDED, None)}
    assert camera.frame() == {}


def test_scores_between_keep_and_start_carry_a_track_on_and_begin_none():
    camera = Camera(start_score=0.5, keep_score=0.3)
    weak = {0: (PERSON, HERE, 0.4)}
    assert camera.frame(weak) == {}
    camera.frame({0: (PERSON, HERE, 0.6)})
    assert camera.frame(weak) == {1: (TRACKED, 0)}
    assert camera.frames(5, weak) == {1: (TRACKED, 0)}


def test_below_keep_score_a_track_is_lost():
    camera = Camera(start_score=0.5, keep_score=0.45, max_lost=9)
    camera.frames(3, {0: (PERSON, HERE, 0.6)})
    # The evidence is a mean over the track's life, so it sinks slowly.
    states = [camera.frame({0: (PERSON, HERE, 0.34)})[1][0] for _ in range(12)]
    assert states[0] is TRACKED and states[-1] is LOST
    assert states == sorted(states)
    assert camera.frame({0: (PERSON, HERE, 0.6)}) == {1: (TRACKED, 0)}  # enough to begin one


def test_the_mask_counts_in_the_score():
    camera = Camera(start_score=0.9)
    assert camera.frame({0: (PERSON, HERE, 0.91)}) == {}  # 0.91 * sigmoid(4) = 0.894
    assert camera.frame({0: (PERSON, HERE, 0.93)}) == {1: (NEW, 0)}
    assert camera.track(1).score == pytest.approx(0.93 / (1 + np.exp(-4)))


def test_a_class_without_a_mask_begins_nothing():
    camera = Camera()
    assert camera.frame({0: (PERSON, None, 0.99)}) == {}
    assert camera.candidates.tolist() == [0]


def test_a_hidden_object_is_lost_however_sure_its_class_and_keeps_its_evidence():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    last_score = camera.track(1).score
    assert camera.frame({0: (PERSON, None, 0.99)}) == {1: (LOST, 0)}
    track = camera.track(1)
    assert track.score == last_score
    assert track.last_seen == pytest.approx(0.3)
    assert track.age == 4 and track.frames == 4
    np.testing.assert_allclose(track.evidence, sum(each[0] for each in camera.logits))
    assert track not in camera.seen


def test_it_comes_back_within_max_lost_as_the_same_track():
    camera = Camera(max_lost=1.0)
    camera.frames(3, {0: (PERSON, HERE)})
    camera.frames(9, {0: (PERSON, None)})
    assert camera.frame({0: (PERSON, THERE)}) == {1: (TRACKED, 0)}
    assert camera.track(1).age == 13


def test_it_comes_back_even_if_its_evidence_has_sunk():
    camera = Camera(max_lost=5.0)
    camera.frames(2, {0: (PERSON, HERE)})
    camera.frames(30)  # 30 frames of no object
    assert camera.frame({0: (PERSON, HERE)}) == {1: (TRACKED, 0)}


def test_after_max_lost_it_has_ended_once_and_comes_back_as_another():
    camera = Camera(max_lost=1.0)
    camera.frames(3, {0: (PERSON, HERE)})
    assert camera.frames(10, {0: (PERSON, None)}) == {1: (LOST, 0)}
    assert camera.frame({0: (PERSON, None)}) == {1: (ENDED, None)}
    assert camera.frame({0: (PERSON, None)}) == {}
    assert camera.frame({0: (PERSON, HERE)}) == {2: (NEW, 0)}
    assert camera.track(2).frames == 1


def test_a_return_just_too_late_ends_one_track_and_begins_another_in_one_frame():
    camera = Camera(max_lost=1.0)
    camera.frames(3, {0: (PERSON, HERE)})
    camera.frame()
    assert camera.frame({0: (PERSON, HERE)}, elapsed=1.0) == {1: (ENDED, None), 2: (NEW, 0)}
    assert camera.track(1).mask_value != camera.track(2).mask_value


def test_rare_frames_do_not_end_what_is_always_seen():
    camera = Camera(max_lost=1.0)
    camera.frames(2, {0: (PERSON, HERE)})
    assert camera.frame({0: (PERSON, HERE)}, elapsed=4.0) == {1: (TRACKED, 0)}
    assert camera.frame({}, elapsed=4.0) == {1: (ENDED, None)}


def test_a_slot_used_again_for_another_object_gives_a_new_id():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    assert camera.frame({0: (DOG, THERE)}) == {1: (LOST, None), 2: (NEW, 0)}
    assert camera.track(2).class_id == DOG
    assert camera.track(2).frames == 1  # nothing of the person's evidence
    assert camera.frames(9, {0: (DOG, THERE)}) == {1: (LOST, None), 2: (TRACKED, 0)}
    assert camera.frame({0: (DOG, THERE)}) == {1: (ENDED, None), 2: (TRACKED, 0)}
    assert camera.frame({0: (DOG, THERE)}) == {2: (TRACKED, 0)}


def test_a_slot_used_again_while_its_object_is_lost_gives_a_new_id():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    camera.frames(4, {0: (DOG, None)})  # the next object's class may come before its mask
    assert camera.frame({0: (DOG, THERE)}) == {1: (LOST, None), 2: (NEW, 0)}


def test_another_class_in_the_same_place_is_the_same_object():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    assert camera.frame({0: (DOG, HERE)}) == {1: (TRACKED, 0)}
    assert camera.track(1).class_id == PERSON  # by the mean of four frames
    assert camera.frames(6, {0: (DOG, HERE)}) == {1: (TRACKED, 0)}
    assert camera.track(1).class_id == DOG


def test_an_object_that_changes_slots_takes_its_id_along():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    value = camera.track(1).mask_value
    assert camera.frame({0: (PERSON, None), 2: (PERSON, (3, 2, 6, 6))}) == {1: (TRACKED, 2)}
    assert camera.track(1).mask_value == value
    wanted = sum(each[0] for each in camera.logits[:3]) + camera.logits[3][2]
    np.testing.assert_allclose(camera.track(1).evidence, wanted)
    assert camera.frame({2: (PERSON, (4, 2, 6, 6))}) == {1: (TRACKED, 2)}
    # The slot that it has left is free.
    assert camera.frame({2: (PERSON, (4, 2, 6, 6)), 0: (PERSON, THERE)}) == {
        1: (TRACKED, 2), 2: (NEW, 0)}


def test_it_does_so_after_a_while_unseen_and_when_its_slot_has_another_object():
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    camera.frames(4)
    assert camera.frame({3: (PERSON, HERE)}) == {1: (TRACKED, 3)}
    assert camera.frame({3: (DOG, THERE), 0: (PERSON, HERE)}) == {1: (TRACKED, 0), 2: (NEW, 3)}


@pytest.mark.parametrize('other', [(DOG, HERE), (PERSON, THERE), (PERSON, (7, 7, 6, 6))])
def test_another_class_or_another_place_in_another_slot_is_another_object(other):
    camera = Camera()
    camera.frames(3, {0: (PERSON, HERE)})
    assert camera.frame({2: other}) == {1: (LOST, 0), 2: (NEW, 2)}


def test_the_closest_of_two_lost_tracks_moves():
    camera = Camera()
    near, far = (2, 2, 6, 6), (5, 2, 6, 6)
    camera.frames(3, {0: (PERSON, far), 1: (PERSON, near)})
    assert camera.frame({2: (PERSON, near)})[2] == (TRACKED, 2)


def test_a_second_slot_on_one_object_begins_nothing():
    camera = Camera()
    both = {0: (PERSON, HERE, 0.7), 2: (PERSON, (2, 2, 6, 5), 0.9)}
    assert camera.frame(both) == {1: (NEW, 2)}  # the surer one
    assert camera.frames(3, both) == {1: (TRACKED, 2)}
    # When the slot that carries the track falls silent, the second one goes on.
    assert camera.frame({0: (PERSON, HERE, 0.7)}) == {1: (TRACKED, 0)}


def test_a_slot_that_shows_a_part_of_an_object_begins_nothing():
    whole, part, beside = (2, 2, 12, 6), (2, 2, 3, 6), (13, 2, 4, 6)
    camera = Camera()
    assert camera.frame({0: (PERSON, whole, 0.9), 1: (PERSON, part, 0.8)}) == {1: (NEW, 0)}
    # What has a little in common with it does.
    assert Camera().frame({0: (PERSON, whole, 0.9), 1: (PERSON, beside, 0.8)}) == {
        1: (NEW, 0), 2: (NEW, 1)}
    # Half of the smaller one is the border.
    for box, count in (((11, 2, 6, 6), 2), ((10, 2, 6, 6), 1)):  # 18 and 24 of 36 pixels
        assert len(Camera().frame({0: (PERSON, whole, 0.9), 1: (PERSON, box, 0.8)})) == count
    every = Camera(duplicate_overlap=1)
    assert len(every.frame({0: (PERSON, whole, 0.9), 1: (PERSON, part, 0.8)})) == 2


def test_one_place_and_two_classes_are_two_objects():
    camera = Camera()
    assert len(camera.frame({0: (PERSON, HERE), 1: (DOG, HERE)})) == 2


def test_two_tracks_that_meet_on_one_mask_leave_it_to_the_one_that_was_there():
    camera = Camera(max_lost=9)
    camera.frames(3, {0: (PERSON, HERE), 1: (PERSON, THERE)})
    assert camera.frame({0: (PERSON, THERE), 1: (PERSON, THERE)}) == {
        1: (LOST, 0), 2: (TRACKED, 1)}
    # It stays so however the masks wobble.
    for box in ((12, 12, 6, 5), (12, 12, 5, 6), (12, 13, 6, 5)):
        assert camera.frame({0: (PERSON, THERE), 1: (PERSON, box)}) == {
            1: (LOST, 0), 2: (TRACKED, 1)}
    assert camera.frame({0: (PERSON, HERE), 1: (PERSON, THERE)}) == {
        1: (TRACKED, 0), 2: (TRACKED, 1)}


def test_small_masks_are_not_seen():
    camera = Camera(min_area=5 / GRID ** 2)
    assert camera.frame({0: (PERSON, (2, 2, 2, 2))}) == {}
    assert camera.frame({0: (PERSON, (2, 2, 3, 2))}) == {1: (NEW, 0)}
    camera.frame({0: (PERSON, (2, 2, 3, 2))})
    assert camera.frame({0: (PERSON, (2, 2, 2, 2))}) == {1: (LOST, 0)}


def test_masks_without_a_pixel_at_the_source_are_not_seen():
    camera = Camera()
    assert camera.frame({0: (PERSON, HERE)}, vanished=[0]) == {}
    camera.frames(2, {0: (PERSON, HERE)})
    assert camera.frame({0: (PERSON, HERE)}, vanished=[0]) == {1: (LOST, 0)}


def test_unwanted_classes_are_no_candidates():
    camera = Camera(classes=frozenset([DOG]))
    assert camera.frame({0: (PERSON, HERE), 1: (DOG, THERE)}) == {1: (NEW, 1)}
    assert camera.candidates.tolist() == [1]


def test_tracks_of_classes_that_are_no_longer_wanted_end():
    camera = Camera()
    both = {0: (PERSON, HERE), 1: (DOG, THERE)}
    camera.frames(3, both)
    camera.rules = TrackRules(classes=frozenset([DOG]))
    assert camera.frame(both) == {1: (ENDED, None), 2: (TRACKED, 1)}
    assert camera.frame(both) == {2: (TRACKED, 1)}


def test_a_reset_ends_all_once_and_ids_go_on():
    camera = Camera()
    both = {0: (PERSON, HERE), 1: (DOG, THERE)}
    camera.frames(3, both)
    camera.book.reset()
    camera.book.reset()
    assert camera.frame(both) == {
        1: (ENDED, None), 2: (ENDED, None), 3: (NEW, 0), 4: (NEW, 1)}
    values = [camera.track(i).mask_value for i in (1, 2, 3, 4)]
    assert len(set(values)) == 4
    assert camera.frame(both) == {3: (TRACKED, 0), 4: (TRACKED, 1)}


def test_an_end_is_not_reported_again_by_a_reset():
    camera = Camera(confirm_frames=3)
    camera.frame({0: (PERSON, HERE)})
    assert camera.frame() == {1: (ENDED, None)}
    camera.book.reset()
    assert camera.frame() == {}


def test_ids_are_never_used_again_and_values_only_after_the_end():
    camera = Camera(num_slots=3, confirm_frames=1, max_lost=0.0)
    seen, in_use = [], {}
    for i in range(700):
        report = camera.frame({i % 3: (PERSON, HERE if i % 2 else THERE)})
        for track_id, (state, _) in report.items():
            value = camera.track(track_id).mask_value
            assert 1 <= value <= 254
            assert in_use.setdefault(value, track_id) == track_id
            if state is ENDED:
                del in_use[value]
            else:
                seen.append(track_id)
        if i % 50 == 49:
            camera.book.reset()
    assert seen == list(range(1, 701))  # each was seen in one frame only


def test_without_a_free_value_an_object_waits():
    camera = Camera(num_slots=2, confirm_frames=1, max_lost=100.0)
    for i in range(254):  # each loses its slot to an object of another class elsewhere
        camera.frame({0: (i % 2, (i % GRID, i // GRID, 1, 1))})
    assert len(camera.book.tracks) == 254
    assert {track.mask_value for track in camera.book.tracks} == set(range(1, 255))
    assert max(camera.frame({0: (PERSON, (0, 18, 1, 1))})) == 254
    camera.rules = TrackRules(max_lost=0.0, min_area=0)
    assert max(camera.frame({0: (PERSON, (0, 18, 1, 1))})) == 254  # reported as ENDED
    assert camera.frame({0: (PERSON, (0, 18, 1, 1))}) == {255: (NEW, 0)}


def test_values_of_many_slots_need_16_bits():
    assert label_dtype(254) is np.uint8
    assert label_dtype(255) is np.uint16


@pytest.mark.parametrize('name, value', [
    ('start_score', 1.5), ('keep_score', -0.1), ('keep_score', 0.6), ('confirm_frames', 0),
    ('max_lost', -1.0), ('max_lost', float('nan')), ('min_area', 2), ('duplicate_overlap', -1),
    ('move_overlap', 1.1), ('start_score', float('nan')), ('mask_parts', 'auto')])
def test_numbers_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f'^{name} is '):
        TrackRules(**{name: value})
