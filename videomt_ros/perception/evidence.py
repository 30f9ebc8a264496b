"""What class a query slot carries, and which slots are worth making a mask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ClassReading:
    """
    What the class logits of a frame say of the slots, before any mask is made.

    :param logits: (Q, K+1) raw class logits of this frame, last column = no object.
    :param evidence_class: (Q,) best class by the mean logits of the slot's track, this frame
        included; of a slot without a track, by this frame alone.
    :param evidence_score: (Q,) probability of that class; -1 where the class is not wanted.
    :param frame_class: (Q,) best class of this frame alone.
    :param frame_score: (Q,) probability of that class; -1 where the class is not wanted.
    """

    logits: np.ndarray
    evidence_class: np.ndarray
    evidence_score: np.ndarray
    frame_class: np.ndarray
    frame_score: np.ndarray


def read_classes(
    logits: np.ndarray, sums: Mapping[int, tuple[np.ndarray, int]],
    wanted: Collection[int] | None,
) -> ClassReading:
    """
    Read the slots' classes, each from everything its track has shown so far.

    The paper averages the raw class logits of a slot over the whole clip before the softmax. The
    running mean since a track began is the same on the last frame of a clip that is one track.

    :param logits: (Q, K+1) raw class logits of this frame.
    :param sums: of slots with a track, the sum (K+1,) of the logits of its earlier frames, and
        how many frames these are.
    :param wanted: indices of the wanted classes; None for all.
    :returns: the reading.
    """
    frame_class, frame_score = classify(logits, wanted)
    evidence_class, evidence_score = frame_class.copy(), frame_score.copy()
    if sums:
        slots = list(sums)
        total = np.stack([total for total, _ in sums.values()]) + logits[slots]
        frames = np.array([frames + 1 for _, frames in sums.values()])
        evidence_class[slots], evidence_score[slots] = classify(total / frames[:, None], wanted)
    return ClassReading(logits, evidence_class, evidence_score, frame_class, frame_score)


def classify(
    logits: np.ndarray, wanted: Collection[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Take the best class and its probability.

    :param logits: (n, K+1), last column = no object; it takes part in the softmax only.
    :param wanted: indices of the wanted classes; None for all.
    :returns: class indices (n,) and probabilities (n,); -1 where the best class is not wanted.
    """
    logits = logits.astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    best = odds[:, :-1].argmax(axis=1)
    score = odds[np.arange(len(odds)), best] / odds.sum(axis=1)
    if wanted is not None:
        score[~np.isin(best, list(wanted))] = -1
    return best, score
