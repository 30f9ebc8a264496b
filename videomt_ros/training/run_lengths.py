"""Masks as COCO's compressed run lengths, the way in which they are kept and written."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

Rle = dict[str, Any]

_FAR = 1e5  # pixels: where polygons may lie; pycocotools walks their edges pixel by pixel


def encode(mask: np.ndarray) -> Rle:
    """
    Compress a mask.

    :param mask: (H, W) bool.
    :returns: COCO's compressed run lengths, in types that JSON can hold.
    """
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': [int(side) for side in code['size']], 'counts': code['counts'].decode('ascii')}


def as_rle(segment: Any, height: int, width: int) -> Rle | None:
    """
    Bring a segment as annotation files have it into compressed run lengths.

    :param segment: COCO run lengths, compressed or as a list, or polygons; None for nothing.
    :param height: of the frame in pixels.
    :param width: of the frame in pixels.
    :returns: compressed run lengths, whose size may be another than the frame's; None for nothing,
        which polygons of less than three points are, too.
    :raises ValueError: when it is nothing of the three, or its runs do not fill the frame.
    """
    if not segment:
        return None
    if isinstance(segment, list):
        return _fill(segment, height, width)
    try:
        rows, columns = map(int, segment['size'])
        counts = segment['counts']
        if isinstance(counts, list):
            counts = coco_mask.frPyObjects(segment, rows, columns)['counts']
        pixels = _pixels(counts)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _strange(segment) from error
    if counts and (rows, columns) == (height, width) and pixels != height * width:
        raise ValueError(
            f'the run lengths of a segmentation do not add up to its size; expected '
            f'{height * width} pixels, those of {width}x{height}')
    return {'size': [rows, columns], 'counts': counts} if counts else None


def _fill(polygons: list[Any], height: int, width: int) -> Rle | None:
    """Compress what lies in polygons; None where none of them has three points."""
    try:
        outlines = [[float(value) for value in polygon] for polygon in polygons]
    except (TypeError, ValueError, OverflowError) as error:
        raise _strange(polygons) from error
    # What is not a number is not within any bounds either.
    if far := [value for each in outlines for value in each if not abs(value) <= _FAR]:
        raise ValueError(f'a polygon has the coordinate {far[0]:g}; expected pixels of its frame')
    # Annotation tools leave clicks and lines behind, which pycocotools takes for something else.
    outlines = [outline for outline in outlines if len(outline) >= 6]
    if not outlines:
        return None
    runs: Rle = coco_mask.merge(coco_mask.frPyObjects(outlines, height, width))
    return runs


def _strange(segment: Any) -> ValueError:
    return ValueError(
        f'a segmentation is {str(segment)[:60]}; expected run lengths (size, counts), polygons or '
        f'null')


def _pixels(counts: str | bytes) -> int:
    """
    Count the pixels of compressed run lengths, -1 where these are damaged.

    pycocotools takes on trust that they fill the mask: where they do not, it shows what is in the
    memory behind, or compares forever.
    """
    content = counts.encode() if isinstance(counts, str) else counts
    digits = np.frombuffer(content, dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 32) == 0)
    if ((digits < 0) | (digits > 63)).any() or not len(ends) or ends[-1] != len(digits) - 1:
        return -1
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if lengths.max() > 7:  # of five bits; runs have 32
        return -1
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, starts)
    runs -= np.where(digits[ends] & 16, 1 << 5 * lengths, 0)
    # From the fourth on they are kept as differences to the one before the last.
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return int(runs.sum()) if runs.min() >= 0 else -1
