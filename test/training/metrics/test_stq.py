"""STQ, by hand and against its formula read literally, a pixel at a time."""

import numpy as np
import pytest
from videomt_ros.training.metrics.miou import confusion, mean_iou
from videomt_ros.training.metrics.panoptic import PanopticVideo
from videomt_ros.training.metrics.stq import associations, segmentation_and_tracking_quality

THINGS = {0, 1}


def score(*pairs, classes=4):
    counts = sum(confusion(t.class_map(), f.class_map(), classes) for t, f in pairs)
    return segmentation_and_tracking_quality(
        [associations(t, f, THINGS) for t, f in pairs], counts)


def literal_aq(pairs):
    """Sum up TPA * IoU of all pairs of tubes, as in equation 3 of the paper."""
    qualities = []
    for truth, found in pairs:
        for g, class_id in truth.classes.items():
            inside = truth.segments == g
            if class_id not in THINGS or not inside.any():
                continue
            quality = 0
            for p, found_class in found.classes.items():
                tube = found.segments == p
                tpa = (inside & tube).sum()
                if found_class in THINGS and tpa:
                    fna, fpa = (inside & ~tube).sum(), (tube & ~inside).sum()
                    quality += tpa * tpa / (tpa + fna + fpa)
            qualities.append(quality / inside.sum())
    return np.mean(qualities)


@pytest.mark.parametrize('seed', range(5))
def test_against_a_literal_reading(random_maps, seed):
    pairs = random_maps(seed)
    result = score(*pairs)
    assert result.aq == pytest.approx(literal_aq(pairs))
    counts = sum(confusion(t.class_map(), f.class_map(), 4) for t, f in pairs)
    assert result.sq == mean_iou(counts).miou
    assert result.stq == pytest.approx(np.sqrt(result.aq * result.sq))


def test_perfect(random_maps):
    truth = random_maps(1)[0][0]
    result = score((truth, truth))
    assert (result.stq, result.aq, result.sq) == pytest.approx((1, 1, 1))


def test_a_switch_of_id_halves_the_association():
    truth = PanopticVideo(np.ones((4, 1, 2), dtype=int), {1: 0})
    switched = truth.segments.copy()
    switched[2:] = 2
    result = score((truth, PanopticVideo(switched, {1: 0, 2: 0})))
    assert (result.aq, result.sq) == (0.5, 1)


def test_the_class_matters_to_segmentation_alone():
    segments = np.array([[[1, 1, 2, 2]]])
    result = score((PanopticVideo(segments, {1: 0, 2: 2}), PanopticVideo(segments, {1: 1, 2: 2})))
    assert result.aq == 1
    assert result.sq == pytest.approx(1 / 3)  # classes 0 and 1: 0, class 2: 1


def test_stuff_and_nothing_do_not_associate():
    truth = PanopticVideo(np.array([[[1, 1, 1, 1]]]), {1: 0})
    found = PanopticVideo(np.array([[[1, 2, 0, 0]]]), {1: 0, 2: 3})
    # One pixel of four in a tube of IoU 1/4.
    assert score((truth, found)).aq == pytest.approx(1 / 4 * 1 / 4)


def test_without_things_there_is_no_association():
    truth = PanopticVideo(np.array([[[1]]]), {1: 2})
    assert np.isnan(score((truth, truth)).aq)
