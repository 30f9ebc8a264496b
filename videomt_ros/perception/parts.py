"""
Which part of a mask is the object, where a query shows more than one.

A small network does not always tell objects apart that look alike: its query for one of two dice
then shows both, and from frame to frame the one or the other of them more. An object is in one
piece, though, but for what hides it, and is in the next frame about where it was. So of a mask
that falls into parts the main one stays, which is where the track was last; where that says
nothing, it is the largest. Parts that are close to it stay as well: something thin may be in front
of the object, or a part of it too thin for the network's resolution. Whether what stays is the
track's object at all, or another that it is too far away to be, :mod:`.matching` decides.

Weights that were made this way say so in their record; the published ones do not need it, and
their masks stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Parts belong together when they are nearer than this, in sides of a square as large as the main
# part.
_REACH = 0.25


def keep_main_parts(logits: np.ndarray, last: Sequence[np.ndarray | None]) -> np.ndarray:
    """
    Take the other parts out of masks.

    :param logits: (n, h, w) float32 mask logits, without padding.
    :param last: for each mask the (h * w,) bool mask of its track when it was last seen; None for
        those without.
    :returns: (n, h, w) float32; pixels of the parts that are taken out have the opposite sign.
    """
    kept = logits.copy()
    for mask, before in zip(kept, last, strict=True):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (mask > 0).view(np.uint8), connectivity=8)
        if count > 2:  # the background is one of them
            areas = stats[1:, cv2.CC_STAT_AREA]
            others = _others(labels, areas, before)
            mask[others] = -mask[others]
    return kept


def _others(labels: np.ndarray, areas: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Give the pixels of the parts that stand apart from the main one."""
    main = 1 + int(areas.argmax())
    if before is not None:
        common = np.bincount(labels.ravel()[before], minlength=len(areas) + 1)[1:]
        if common.any():
            main = 1 + int(common.argmax())
    distances = cv2.distanceTransform((labels != main).view(np.uint8), cv2.DIST_L2, 3)
    together = np.zeros(len(areas) + 1, dtype=bool)
    together[labels[distances <= _REACH * np.sqrt(areas[main - 1])]] = True
    together[0] = True  # the background has no sign to be turned
    return ~together[labels]
