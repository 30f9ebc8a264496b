"""What masks have in common, how far they are apart, and what that says of tracks."""

import time

import numpy as np
import pytest
from videomt_ros.perception.matching import (
    common_pixels,
    distances,
    shares_of_smaller,
    shares_of_union,
)
from written_camera import Camera, DOG, ENDED, GRID, HERE, LOST, NEW, PERSON, THERE, TRACKED

# On a picture of 20 by 20 a step of 0.12 diagonals is 3.4 pixels, and after 0.1 s unseen 4.1.
DOT = (2, 2, 2, 2)
STEP, LEAP = (4, 5, 2, 2), (5, 6, 2, 2)  # 3.6 and 5.0 from there, and without a common pixel


def test_shares_of_the_union_and_of_the_smaller_of_two_masks():
    rng = np.random.default_rng(0)
    a, b = rng.random((30, 5000)) < 0.3, rng.random((20, 5000)) < rng.random((20, 1))
    a[0] = False
    b[0] = False
    common = common_pixels(a, b)
    sizes = a.sum(axis=1), b.sum(axis=1)
    assert np.array_equal(common, [[(x & y).sum() for y in b] for x in a])
    wanted = [[(x & y).sum() / max(1, (x | y).sum()) for y in b] for x in a]
    np.testing.assert_allclose(shares_of_union(common, *sizes), wanted, atol=1e-6)
    wanted = [[(x & y).sum() / max(1, min(x.sum(), y.sum())) for y in b] for x in a]
    np.testing.assert_allclose(shares_of_smaller(common, *sizes), wanted, atol=1e-6)
    assert common_pixels(a[:0], b).shape == (0, 20)
    np.testing.assert_array_equal(common_pixels(a[:9], b[:9]), common[:9, :9])


def test_no_thread_waits_at_full_speed_for_more_masks_to_count():
    masks = np.random.default_rng(0).random((50, 160 * 160)) < 0.3
    for _ in range(3):
        common_pixels(masks, masks)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.05


def test_distances_are_between_centres_in_diagonals():
    masks = np.zeros((4, 6, 8), dtype=bool)  # a diagonal of 10
    masks[0, 0:2, 0:2] = masks[1, 3:5, 4:6] = masks[2, 0, 0] = True
    found = distances(masks.reshape(4, 48), masks.sum(axis=(1, 2)), (6, 8))
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(np.diag(found), 0)
    assert found[0, 1] == pytest.approx(0.5)
    assert found[0, 2] == pytest.approx(np.hypot(0.05, 0.05))
    np.testing.assert_allclose(found[3], found[2], err_msg='what is empty is in the corner')


def test_a_slot_that_goes_over_to_another_of_its_kind_gives_a_new_id():
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, HERE)})
    assert camera.frame({0: (DOG, THERE)}) == {1: (LOST, None), 2: (NEW, 0)}
    # The first is there again: it goes on where it was, and the other was seen once only.
    assert camera.frame({0: (DOG, HERE)}) == {1: (TRACKED, 0), 2: (ENDED, None)}
    assert camera.track(1).frames == 4, 'frames in which its slot was of another are not evidence'


def test_a_slot_may_go_wherever_it_likes_where_masks_are_whole():
    camera = Camera(mask_parts='all')
    camera.frames(3, {0: (DOG, HERE)})
    assert camera.frame({0: (DOG, THERE)}) == {1: (TRACKED, 0)}


def test_two_of_a_kind_that_swap_their_slots_keep_their_ids():
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, HERE), 2: (DOG, THERE)})
    assert camera.frame({0: (DOG, THERE), 2: (DOG, HERE)}) == {1: (TRACKED, 2), 2: (TRACKED, 0)}


def test_what_is_too_unsure_to_begin_a_track_is_no_part_of_one_elsewhere():
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, HERE)})
    assert camera.frame({0: (DOG, THERE, 0.45)}) == {1: (LOST, None)}


@pytest.mark.parametrize('place, after', [
    (STEP, {1: (TRACKED, 0)}), (LEAP, {1: (LOST, None), 2: (NEW, 0)})])
def test_an_object_moves_so_far_in_a_frame(place, after):
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, DOT)})
    assert camera.frame({0: (DOG, place)}) == after


def test_large_objects_overlap_with_where_they_were_however_far_their_centre_moves():
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, (0, 0, GRID, 2))})
    assert camera.frame({0: (DOG, (18, 0, 2, GRID))}) == {1: (TRACKED, 0)}


def test_it_has_come_farther_the_longer_it_is_unseen():
    for unseen, state in ((2, LOST), (9, TRACKED)):
        camera = Camera(mask_parts='main', max_lost=3.0)
        camera.frames(3, {0: (DOG, DOT)})
        camera.frames(unseen)
        assert camera.frame({0: (DOG, LEAP)})[1][0] is state
    slow = Camera(mask_parts='main')  # with two seconds from frame to frame
    for _ in range(3):
        slow.frame({0: (DOG, DOT)}, elapsed=2.0)
    assert slow.frame({0: (DOG, LEAP)}, elapsed=2.0) == {1: (TRACKED, 0)}


@pytest.mark.parametrize('parts, place, class_id, state', [
    ('main', STEP, DOG, TRACKED), ('all', STEP, DOG, LOST), ('main', LEAP, DOG, LOST),
    ('main', STEP, PERSON, LOST)])
