"""Crowds: what is found in them is neither right nor wrong, in any of the metrics."""

from math import sqrt
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest
from videomt_ros.tools.recorded_truth import of_recording
from videomt_ros.training.metrics import AnnotatedVideo, as_json, GroundTruth, measure, summarise
from videomt_ros.training.metrics.overlap import count_overlaps, without_crowds
from videomt_ros.training.metrics.track_ap import average_precision, match_tracks
from videomt_ros.training.metrics.tracking import combine, follow

BOX, CROWD = (0, 0, 10, 10), (10, 10, 10, 10)
FRAMES = 20


def report(truth, crowds, found):
    """Score tracks of classes red and blue."""
    video = AnnotatedVideo(
        1, tuple(Path(str(t)) for t in range(FRAMES)), 20, 20, tuple(truth), crowds=tuple(crowds))
    return as_json(summarise([measure(video, found, 2, 0.3)], 2, fps=10.0), ('red', 'blue'))


def average(*videos):
    """Score annotated tracks, crowds and predicted tracks of several videos."""
    return average_precision(
        match_tracks(*(count_overlaps(each, found, 1) for each in (truth, crowds)))
        for truth, crowds, found in videos)


def tracking(truth, crowds, found):
    return combine([follow(without_crowds(*(
        count_overlaps(each, found, FRAMES) for each in (truth, crowds))))], fps=10.0)


def values(scores):
    return [scores.hota, scores.det_a, scores.ass_a, scores.idf1, scores.id_switches]


def everything(metrics):
    """Give all scores of a report that are 1 at best, but for the recall of one prediction."""
    return [
        *(metrics['track_ap'][key] for key in ('ap', 'ap50', 'ap75', 'ar10')),
        *(scores[key] for scores in metrics['tracking'].values()
          for key in ('hota', 'det_a', 'ass_a', 'idf1')),
        metrics['vpq']['vpq'], *metrics['stq'].values(), metrics['miou'], *metrics['vc'].values()]


@pytest.mark.parametrize('inside', (
    [], [(10, 10, 5, 5)], [(10, 10, 5, 5), (15, 15, 5, 5)], [CROWD]))
def test_in_a_crowd_nothing_is_missed_and_nothing_is_wrong(boxes, inside):
    truth, crowd = boxes(*[BOX] * FRAMES), boxes(*[CROWD] * FRAMES)
    found = [boxes(*[BOX] * FRAMES, score=0.5), *(
        boxes(*[box] * FRAMES, score=0.9) for box in inside)]
    metrics = report([truth], [crowd], found)['metrics']
    assert everything(metrics) == pytest.approx([1] * 23)
    assert metrics['id_switches']['objects'] == 1
    if inside:
        without = everything(report([truth], [], found)['metrics'])
        assert np.mean(without) < 0.95 and max(without) <= 1


def test_pixels_of_a_crowd_are_void(boxes):
    # The prediction covers the object and a crowd beside it, 100 pixels each.
    result = report(
        [boxes(*[BOX] * FRAMES)], [boxes(*[(10, 0, 10, 10)] * FRAMES)],
        [boxes(*[(0, 0, 20, 10)] * FRAMES)])
    metrics = result['metrics']
    assert metrics['miou'] == metrics['vc']['8'] == 1
    assert metrics['vpq']['vpq'] == 1  # 100 / (100 + 200 - 100 - 100 on void)
    assert metrics['stq'] == pytest.approx({'stq': sqrt(0.5), 'aq': 0.5, 'sq': 1})
    assert result['per_class']['background'] == pytest.approx({'vpq': 1, 'iou': 1})
    # It finds the object by half of the union; beyond the first threshold it is an alarm.
    assert metrics['track_ap'] == pytest.approx(
        {'ap': 0.1, 'ap50': 1, 'ap75': 0, 'ar1': 0.1, 'ar10': 0.1})


def test_how_much_of_a_prediction_lies_in_a_crowd_is_held_against_the_thresholds(boxes):
    truth, crowd = [boxes(BOX)], [boxes(CROWD)]
    half = boxes((5, 10, 10, 5), score=0.9)
    scores = average((truth, crowd, [half, boxes(BOX, score=0.5)])).mean
    # An alarm before the hit halves the precision at all thresholds but .5.
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((0.55, 1, 0.5))
    assert (scores.ar1, scores.ar10) == (0, 1)
    most = boxes((8, 10, 10, 5), score=0.9)  # .8: ignored at seven thresholds
    scores = average((truth, crowd, [most, boxes(BOX, score=0.5)])).mean
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((0.85, 1, 1))


def test_an_object_in_a_crowd_is_found_first(boxes):
    inside = (10, 10, 5, 5)
    found = [boxes(inside, score=0.9), boxes(inside, score=0.8)]
    scores = average(
        ([boxes(inside)], [boxes(CROWD)], found),
        ([boxes(BOX)], [], [boxes(BOX, score=0.7)])).mean
    # The second one finds no object any more, and is no alarm either.
    assert (scores.ap, scores.ar1) == pytest.approx((1, 1))


