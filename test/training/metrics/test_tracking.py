"""HOTA, IDF1 and id switches, by hand and against TrackEval's own way from files to scores."""

import json
from math import sqrt

import numpy as np
from pycocotools import mask as coco_mask
import pytest
import trackeval
from videomt_ros.training.metrics.overlap import count_overlaps
from videomt_ros.training.metrics.tracking import combine, follow

BOX, OTHER, FAR = (0, 0, 10, 10), (10, 10, 10, 10), (10, 0, 5, 5)
FRAMES = 10


def score(*videos, fps=10.0):
    """Score pairs of annotated and predicted tracks."""
    return combine(
        [follow(count_overlaps(truth, found, len((*truth, *found)[0].masks)))
         for truth, found in videos], fps)


def values(scores):
    return [scores.hota, scores.det_a, scores.ass_a, scores.idf1, scores.id_switches]


def test_perfect(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * 5, *[None] * 5, class_id=1)]
    result = score((truth, truth))
    for scores in (result.class_agnostic, result.class_averaged, result.detection_averaged,
                   *result.per_class.values()):
        assert values(scores) == pytest.approx([1, 1, 1, 1, 0])
    assert result.switches.objects == 2
    assert result.switches.per_object == result.switches.per_object_10s == 0


def test_one_id_switch(boxes):
    truth = [boxes(*[BOX] * FRAMES)]
    found = [boxes(*[BOX] * 5, *[None] * 5), boxes(*[None] * 5, *[BOX] * 5)]
    result = score((truth, found))
    # Each of ten detections is associated with 5 of the object's 10 frames.
    assert values(result.class_agnostic) == pytest.approx([sqrt(0.5), 1, 0.5, 0.5, 1])
    switches = result.switches
    assert (switches.total, switches.per_object, switches.worst_object) == (1, 1, 1)
    assert switches.per_object_10s == pytest.approx(10)  # one in a second
    assert score((truth, found), fps=2.0).switches.per_object_10s == pytest.approx(2)


def test_switches_are_counted_over_gaps_and_given_by_object(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * 4, *[None] * 2, *[OTHER] * 4)]
    found = [
        boxes(*[BOX] * FRAMES), boxes(*[OTHER] * 4, *[None] * 6),
        boxes(*[None] * 6, OTHER, None, OTHER, None),
        boxes(*[None] * 7, OTHER, None, OTHER)]
    switches = score((truth, found), (truth, truth)).switches
    # The second object: the first id, the third, the fourth, the third, the fourth.
    assert (switches.total, switches.objects, switches.worst_object) == (4, 4, 4)
    assert switches.per_object == 1
    assert switches.per_object_10s == pytest.approx(4 * 10 / (2 * 1.8))


def test_a_missed_object(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * FRAMES)]
    result = score((truth, truth[:1]))
    assert values(result.class_agnostic) == pytest.approx([sqrt(0.5), 0.5, 1, 2 / 3, 0])


def test_a_false_alarm(boxes):
    truth = [boxes(*[BOX] * FRAMES)]
    result = score((truth, [*truth, boxes(*[FAR] * FRAMES)]))
    assert values(result.class_agnostic) == pytest.approx([sqrt(0.5), 0.5, 1, 2 / 3, 0])


def test_swapped_classes_count_where_classes_count(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * FRAMES, class_id=1)]
    found = [boxes(*[BOX] * FRAMES, class_id=1), boxes(*[OTHER] * FRAMES)]
    result = score((truth, found))
    assert values(result.class_agnostic) == pytest.approx([1, 1, 1, 1, 0])
    assert values(result.class_averaged) == [0, 0, 0, 0, 0]
    assert values(result.detection_averaged) == [0, 0, 0, 0, 0]


def test_half_covered_masks(boxes):
    # IoU .5 passes .05 to .50, 10 of 19 thresholds.
    result = score(([boxes(*[BOX] * FRAMES)], [boxes(*[(0, 0, 10, 5)] * FRAMES)]))
    assert values(result.class_agnostic) == pytest.approx([10 / 19, 10 / 19, 10 / 19, 1, 0])


