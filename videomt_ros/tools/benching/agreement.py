"""How far two runs over the same frames say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from videomt_ros.perception import FrameResult

_SAME_TRACK = 0.5  # share of the pixels of two tracks together that they must have in common


@dataclass(frozen=True, eq=False)
class Picture:
    """
    What a run says of one frame.

    :param labels: (H, W) uint16: the track that each pixel belongs to, 0 for none.
    :param classes: class index of each track that has pixels.
    """

    labels: np.ndarray
    classes: Mapping[int, int]

    @classmethod
    def of(cls, result: FrameResult) -> Picture:
        """
        Make the picture of a result.

        :param result: of any task.
        :returns: the picture, with track ids for labels.
        """
        seen = [instance for instance in result.instances if instance.area]
        table = np.zeros(int(np.iinfo(result.label_map.dtype).max) + 1, dtype=np.uint16)
        for instance in seen:
            table[instance.mask_value] = instance.track_id
        return cls(table[result.label_map], {each.track_id: each.class_id for each in seen})


@dataclass(frozen=True)
class Agreement:
    """
    How far two runs agree, whatever numbers they give their tracks.

    :param equal_pixels: share of all pixels that belong to the same track in both, or to none.
    :param tracks: tracks of the first run that have any pixel.
    :param other_tracks: tracks of the second one.
    :param same_tracks: pairs, one of each run, of one class and with more than half of their
        pixels of the whole clip in common.
    """

    equal_pixels: float
    tracks: int
    other_tracks: int
    same_tracks: int

    @property
    def all_tracks(self) -> bool:
        """Tell whether both runs have the same tracks."""
        return self.tracks == self.other_tracks == self.same_tracks


def compare(run: Sequence[Picture], other: Sequence[Picture]) -> Agreement:
    """
    Compare two runs.

    :param run: a picture for each frame.
    :param other: those of the other run, of the same frames.
    :returns: how far they agree; tracks are paired so that the largest overlaps go first.
    """
    common: Counter[tuple[int, int]] = Counter()
    classes: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for pictures in zip(run, other, strict=True):
        common.update(_overlaps(*pictures))
        for known, picture in zip(classes, pictures, strict=True):
            known.update(picture.classes)
    sizes: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for pair, count in common.items():
        for size, label in zip(sizes, pair, strict=True):
            size[label] += count
    equal, same = common[0, 0], 0
    free = tuple({label for label in size if label} for size in sizes)
    counts = tuple(map(len, free))
    for (ours, theirs), count in common.most_common():
        if ours in free[0] and theirs in free[1] and classes[0][ours] == classes[1][theirs]:
            free[0].remove(ours)
            free[1].remove(theirs)
            equal += count
            same += count > _SAME_TRACK * (sizes[0][ours] + sizes[1][theirs] - count)
    return Agreement(
        equal / max(1, common.total()), counts[0], counts[1], same)


def _overlaps(ours: Picture, theirs: Picture) -> dict[tuple[int, int], int]:
    """Count the pixels of each pair of labels that occurs."""
    wide = int(theirs.labels.max(initial=0)) + 1
    counts = np.bincount((ours.labels.astype(np.int64) * wide + theirs.labels).ravel())
    return {
        divmod(int(pair), wide): int(counts[pair]) for pair in np.flatnonzero(counts)}