def test_an_unseen_object_goes_on_in_another_slot_close_by(parts, place, class_id, state):
    camera = Camera(mask_parts=parts)
    camera.frames(3, {0: (DOG, DOT)})
    report = camera.frame({3: (class_id, place)})
    assert report[1] == ((TRACKED, 3) if state is TRACKED else (LOST, 0))
    assert len(report) == (1 if state is TRACKED else 2)


def test_the_closest_of_two_that_are_unseen_goes_on():
    camera = Camera(mask_parts='main')
    camera.frames(3, {0: (DOG, DOT), 1: (DOG, (8, 5, 2, 2))})
    report = camera.frame({3: (DOG, (5, 5, 2, 2))})  # 4.2 and 3 from there
    assert report == {1: (LOST, 0), 2: (TRACKED, 3)}


@pytest.mark.parametrize('parts', ['all', 'main'])
def test_an_object_goes_on_in_another_slot_that_would_be_too_unsure_to_begin_with(parts):
    weak = {2: (DOG, (3, 2, 6, 6), 0.4)}
    camera = Camera(mask_parts=parts, start_score=0.5, keep_score=0.3)
    camera.frames(3, {0: (DOG, HERE)})
    assert camera.frame(weak) == {1: (TRACKED, 2)}
    unconfirmed = Camera(mask_parts=parts)
    unconfirmed.frame({0: (DOG, HERE)})
    assert unconfirmed.frame(weak) == {1: (ENDED, None)}
    for other in ((PERSON, HERE, 0.4), (DOG, HERE, 0.29), (DOG, THERE, 0.4)):
        camera = Camera(mask_parts=parts)
        camera.frames(3, {0: (DOG, HERE)})
        assert camera.frame({2: other}) == {1: (LOST, 0)}, other


@pytest.mark.parametrize('own, other, parts, slot', [
    ((2, 2, 6, 6), (DOG, (2, 2, 12, 6)), 'main', 2),  # its own slot shows half of it
    ((2, 2, 6, 6), (DOG, (2, 2, 12, 6)), 'all', 0),
    ((2, 2, 11, 6), (DOG, (2, 2, 12, 6)), 'main', 0),  # hardly less than all of it
    ((2, 2, 4, 6), (DOG, (2, 2, 5, 6)), 'main', 0),  # neither shows it
    ((2, 2, 6, 6), (PERSON, (2, 2, 12, 6)), 'main', 0)])
def test_a_track_leaves_its_slot_for_one_that_fits_it_much_better(own, other, parts, slot):
    camera = Camera(mask_parts=parts)
    camera.frames(3, {0: (DOG, (2, 2, 12, 6))})
    assert camera.frame({0: (DOG, own), 2: other})[1] == (TRACKED, slot)
    if slot:
        # What it has left shows a part of it, and when it shows another thing, that is new.
        assert camera.frame({0: (DOG, own), 2: other}) == {1: (TRACKED, 2)}
        assert camera.frame({0: (DOG, THERE), 2: other}) == {1: (TRACKED, 2), 2: (NEW, 0)}


def test_each_slot_is_for_the_track_that_it_fits_best():
    camera = Camera(mask_parts='main')
    left, right = (0, 2, 8, 6), (4, 12, 8, 6)
    camera.frames(3, {0: (DOG, left), 1: (DOG, right)})
    assert camera.frame({0: (DOG, (0, 2, 4, 6)), 1: (DOG, (4, 12, 4, 6)),
                         2: (DOG, right), 3: (DOG, left)}) == {1: (TRACKED, 3), 2: (TRACKED, 2)}


def test_what_is_sure_goes_on_first():
    camera = Camera()
    camera.frames(3, {0: (DOG, HERE)})
    sure, unsure = (4, 2, 6, 6), (2, 2, 5, 6)  # the unsure one is closer, and they differ
    assert camera.frame({1: (DOG, unsure, 0.4), 2: (DOG, sure, 0.6)}) == {1: (TRACKED, 2)}


def test_of_two_classes_in_one_place_the_surer_one_begins():
    both = {0: (PERSON, HERE, 0.7), 1: (DOG, (3, 2, 6, 6), 0.8)}  # 30 of 42 pixels are common
    camera = Camera(mask_parts='main')
    assert camera.frame(both) == {1: (NEW, 1)}
    assert camera.track(1).class_id == DOG
    # What is there already stays, and where half of the two or less is common they are two.
    assert camera.frame({**both, 0: (PERSON, HERE, 0.9)}) == {1: (TRACKED, 1)}
    beside = {0: (PERSON, HERE, 0.7), 1: (DOG, (4, 2, 6, 6), 0.8)}  # 24 of 48
    assert len(Camera(mask_parts='main').frame(beside)) == 2
    assert len(Camera(mask_parts='all').frame(both)) == 2


def test_of_two_that_come_to_one_place_the_surer_one_goes_on():
    for sure, unsure in ((0, 1), (1, 0)):
        camera = Camera(mask_parts='main')
        classes, start = (PERSON, DOG), ((2, 2, 6, 6), (4, 2, 6, 6))
        scores = {sure: 0.9, unsure: 0.6}
        camera.frames(4, {slot: (classes[slot], start[slot], scores[slot]) for slot in (0, 1)})
        met = {slot: (classes[slot], start[0], scores[slot]) for slot in (0, 1)}
        lost, tracked = (LOST, unsure), (TRACKED, sure)
        ids = {slot: track_id for track_id, (_, slot) in camera.frame(met).items()}
        assert camera.frame(met) == {ids[unsure]: lost, ids[sure]: tracked}
        apart = {**met, unsure: (classes[unsure], THERE, 0.6)}
        assert camera.frame(apart)[ids[sure]] == tracked
