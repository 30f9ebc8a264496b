"""Objects are put in front of another clip, or beside themselves, and nothing else changes."""

import numpy as np
import pytest
from videomt_ros.training.paste import add_twins, Clip, paste


def clip(value, *boxes):
    """Give a clip of two frames in one grey, with an object for each (class, box by frame)."""
    masks = np.zeros((len(boxes), 2, 6, 8), dtype=bool)
    for n, (_, *by_frame) in enumerate(boxes):
        for t, box in enumerate(by_frame):
            if box:
                y, x, height, width = box
                masks[n, t, y:y + height, x:x + width] = True
    return Clip(np.full((2, 6, 8, 3), value, np.uint8), [label for label, *_ in boxes], masks)


BEHIND = clip(10, (3, (0, 0, 4, 4), (0, 1, 4, 4)))
FRONT = clip(200, (7, (2, 2, 3, 3), (2, 4, 3, 3)))


def test_what_is_pasted_moves_as_it_did_and_hides_what_is_behind():
    made = paste(np.random.default_rng(0), BEHIND, FRONT)
    assert made.labels == [3, 7]
    assert np.array_equal(made.masks[1], FRONT.masks[0])
    assert np.array_equal(made.masks[0], BEHIND.masks[0] & ~FRONT.masks[0])
    assert np.array_equal(made.frames[..., 0], np.where(FRONT.masks[0], 200, 10))
    # What came in is as it was.
    assert (BEHIND.frames == 10).all() and BEHIND.masks.sum() == 2 * 16


def test_each_object_has_even_chances_and_one_comes_at_least():
    many = clip(200, *((n, (n, n, 1, 1), None) for n in range(4)), (9, None, None))
    random = np.random.default_rng(0)
    drawn = [paste(random, BEHIND, many).labels[1:] for _ in range(400)]
    assert min(map(len, drawn)) == 1 and max(map(len, drawn)) == 4
    for n in range(4):
        assert sum(n in labels for labels in drawn) / 400 == pytest.approx(0.52, abs=0.08)
    assert not any(9 in labels for labels in drawn)  # is never seen


def test_without_anything_to_see_the_clip_stays():
    assert paste(np.random.default_rng(0), BEHIND, clip(200, (1, None, None))) is BEHIND
    assert paste(np.random.default_rng(0), BEHIND, clip(200)) is BEHIND


def two_colours(height=60, width=80):
    """Give a clip of two frames with a moving box, painted by rows, and one that is never seen."""
    masks = np.zeros((2, 2, height, width), dtype=bool)
    masks[0, 0, 20:30, 30:50] = masks[0, 1, 22:32, 36:56] = True
    frames = np.full((2, height, width, 3), 5, np.uint8)
    for t, top in enumerate((20, 22)):
        frames[t][masks[0, t]] = 100 + np.argwhere(masks[0, t])[:, :1] - top
    return Clip(frames, [4, 7], masks)


def drawn_twins(count=200):
    random = np.random.default_rng(1)
    return [add_twins(random, two_colours()) for _ in range(count)]


def test_a_twin_looks_and_moves_as_its_original_does():
    first = two_colours()
    for made in drawn_twins():
        assert made.labels == [4, 7, 4]
        original, unseen, twin = made.masks
        assert not unseen.any()
        rows, columns = zip(*(np.argwhere(twin[t]).min(axis=0) - corner
                              for t, corner in enumerate(((20, 30), (22, 36)))), strict=True)
        # The step is the same in both frames where nothing of the twin is hidden or cut off.
        if twin.sum() == 2 * 200:
            assert rows[0] == rows[1] and columns[0] == columns[1]
            assert np.hypot(rows[0] / 10, columns[0] / 20) == pytest.approx(1.0, abs=0.55)
            for t in range(2):
                ours = made.frames[t][twin[t]]
                assert np.array_equal(ours, first.frames[t][first.masks[0, t]])
        around = ~(original | twin)
        assert (made.frames[around] == 5).all()  # and nothing is painted that has no mask
    assert (first.frames == two_colours().frames).all()


def test_a_twin_is_before_or_behind_its_original():
    hiding = hidden = 0
    for made in drawn_twins():
        original, _, twin = made.masks
        assert not (original & twin).any()
        hiding += original.sum() < 2 * 200
        hidden += original.sum() == 2 * 200 and twin.sum() < 2 * 200
    # Those whose step is longer than the box, a third or so, touch nothing.
    assert 30 < hiding < 120 and 30 < hidden < 120


def test_twins_of_a_clip_without_anything_to_see():
    nothing = clip(200, (1, None, None))
    assert add_twins(np.random.default_rng(0), nothing) is nothing


def test_a_twin_may_lie_outside_of_the_picture():
    full = clip(9, (2, (0, 0, 6, 8), (0, 0, 6, 8)))
    random = np.random.default_rng(3)
    for _ in range(50):
        made = add_twins(random, full)
        assert (made.masks.sum(axis=0) == 1).all()  # each pixel is of the one or the other
        assert (made.frames == 9).all()
