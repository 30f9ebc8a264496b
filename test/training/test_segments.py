"""Masks out of annotation files: what is one, what is nothing, and what is told to the user."""

import json

import numpy as np
from pycocotools import mask as coco_mask
import pytest
import torch
from toy import config, counts, rle, stage, write_json
from videomt_ros.network import Preprocessing
from videomt_ros.training.config import ConfigError, DataSource
from videomt_ros.training.data import ClipBatches, read_sources
from videomt_ros.training.run_lengths import as_rle

TRIANGLE = [10.0, 10.0, 40.0, 10.0, 40.0, 40.0]


def segmented(videos, tmp_path, segment):
    """Give the discs of a batch after their masks were changed for another segmentation."""
    content = json.loads(videos.read_text())
    for annotation in content['annotations']:
        if annotation['category_id'] == 1:
            annotation['segmentations'] = [segment] * 6
    path = write_json(tmp_path / 'changed.json', content)
    settings = config(path, data=(DataSource(str(path), images=str(videos.parent)),))
    _, found = read_sources(settings.data)
    _, targets = ClipBatches(
        found, settings, stage(frame_size=(64, 96), zoom=1.0), 0, Preprocessing())[0]
    return targets.masks[targets.labels == 0]


@pytest.mark.parametrize('leftover', ([], [5.0, 5.0], [5.0, 5.0, 20.0, 20.0]))
def test_polygons_without_three_points_are_dropped(videos, tmp_path, leftover):
    whole = segmented(videos, tmp_path, [TRIANGLE])
    assert len(whole) == 2 and 400 < whole[0].sum() < 500
    assert torch.equal(segmented(videos, tmp_path, [leftover, TRIANGLE]), whole)
    assert not len(segmented(videos, tmp_path, [leftover])), 'as null: nothing is to be seen'


@pytest.mark.parametrize('segment, message', (
    ([TRIANGLE, 'line'], 'expected run lengths'),
    (TRIANGLE, 'expected run lengths'),
    ([[None] * 6], 'expected run lengths'),
    ([{'size': [64, 96], 'counts': [6144]}], 'expected run lengths'),
    ([[*TRIANGLE[:5], float('nan')]], 'has the coordinate nan; expected pixels of its frame'),
    ([[*TRIANGLE[:5], 1e9]], r'has the coordinate 1e\+09; expected'),
    ({'size': [64, 96]}, 'expected run lengths'),
    ({'size': [64, 96], 'counts': [-1, 6145]}, 'expected run lengths'),
    ({'size': [64, 96], 'counts': [10, 20]}, 'expected 6144 pixels, those of 96x64'),
    ({'size': [64, 96], 'counts': 'PPPP'}, 'expected 6144 pixels, those of 96x64'),
    (7, 'expected run lengths'),
))
def test_what_is_no_mask_is_told_with_its_frame_and_annotation(
        videos, tmp_path, segment, message):
    with pytest.raises(ConfigError, match=message) as caught:
        segmented(videos, tmp_path, segment)
    told = str(caught.value)
    assert '.png: annotation ' in told and '\n' not in told
    assert told.startswith(str(videos.parent / 'frames'))


@pytest.mark.parametrize('counts_of', ('', []))
def test_run_lengths_without_runs_are_nothing(counts_of):
    assert as_rle({'size': [64, 96], 'counts': counts_of}, 64, 96) is None


@pytest.mark.parametrize('damaged', ('\xe9', '!', 'zzzz', '1P', 'o' * 20 + '1'))
def test_damaged_run_lengths_are_refused(damaged):
    with pytest.raises(ValueError, match='do not add up to its size; expected 6144 pixels'):
        as_rle({'size': [64, 96], 'counts': damaged}, 64, 96)


@pytest.mark.parametrize('seed', range(20))
def test_any_mask_that_fills_its_frame_is_taken(seed):
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(1, 300, 2))
    mask = (random.random((height, width)) < random.random() ** 3).astype(np.uint8)
    mask[:, :width // 2] = seed % 2  # long runs beside short ones
    for code in (rle(mask), counts(mask)):
        assert np.array_equal(coco_mask.decode(as_rle(code, height, width)), mask)
