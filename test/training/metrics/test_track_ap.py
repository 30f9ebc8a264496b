"""Track AP, by hand and against another implementation."""

import numpy as np
import pytest
from trackeval.metrics import TrackMAP
from videomt_ros.training.metrics.overlap import count_overlaps
from videomt_ros.training.metrics.track_ap import average_precision, match_tracks

BOX, OTHER, FAR = (0, 0, 10, 10), (10, 10, 10, 10), (10, 0, 5, 5)


def score(*videos):
    """Score pairs of annotated and predicted tracks."""
    return average_precision(
        match_tracks(count_overlaps(truth, found, len((*truth, *found)[0].masks)))
        for truth, found in videos)


def values(scores):
    return [scores.ap, scores.ap50, scores.ap75, scores.ar1, scores.ar10]


def test_perfect(boxes):
    truth = [boxes(BOX, BOX), boxes(OTHER, None, class_id=1)]
    result = score((truth, truth))
    assert values(result.mean) == pytest.approx([1] * 5)
    assert set(result.per_class) == {0, 1}


def test_a_missed_object(boxes):
    # Recall reaches 1/2: of the 101 levels 0, .01 ... .50, which are 51, are served.
    result = score(([boxes(BOX), boxes(OTHER)], [boxes(BOX)]))
    assert values(result.mean) == pytest.approx([51 / 101] * 3 + [0.5] * 2)


def test_a_false_alarm_matters_by_its_score(boxes):
    truth = [boxes(BOX)]
    low = score((truth, [boxes(BOX, score=0.9), boxes(FAR, score=0.1)]))
    high = score((truth, [boxes(BOX, score=0.1), boxes(FAR, score=0.9)]))
    assert values(low.mean) == pytest.approx([1] * 5)
    assert values(high.mean) == pytest.approx([0.5] * 3 + [0, 1])


def test_scores_are_compared_over_videos(boxes):
    truth = [boxes(BOX)]
    result = score(
        (truth, [boxes(BOX, score=0.5)]), ([boxes(OTHER)], [boxes(FAR, score=0.9)]))
    # Best first: a false alarm, then one of two objects.
    assert result.mean.ap == pytest.approx(51 / 101 * 0.5)


def test_swapped_classes(boxes):
    result = score((
        [boxes(BOX), boxes(OTHER, class_id=1)], [boxes(BOX, class_id=1), boxes(OTHER)]))
    assert values(result.mean) == [0] * 5


def test_a_class_without_objects_is_not_scored(boxes):
    result = score(([boxes(BOX)], [boxes(BOX), boxes(FAR, class_id=3)]))
    assert values(result.mean) == pytest.approx([1] * 5)
    assert set(result.per_class) == {0}


def test_a_half_covered_mask(boxes):
    # IoU .5 passes the first of ten thresholds.
    result = score(([boxes(BOX)], [boxes((0, 0, 10, 5))]))
    assert values(result.mean) == pytest.approx([0.1, 1, 0, 0.1, 0.1])


def test_one_id_switch_halves_the_track(boxes):
    truth = [boxes(BOX, BOX, BOX, BOX)]
    found = [boxes(BOX, BOX, None, None, score=0.9), boxes(None, None, BOX, BOX, score=0.8)]
    # Both halves have IoU .5; the better one takes the object, at the threshold .5 alone.
    assert values(score((truth, found)).mean) == pytest.approx([0.1, 1, 0, 0.1, 0.1])
    early = [boxes(BOX, None, None, None, score=0.9), boxes(None, BOX, BOX, BOX, score=0.8)]
    # IoU .25 and .75: the second finds it up to .75, after a false alarm.
    assert values(score((truth, early)).mean) == pytest.approx([0.3, 0.5, 0.5, 0, 0.6])


def test_an_object_is_found_once(boxes):
    result = score(([boxes(BOX), boxes(OTHER)], [
        boxes(BOX, score=0.9), boxes(BOX, score=0.8), boxes(OTHER, score=0.7)]))
    # Precision 1 up to recall .5 (51 levels), then 2/3.
    assert result.mean.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.mean.ar1 == 0.5 and result.mean.ar10 == 1


def test_nothing_annotated(boxes):
    assert np.isnan(values(score(([], [boxes(BOX)])).mean)).all()


def test_only_the_hundred_best_count(boxes):
    found = [boxes(FAR, score=0.9)] * 100 + [boxes(BOX, score=0.5)]
    assert score(([boxes(BOX)], found)).mean.ap == 0
    assert score(([boxes(BOX)], found[1:])).mean.ap == pytest.approx(0.01)


@pytest.mark.parametrize('seed', range(5))
def test_against_trackeval(random_videos, seed):
    videos = random_videos(seed, videos=6)
    ours = score(*videos)
    theirs = {most: _trackeval(videos, most) for most in (1, 10, 100)}
    assert set(ours.per_class) == set(theirs[100])
    for class_id, scores in ours.per_class.items():
        precision = theirs[100][class_id]['AP_all']
        assert values(scores) == pytest.approx([
            np.mean(precision), precision[0], precision[5],
            *(np.mean(theirs[most][class_id]['AR_all']) for most in (1, 10))])


def _trackeval(videos, most):
    """Score each class with TrackEval's TrackMAP; its ids must be above 0."""
    metric = TrackMAP({
        'USE_AREA_RANGES': False, 'USE_TIME_RANGES': False, 'MAX_DETECTIONS': most,
        'PRINT_CONFIG': False})
    results = {}
    for class_id in range(3):
        parts = {}
        for number, (truth, found) in enumerate(videos):
            truth = [track for track in truth if track.class_id == class_id]
            found = [track for track in found if track.class_id == class_id]
            found.sort(key=lambda track: -track.score)
            parts[number] = metric.eval_sequence({
                'gt_track_ids': [*range(1, len(truth) + 1)],
                'dt_track_ids': [*range(1, len(found) + 1)],
                'gt_tracks': [dict(enumerate(track.masks)) for track in truth],
                'dt_tracks': [dict(enumerate(track.masks)) for track in found],
                'dt_track_scores': np.array([track.score for track in found]),
                'iou_type': 'mask'})
        if any(track.class_id == class_id for truth, _ in videos for track in truth):
            results[class_id] = metric.combine_sequences(parts)
    return results
