"""All metrics of a data set together."""

import json
from pathlib import Path

import pytest
from videomt_ros.training.metrics import AnnotatedVideo, as_json, measure, summarise

BOX, OTHER, FAR = (0, 0, 10, 10), (10, 10, 10, 10), (10, 0, 5, 5)
FRAMES = 20


def video(*tracks):
    return AnnotatedVideo(1, tuple(Path(str(t)) for t in range(FRAMES)), 20, 20, tracks)


def report(*pairs, min_score=0.3):
    """Score pairs of annotated and predicted tracks, of classes red and blue."""
    measures = [measure(video(*truth), found, 2, min_score) for truth, found in pairs]
    return as_json(summarise(measures, 2, fps=10.0), ('red', 'blue'))


def test_perfect(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * 8, *[None] * 12, class_id=1)]
    result = report((truth, truth))
    metrics = result['metrics']
    assert metrics['track_ap'] == pytest.approx(
        {'ap': 1, 'ap50': 1, 'ap75': 1, 'ar1': 1, 'ar10': 1})
    for scores in metrics['tracking'].values():
        assert scores == pytest.approx(
            {'hota': 1, 'det_a': 1, 'ass_a': 1, 'idf1': 1, 'id_switches': 0})
    assert metrics['id_switches'] == {
        'total': 0, 'objects': 2, 'per_object': 0, 'per_object_10s': 0, 'worst_object': 0}
    assert metrics['vpq'] == {
        'vpq': 1, 'things': 1, 'stuff': 1, 'per_window': dict.fromkeys('1246', 1)}
    assert metrics['stq'] == pytest.approx({'stq': 1, 'aq': 1, 'sq': 1})
    assert metrics['miou'] == 1 and metrics['vc'] == {'8': 1, '16': 1}
    assert list(result['per_class']) == ['red', 'blue', 'background']
    assert result['per_class']['blue']['ap'] == pytest.approx(1)
    assert result['per_class']['background'] == pytest.approx({'vpq': 1, 'iou': 1})


def test_unsure_tracks_count_for_average_precision_alone(boxes):
    truth = [boxes(*[BOX] * FRAMES)]
    result = report((truth, [boxes(*[BOX] * FRAMES, score=0.2)]))['metrics']
    assert result['track_ap']['ap'] == pytest.approx(1)
    assert result['tracking']['class_agnostic']['hota'] == 0
    assert result['stq']['aq'] == 0 and result['vpq']['things'] == 0
    assert report((truth, [boxes(*[BOX] * FRAMES, score=0.2)]), min_score=0.1)[
        'metrics']['stq']['aq'] == 1


def test_a_false_alarm_costs_background(boxes):
    truth = [boxes(*[BOX] * FRAMES)]
    alarm = boxes(*[FAR] * FRAMES, class_id=1)
    result = report((truth, [*truth, alarm]))
    # The background has 300 of 400 pixels, 25 of which were taken for blue.
    assert result['per_class']['background']['iou'] == pytest.approx(275 / 300)
    assert result['per_class']['blue'] == {
        'hota': 0, 'det_a': 0, 'ass_a': 0, 'idf1': 0, 'id_switches': 0, 'vpq': 0, 'iou': 0}
    assert result['metrics']['miou'] == pytest.approx((1 + 0 + 275 / 300) / 3)
    assert result['metrics']['vc']['8'] == pytest.approx(375 / 400)
    assert result['metrics']['vpq']['things'] == pytest.approx(0.5)
    assert result['metrics']['vpq']['stuff'] == pytest.approx(275 / 300)
    # The alarm is a tube of a thing class, but it touches no thing.
    assert result['metrics']['stq']['aq'] == 1


def test_a_switch_shows_in_every_metric_of_association(boxes):
    truth = [boxes(*[BOX] * FRAMES)]
    halves = [boxes(*[BOX] * 10, *[None] * 10), boxes(*[None] * 10, *[BOX] * 10)]
    metrics = report((truth, halves))['metrics']
    assert metrics['id_switches'] == pytest.approx({
        'total': 1, 'objects': 1, 'per_object': 1, 'per_object_10s': 5, 'worst_object': 1})
    assert metrics['tracking']['class_agnostic']['ass_a'] == pytest.approx(0.5)
    assert metrics['stq']['aq'] == pytest.approx(0.5)
    assert metrics['track_ap']['ap50'] == pytest.approx(1)
    assert metrics['track_ap']['ap75'] == 0
    assert metrics['miou'] == 1 and metrics['vc']['16'] == 1


def test_an_empty_data_set_has_no_scores_and_is_still_json(boxes):
    result = report(([], []))
    assert result['metrics']['track_ap']['ap'] is None
    assert result['metrics']['id_switches']['per_object_10s'] is None
    assert result['metrics']['vpq']['things'] is None
    assert result['metrics']['miou'] == 1  # the background
    json.dumps(result, allow_nan=False)
