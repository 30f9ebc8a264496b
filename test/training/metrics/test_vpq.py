"""VPQ, by hand and against the protocol read literally, a window and a segment at a time."""

import numpy as np
import pytest
from videomt_ros.training.metrics.panoptic import PanopticVideo
from videomt_ros.training.metrics.vpq import count_windows, video_panoptic_quality, WINDOWS

THINGS = {0, 1}


def row(*values):
    """Make a frame of one row."""
    return [list(values)]


def score(*pairs, classes=3):
    return video_panoptic_quality(
        sum(count_windows(truth, found, classes) for truth, found in pairs), THINGS)


def literal(pairs, classes):
    """Give VPQ of each window size and class as (size, class) -> PQ."""
    quality = {}
    for k in WINDOWS:
        for c in range(classes):
            share = tp = fp = fn = 0
            for truth, found in pairs:
                for start in range(len(truth.segments) - k + 1):
                    t = truth.segments[start:start + k]
                    f = found.segments[start:start + k]
                    matched = set()
                    for g in set(t.ravel()) - {0}:
                        if truth.classes[g] != c:
                            continue
                        for p in set(f.ravel()) - {0}:
                            common = ((t == g) & (f == p)).sum()
                            either = ((t == g) | ((f == p) & (t != 0))).sum()
                            if found.classes[p] == c and common / either > 0.5:
                                share, tp = share + common / either, tp + 1
                                matched.add(p)
                                break
                        else:
                            fn += 1
                    for p in set(f.ravel()) - {0} - matched:
                        if found.classes[p] == c and (t[f == p] == 0).mean() <= 0.5:
                            fp += 1
            if tp + fp + fn:
                quality[k, c] = share / (tp + fp / 2 + fn / 2)
    return quality


@pytest.mark.parametrize('seed', range(5))
def test_against_a_literal_reading(random_maps, seed):
    pairs = random_maps(seed)
    expected = literal(pairs, 4)
    result = score(*pairs, classes=4)
    for k in WINDOWS:
        of_size = [value for (size, _), value in expected.items() if size == k]
        assert result.per_window[k] == pytest.approx(np.mean(of_size))
    for c, value in result.per_class.items():
        assert value == pytest.approx(
            np.mean([each for (_, of_class), each in expected.items() if of_class == c]))
    assert result.vpq == pytest.approx(np.mean([*result.per_window.values()]))
    for part, of_part in ((result.things, (0, 1)), (result.stuff, (2, 3))):
        assert part == pytest.approx(np.mean([
            np.mean([v for (size, c), v in expected.items() if size == k and c in of_part])
            for k in WINDOWS]))


def test_perfect(random_maps):
    truth = random_maps(0)[0][0]
    result = score((truth, truth), classes=4)
    assert result.vpq == pytest.approx(1)
    assert set(result.per_class.values()) == {1}


def test_a_switch_of_id_matters_in_windows_over_it():
    segments = np.array([row(1, 1)] * 4)
    switched = np.array([row(1, 1)] * 2 + [row(2, 2)] * 2)
    result = score((PanopticVideo(segments, {1: 0}), PanopticVideo(switched, {1: 0, 2: 0})))
    # Windows of 2: found, cut in two halves of IoU .5 (a miss, two alarms), found.
    assert result.per_window[1] == 1
    assert result.per_window[2] == pytest.approx(2 / (2 + 2 / 2 + 1 / 2))
    assert result.per_window[4] == 0
    assert np.isnan(result.per_window[6])  # no such window in four frames
    assert result.vpq == pytest.approx(np.mean([1, 2 / 3.5, 0]))


def test_void_does_not_count():
    truth = PanopticVideo(np.array([row(0, 0, 0, 1, 1, 1)]), {1: 0})
    # Two of the three pixels of segment 2 are on void, so it is no false alarm; segment 1 covers
    # the object but for one pixel, and void.
    found = PanopticVideo(np.array([row(2, 2, 1, 2, 1, 1)]), {1: 0, 2: 1})
    result = score((truth, found))
    assert result.vpq == pytest.approx(2 / 3)
    assert result.per_class == {0: pytest.approx(2 / 3)}


def test_a_wrong_class_is_a_miss_and_an_alarm():
    segments = np.array([row(1, 1)] * 6)
    result = score((PanopticVideo(segments, {1: 0}), PanopticVideo(segments, {1: 2})))
    assert result.per_class == {0: 0, 2: 0}
    assert (result.things, result.stuff) == (0, 0)


def test_half_covered_is_not_found():
    truth = PanopticVideo(np.array([row(1, 1, 1, 1)]), {1: 0})
    for pixels, expected in ((2, 0), (3, 0.75)):
        found = PanopticVideo(np.array([row(*[1] * pixels, *[0] * (4 - pixels))]), {1: 0})
        assert score((truth, found)).vpq == pytest.approx(expected)
