"""
Objects of one clip in another, or once more beside themselves: copy-paste augmentation.

Follows Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation" (CVPR 2021), with each object's pixels taken frame by frame, so that it moves as it
did, and hides what it passes. Two that look alike side by side are what a network is slowest to
learn to hold apart, as nothing but the place tells them from each other; :func:`add_twins` makes
such pairs out of any clip.
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
    chosen = _choose(random, source)
    if not len(chosen):
        return onto
    return _in_front(onto, source.frames, [source.labels[i] for i in chosen],
                     source.masks[chosen])


def add_twins(random: np.random.Generator, clip: Clip) -> Clip:
    """
    Put copies of some objects close to them, before or behind, moving as they do.

    :param random: draws which (each visible one with even chances, and one at least), how far to
        which side (half to one and a half of its box), and whether the copy is behind.
    :param clip: frames and objects.
    :returns: a new clip, its own objects first; ``clip`` as it is where it shows none.
    """
    made = clip
    for item in _choose(random, clip):
        mask = clip.masks[item]
        boxes = [np.ptp(np.argwhere(seen), axis=0) + 1 for seen in mask if seen.any()]
        height, width = np.mean(boxes, axis=0)
        angle, reach = random.uniform(0, 2 * np.pi), random.uniform(0.5, 1.5)
        by = round(reach * height * np.sin(angle)), round(reach * width * np.cos(angle))
        twin = _moved(mask, by)
        if random.random() < 0.5:
            twin &= ~mask
        made = _in_front(made, _moved(clip.frames, by), [clip.labels[item]], twin[None])
    return made


def _choose(random: np.random.Generator, clip: Clip) -> np.ndarray:
    """Draw indices of objects, each visible one with even chances and one at least."""
    visible = np.flatnonzero(np.any(clip.masks, axis=(1, 2, 3)))
    chosen = visible[random.random(len(visible)) < 0.5]
    return chosen if len(chosen) or not len(visible) else random.choice(visible, 1)


def _in_front(clip: Clip, frames: np.ndarray, labels: list[int], masks: np.ndarray) -> Clip:
    """Put objects (masks (n, T, H, W) bool, their pixels in frames) in front of a clip."""
    covered = np.any(masks, axis=0)  # (T, H, W)
    return Clip(
        np.where(covered[..., None], frames, clip.frames), [*clip.labels, *labels],
        np.concatenate((clip.masks & ~covered, masks)))


def _moved(frames: np.ndarray, by: tuple[int, int]) -> np.ndarray:
    """Shift (T, H, W, ...) by rows and columns; what comes in is zero."""
    result = np.zeros_like(frames)
    steps = [max(-size, min(step, size)) for size, step in zip(frames.shape[1:3], by, strict=True)]
    (top, left), (height, width) = steps, frames.shape[1:3]
    result[:, max(top, 0):height + min(top, 0), max(left, 0):width + min(left, 0)] = frames[
        :, max(-top, 0):height - max(top, 0), max(-left, 0):width - max(left, 0)]
    return result
