"""Masks and their run lengths."""

import json

import numpy as np
from pycocotools import mask as coco_mask
from videomt_ros.training.run_lengths import encode


def test_a_mask_survives_json():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 2:7] = True
    code = json.loads(json.dumps(encode(mask)))
    assert code['size'] == [6, 8]
    np.testing.assert_array_equal(coco_mask.decode(code), mask)
