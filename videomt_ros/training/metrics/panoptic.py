"""Videos as maps with one value a pixel: what the panoptic and semantic metrics work on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from .tracks import ScoredTrack

VOID = -1  # the class of pixels that have none


@dataclass(frozen=True, eq=False)
class PanopticVideo:
    """
    The segments of a video.

    :param segments: (T, H, W) int, the number of each pixel's segment, the same in all frames; 0
        is void: not annotated, or nothing predicted.
    :param classes: class index of each segment number, 0 and up.
    """

    segments: np.ndarray
    classes: Mapping[int, int]

    def indices(self) -> Iterator[np.ndarray]:
        """
        Give the segments numbers without gaps, frame by frame: whole videos are large.

        :returns: (H, W) int64 each: 0 for void, else 1 + the segment's place in `classes`.
        :raises ValueError: when the map has a number that is neither 0 nor in `classes`.
        """
        known = np.array([0, *self.classes], dtype=np.int64)
        order = np.argsort(known)
        for frame in self.segments:
            places = np.searchsorted(known[order], frame).clip(max=len(known) - 1)
            indices: np.ndarray = order[places]
            strange = known[indices] != frame
            if strange.any():
                raise ValueError(
                    f'segment {frame[strange][0]} is in the map and has no class; expected a '
                    f'class for each number but 0')
            yield indices

    def class_map(self) -> np.ndarray:
        """Give (T, H, W) int16: the class index of each pixel, VOID where it has none."""
        table = np.array([VOID, *self.classes.values()], dtype=np.int16)
        return np.stack([table[indices] for indices in self.indices()])


def paint(
    tracks: Sequence[ScoredTrack], shape: tuple[int, int, int], background: int,
    void: Sequence[ScoredTrack] = (),
) -> PanopticVideo:
    """
    Make the map of a video of its tracks.

    Where masks overlap, the track with the higher score is on top; of equal ones the first.

    :param tracks: with masks of T frames each.
    :param shape: (T, H, W).
    :param background: class index of the segment that is made of all that no track covers.
    :param void: regions, with masks of T frames each, that are void where no track covers them.
    :returns: segments 1 and up in the order of the tracks, then the background.
    """
    rest = len(tracks) + 1
    segments = np.full(shape, rest, dtype=np.min_scalar_type(rest))
    order = sorted(range(len(tracks)), key=lambda i: (tracks[i].score, -i))
    layers = [(0, region) for region in void] + [(i + 1, tracks[i]) for i in order]
    for number, track in layers:
        for frame, mask in zip(segments, track.masks, strict=True):
            if mask is not None:
                frame[coco_mask.decode(mask) > 0] = number
    return PanopticVideo(
        segments, {**{i + 1: track.class_id for i, track in enumerate(tracks)}, rest: background})


def count_pairs(truth: PanopticVideo, found: PanopticVideo) -> np.ndarray:
    """
    Count the pixels that each annotated segment shares with each predicted one.

    :param truth: with G segments.
    :param found: with D segments, of the same shape.
    :returns: (T, 1 + G, 1 + D) int64, void in the first row and column, then the segments in the
        order of `classes`.
    :raises ValueError: when the shapes differ.
    """
    if truth.segments.shape != found.segments.shape:
        raise ValueError(
            f'the predicted map has the shape {found.segments.shape}; expected '
            f'{truth.segments.shape}, that of the annotated one')
    rows, columns = len(truth.classes) + 1, len(found.classes) + 1
    return np.stack([
        np.bincount((ours * columns + theirs).ravel(), minlength=rows * columns).reshape(
            rows, columns)
        for ours, theirs in zip(truth.indices(), found.indices(), strict=True)])
