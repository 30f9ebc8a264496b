"""Masks as COCO's compressed run lengths, the way in which they are kept and written."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

Rle = dict[str, Any]


def encode(mask: np.ndarray) -> Rle:
    """
    Compress a mask.

    :param mask: (H, W) bool.
    :returns: COCO's compressed run lengths, in types that JSON can hold.
    """
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': [int(side) for side in code['size']], 'counts': code['counts'].decode('ascii')}
