"""Predictions go to a file and come back; a foreign file is told from one that fits."""

import json
from pathlib import Path

import pytest
from videomt_ros.training.metrics import AnnotatedVideo, GroundTruth, read_results, write_results

TRUTH = GroundTruth(
    Path('truth.json'), ('ant', 'cat'), (10, 30),
    tuple(AnnotatedVideo(n, (Path('0'), Path('1')), 20, 20, ()) for n in (7, 3)), None)


def test_round_trip(boxes, tmp_path):
    tracks = {7: [], 3: [boxes((1, 2, 3, 4), None, class_id=1, score=0.25),
                         boxes(None, (5, 5, 5, 5), score=0.5)]}
    write_results(tmp_path / 'results.json', TRUTH, tracks)
    assert read_results(tmp_path / 'results.json', TRUTH) == tracks
    record = json.loads((tmp_path / 'results.json').read_text())[0]
    assert (record['video_id'], record['category_id'], record['score']) == (3, 30, 0.25)
    assert record['segmentations'][1] is None


RECORD = {'video_id': 3, 'category_id': 10, 'score': 0.5, 'segmentations': [None, None]}


@pytest.mark.parametrize(('content', 'message'), [
    ('{', 'cannot be read as JSON'),
    ('{}', 'holds a dict; expected a list of predictions'),
    ([RECORD, {}], 'prediction 1: expected video_id, category_id, score and segmentations'),
    ([5], 'prediction 0: expected video_id'),
    ([{**RECORD, 'score': 'high'}], 'prediction 0: expected video_id'),
    ([{**RECORD, 'score': float('nan')}], 'prediction 0: the score is nan; expected a number'),
    ([{**RECORD, 'video_id': 5}], 'video 5 with category 10 is not in the data set'),
    ([{**RECORD, 'category_id': 1}], 'video 3 with category 1 is not in the data set'),
    ([{**RECORD, 'segmentations': [None]}], 'has 1 segmentations; expected 2'),
    ([{**RECORD, 'segmentations': [None, {'size': [4, 4], 'counts': 'a'}]}],
     'size 4x4; expected 20x20'),
])
def test_what_does_not_fit(tmp_path, content, message):
    path = tmp_path / 'results.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=f'results.json: .*{message}'):
        read_results(path, TRUTH)
