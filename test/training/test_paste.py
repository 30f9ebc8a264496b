"""Objects of one clip are put in front of another, frame by frame, and nothing else changes."""

import numpy as np
import pytest
from videomt_ros.training.paste import Clip, paste


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