def test_average_precision_knows_the_class_of_a_crowd(boxes):
    scores = average(([boxes(BOX)], [boxes(CROWD, class_id=1)], [
        boxes(BOX, score=0.5), boxes(CROWD, score=0.9)]))
    assert scores.mean.ap == pytest.approx(0.5)
    assert set(scores.per_class) == {0}, 'a crowd is no object to be found'


def test_masks_by_more_than_half_in_a_crowd_are_not_followed(boxes):
    truth, crowd = [boxes(*[BOX] * FRAMES)], [boxes(*[CROWD] * FRAMES, class_id=1)]
    for x, expected in ((5, [sqrt(0.5), 0.5, 1, 2 / 3, 0]), (6, [1, 1, 1, 1, 0])):
        alarm = boxes(*[(x, 10, 10, 5)] * FRAMES)
        result = tracking(truth, crowd, [*truth, alarm])
        assert values(result.class_agnostic) == pytest.approx(expected)
        assert values(result.class_averaged) == pytest.approx(expected)


def test_a_track_is_passed_over_where_it_is_in_a_crowd(boxes):
    truth, crowd = [boxes(*[BOX] * FRAMES)], [boxes(*[CROWD] * 10, *[None] * 10)]
    found = [*truth, boxes(*[CROWD] * FRAMES)]
    # Ten masks are left of the alarm: 20 / (20 + 10), and 2 * 20 / (20 + 30).
    assert values(tracking(truth, crowd, found).class_agnostic) == pytest.approx(
        [sqrt(2 / 3), 2 / 3, 1, 0.8, 0])


def test_an_object_in_a_crowd_is_followed(boxes):
    truth = [boxes(*[(10, 10, 5, 5)] * FRAMES)]
    crowd = [boxes(*[CROWD] * FRAMES)]
    assert values(tracking(truth, crowd, truth).class_agnostic) == pytest.approx([1, 1, 1, 1, 0])
    assert tracking(truth, crowd, []).class_agnostic.det_a == 0


def test_a_recording_keeps_its_crowds(boxes):
    video = AnnotatedVideo(4, (Path('0'),), 20, 20, (boxes(BOX),), crowds=(boxes(CROWD),))
    truth = of_recording(
        GroundTruth(Path('truth.json'), ('red',), (1,), (video,), None), Path('bag'), None)
    assert truth.videos[0].crowds == video.crowds and truth.videos[0].tracks == video.tracks


@pytest.mark.parametrize('seed', range(5))
def test_average_precision_against_coco(random_videos, seed):
    # Of single frames COCO's own evaluation knows crowds.
    random = np.random.default_rng(seed)
    videos = []
    for truth, found in random_videos(seed, videos=8, frames=1):
        crowd = random.random(len(truth)) < 0.4
        videos.append((
            [t for t, c in zip(truth, crowd, strict=True) if not c],
            [t for t, c in zip(truth, crowd, strict=True) if c],
            [track for track in found if track.masks[0]]))
    ours = average(*videos)
    theirs = _coco(videos)
    assert set(ours.per_class) == set(theirs)
    for class_id, scores in ours.per_class.items():
        assert [scores.ap, scores.ap50, scores.ap75, scores.ar1, scores.ar10] == pytest.approx(
            theirs[class_id])


def _coco(videos):
    annotations, results = [], []
    for image, (truth, crowds, found) in enumerate(videos, start=1):
        annotations += [
            {'id': len(annotations) + n, 'image_id': image, 'category_id': track.class_id,
             'segmentation': track.masks[0], 'iscrowd': crowd, 'area': 1}
            for n, (crowd, track) in enumerate(
                [(0, t) for t in truth] + [(1, t) for t in crowds], start=1)]
        results += [
            {'image_id': image, 'category_id': track.class_id, 'score': track.score,
             'segmentation': track.masks[0]} for track in found]
    data = COCO()
    data.dataset = {
        'info': {}, 'images': [
            {'id': n, 'height': 20, 'width': 20} for n in range(1, len(videos) + 1)],
        'annotations': annotations, 'categories': [{'id': n} for n in range(3)]}
    data.createIndex()
    run = COCOeval(data, data.loadRes(results), 'segm')
    run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ['all']
    run.evaluate()
    run.accumulate()
    precision = run.eval['precision'][:, :, :, 0, 2].mean(axis=1)  # (10, 3), -1 without objects
    recall = run.eval['recall'][:, :, 0].mean(axis=0)  # (3, 3): class, at most 1, 10, 100
    return {
        c: [precision[:, c].mean(), precision[0, c], precision[5, c], *recall[c, :2]]
        for c in range(3) if precision[0, c] >= 0}