def test_class_average_and_detection_average_differ(boxes):
    truth = [boxes(*[BOX] * FRAMES), boxes(*[OTHER] * 2, *[None] * 8, class_id=1)]
    result = score((truth, truth[:1]))
    assert result.class_averaged.det_a == pytest.approx(0.5)
    assert result.detection_averaged.det_a == pytest.approx(10 / 12)
    assert set(result.per_class) == {0, 1} and result.per_class[1].hota == 0


def test_nothing_annotated_and_nothing_found(boxes):
    empty = score(([boxes(None, None)], []))
    assert values(empty.class_agnostic) == values(empty.class_averaged) == [0, 0, 0, 0, 0]
    assert empty.switches.objects == 0 and empty.per_class == {}
    alarm = score(([], [boxes(BOX)]))
    assert values(alarm.class_averaged) == [0, 0, 0, 0, 0]
    assert np.isnan(alarm.switches.per_object)


@pytest.mark.parametrize('seed', range(3))
def test_against_trackeval_from_files(random_videos, tmp_path, seed):
    videos = random_videos(seed, videos=3, frames=8)
    theirs = _trackeval(videos, tmp_path)
    ours = score(*videos)
    pairs = [(ours.class_averaged, theirs['cls_comb_cls_av']),
             (ours.detection_averaged, theirs['cls_comb_det_av'])]
    pairs += [(ours.per_class[c], theirs[f'class{c}']) for c in ours.per_class]
    assert len(pairs) == 5
    for mine, result in pairs:
        assert values(mine) == pytest.approx([
            *(np.mean(result['HOTA'][field]) for field in ('HOTA', 'DetA', 'AssA')),
            result['Identity']['IDF1'], result['CLEAR']['IDSW']])


def _trackeval(videos, folder):
    """Write the tracks to files as TrackEval wants them, and let it read and score them."""
    truth_folder = folder / 'youtube_vis_val'
    found_folder = folder / 'trackers' / 'youtube_vis_val' / 'ours' / 'data'
    truth_folder.mkdir()
    found_folder.mkdir(parents=True)
    truth, found = [], []
    for number, (annotated, predicted) in enumerate(videos, start=1):
        for track in annotated:
            truth.append({
                'id': len(truth) + 1, 'video_id': number, 'category_id': track.class_id + 1,
                'iscrowd': 0, 'height': 20, 'width': 20, 'areas': [],
                'segmentations': [mask and _uncompressed(mask) for mask in track.masks]})
        for track in predicted:
            found.append({
                'video_id': number, 'category_id': track.class_id + 1, 'score': track.score,
                'segmentations': track.masks})
    (truth_folder / 'truth.json').write_text(json.dumps({
        'videos': [{'id': n, 'file_names': [f'v{n}/{t}.jpg' for t in range(8)]}
                   for n in range(1, len(videos) + 1)],
        'categories': [{'id': c + 1, 'name': f'class{c}'} for c in range(3)],
        'annotations': truth}))
    (found_folder / 'found.json').write_text(json.dumps(found))
    quiet = {'PRINT_CONFIG': False}
    data = trackeval.datasets.YouTubeVIS({
        'GT_FOLDER': f'{folder}/', 'TRACKERS_FOLDER': f'{folder / "trackers"}/',
        'SPLIT_TO_EVAL': 'val', **quiet})
    evaluator = trackeval.Evaluator({
        'PRINT_RESULTS': False, 'TIME_PROGRESS': False, 'PLOT_CURVES': False,
        'OUTPUT_SUMMARY': False, 'OUTPUT_DETAILED': False, **quiet})
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.Identity(dict(quiet)),
               trackeval.metrics.CLEAR(dict(quiet))]
    results, messages = evaluator.evaluate([data], metrics)
    assert messages['YouTubeVIS']['ours'] == 'Success'
    return results['YouTubeVIS']['ours']['COMBINED_SEQ']


def _uncompressed(mask):
    flat = np.concatenate([[0], coco_mask.decode(mask).ravel(order='F'), [2]])
    edges = np.flatnonzero(np.diff(flat[:-1]))
    counts = np.diff([0, *edges, len(flat) - 2])
    return {'size': [20, 20], 'counts': counts.tolist()}
