"""
Video consistency (VC), of "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild".

Of the pixels whose annotated class stays the same through n successive frames, VC_n is the share
whose predicted class is that one in all n frames; mean over all windows of n frames of all videos.

This is the definition. The script behind published numbers (`eval_vc_vspw.py`) differs in three
ways, so that its numbers are higher or not comparable: a pixel that keeps a wrong class counts as
right, the last window of each video is left out, and what it prints as VC16 is the mean over the
windows of VC8 and VC16 together.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LENGTHS = (8, 16)


def consistency(truth: np.ndarray, found: np.ndarray, length: int, num_classes: int) -> np.ndarray:
    """
    Score the windows of one video.

    :param truth: (T, H, W) int class indices; what is not in 0..K-1 is void, and is not counted.
    :param found: (T, H, W) int class indices.
    :param length: n, frames of a window.
    :param num_classes: K.
    :returns: (windows,) shares 0..1; those without a lasting pixel are left out. A video that is
        shorter than n has none.
    """
    # For how many frames each pixel has kept its class, and for how many it has been right.
    kept = np.zeros(truth.shape[1:], dtype=np.int64)
    right = np.zeros_like(kept)
    shares = []
    for t, (annotated, predicted) in enumerate(zip(truth, found, strict=True)):
        counts = (annotated >= 0) & (annotated < num_classes)
        kept = np.where(counts, np.where(annotated == truth[t - 1], kept, 0) + 1, 0)
        right = np.where(annotated == predicted, right + 1, 0)
        lasting = kept >= length
        if lasting.any():
            shares.append(float((right[lasting] >= length).mean()))
    return np.array(shares)


def video_consistency(videos: Iterable[np.ndarray]) -> float:
    """
    Put the videos together.

    :param videos: results of :func:`consistency` for one length.
    :returns: the mean over all windows, 0..1; not a number without any.
    """
    every = np.concatenate([np.zeros(0), *videos])
    return float(every.mean()) if len(every) else float('nan')
