"""How much the masks of two sets of tracks have in common, counted once for all metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask as coco_mask

from .tracks import ScoredTrack

_HALF = 0.5  # intersection over union that finds an object; share of a mask that lies in a crowd


@dataclass(frozen=True, eq=False)
class Overlaps:
    """
    Pixel counts of the annotated and the predicted tracks of one video.

    :param truth_classes: (G,) class index of each annotated track.
    :param found_classes: (D,) class index of each predicted track.
    :param found_scores: (D,) float.
    :param truth_areas: (T, G) pixels in each frame, 0 where it is not to be seen.
    :param found_areas: (T, D) pixels in each frame.
    :param common: (T, G, D) pixels that both have.
    """

    truth_classes: np.ndarray
    found_classes: np.ndarray
    found_scores: np.ndarray
    truth_areas: np.ndarray
    found_areas: np.ndarray
    common: np.ndarray

    def select(self, truth: np.ndarray, found: np.ndarray) -> Overlaps:
        """
        Take some of the tracks.

        :param truth: (g,) indices, or (G,) bool, of annotated tracks.
        :param found: (d,) indices, or (D,) bool, of predicted tracks.
        :returns: the counts of these.
        """
        return Overlaps(
            self.truth_classes[truth], self.found_classes[found], self.found_scores[found],
            self.truth_areas[:, truth], self.found_areas[:, found],
            self.common[:, truth][:, :, found])

    def of_class(self, class_id: int) -> Overlaps:
        """
        Take the tracks of one class.

        :param class_id: index of the class.
        :returns: the counts of these.
        """
        return self.select(self.truth_classes == class_id, self.found_classes == class_id)

    @property
    def classes(self) -> list[int]:
        """Give the indices of the classes that occur on either side, sorted."""
        return sorted({*self.truth_classes.tolist(), *self.found_classes.tolist()})

    def frame_iou(self) -> np.ndarray:
        """Give (T, G, D) intersection over union in each frame; 0 where neither is seen."""
        either = self.truth_areas[:, :, None] + self.found_areas[:, None, :] - self.common
        shares: np.ndarray = self.common / np.maximum(either, 1)
        return shares

    def track_iou(self) -> np.ndarray:
        """Give (G, D) intersection over union of whole tracks, in space and time."""
        common = self.common.sum(axis=0)
        either = (
            self.truth_areas.sum(axis=0)[:, None] + self.found_areas.sum(axis=0)[None] - common)
        shares: np.ndarray = common / np.maximum(either, 1)
        return shares

    def covered(self) -> np.ndarray:
        """Give (G, D) the share of each whole predicted track that lies in each annotated one."""
        areas = self.found_areas.sum(axis=0)
        shares: np.ndarray = self.common.sum(axis=0) / np.maximum(areas, 1)
        return shares


def without_crowds(overlaps: Overlaps, crowds: Overlaps) -> Overlaps:
    """
    Leave out the predicted masks that lie in crowds.

    As `trackeval` does with the regions to ignore of KITTI MOTS, whatever the class: in each frame
    those masks go that find no object and lie by more than half in a crowd.

    :param overlaps: of all annotated objects and predicted tracks.
    :param crowds: of the crowds, in place of the objects, and the same predicted tracks.
    :returns: the counts as if these masks had not been predicted.
    """
    share = crowds.common / np.maximum(crowds.found_areas, 1)[:, None]
    finds = (overlaps.frame_iou() >= _HALF).any(axis=1)
    gone = (share > _HALF).any(axis=1) & ~finds  # (T, D)
    return replace(
        overlaps, found_areas=np.where(gone, 0, overlaps.found_areas),
        common=np.where(gone[:, None], 0, overlaps.common))


def count_overlaps(
    truth: Sequence[ScoredTrack], found: Sequence[ScoredTrack], frames: int,
) -> Overlaps:
    """
    Compare the annotated tracks of a video with the predicted ones, frame by frame.

    :param truth: G annotated tracks.
    :param found: D predicted tracks.
    :param frames: T, the number of masks that each track must have.
    :returns: the counts.
    :raises ValueError: when a track has another number of masks.
    """
    for track in (*truth, *found):
        if len(track.masks) != frames:
            raise ValueError(
                f'a track has masks of {len(track.masks)} frames; expected {frames}, the length '
                f'of its video')
    truth_areas = np.zeros((frames, len(truth)), dtype=np.int64)
    found_areas = np.zeros((frames, len(found)), dtype=np.int64)
    common = np.zeros((frames, len(truth), len(found)), dtype=np.int64)
    for t in range(frames):
        here = [g for g, track in enumerate(truth) if track.masks[t] is not None]
        there = [d for d, track in enumerate(found) if track.masks[t] is not None]
        truth_masks = [truth[g].masks[t] for g in here]
        found_masks = [found[d].masks[t] for d in there]
        truth_areas[t, here] = coco_mask.area(truth_masks) if here else 0
        found_areas[t, there] = coco_mask.area(found_masks) if there else 0
        if here and there:
            share = coco_mask.iou(truth_masks, found_masks, [0] * len(there))
            both = truth_areas[t, here][:, None] + found_areas[t, there][None]
            # IoU = c / (a + b - c), solved for the whole number c.
            common[t][np.ix_(here, there)] = np.rint(share * both / (1 + share))
    return Overlaps(
        np.array([track.class_id for track in truth], dtype=np.int64),
        np.array([track.class_id for track in found], dtype=np.int64),
        np.array([track.score for track in found], dtype=float),
        truth_areas, found_areas, common)
