"""
Objects of one clip in another: copy-paste augmentation.

Follows Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation" (CVPR 2021), with each object's pixels taken frame by frame, so that it moves as it
did, and hides what it passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Clip:
    """
    One clip as the network is to see it.

    :param frames: (T, H, W, 3) uint8 RGB.
    :param labels: class indices of its N objects.
    :param masks: (N, T, H, W) bool.
    """

    frames: np.ndarray
    labels: list[int]
    masks: np.ndarray


def paste(random: np.random.Generator, onto: Clip, source: Clip) -> Clip:
    """
    Put some objects of a clip in front of another.

    :param random: draws which: each visible one with even chances, and one at least.
    :param onto: the clip that gets them.
    :param source: the clip that they are from, of the same length and size.
    :returns: a new clip, its own objects first; ``onto`` as it is where ``source`` shows none.
    """
    visible = np.flatnonzero(np.any(source.masks, axis=(1, 2, 3)))
    if not len(visible):
        return onto
    chosen = visible[random.random(len(visible)) < 0.5]
    if not len(chosen):
        chosen = random.choice(visible, 1)
    pasted = source.masks[chosen]
    covered = np.any(pasted, axis=0)  # (T, H, W)
    frames = np.where(covered[..., None], source.frames, onto.frames)
    return Clip(
        frames, [*onto.labels, *(source.labels[i] for i in chosen)],
        np.concatenate((onto.masks & ~covered, pasted)))
