"""
Which track goes on in which query slot, and which slots show something new.

Four steps, each on what the one before has left:

1. A track goes on in its own slot, unless the slot shows another object now.
2. Of two tracks of one class on one mask, the one that was there before goes on.
3. A track that has not gone on moves to a free slot that shows its class where it was last seen.
   Slots that might begin a track come first; after them, for a confirmed track, those with a score
   that is enough to go on with. What is seen there again is likely to be it, as in ByteTrack
   (Zhang et al., ECCV 2022).
4. What free slots show beside that, and no track shows already, is new.

With weights whose queries show several objects that look alike (:mod:`.parts`) a slot goes over
from one of them to the next without a change of class. With those (``mask_parts`` is 'main') it
also shows another object when that is farther away than things move, and a track that has not gone
on does so not only where it was, but wherever it can have come. Their slots also come to show a
part of an object, or its neighbour, while another shows it whole: a track leaves its slot for a
free one of its class that fits what it last showed much better. And their queries find one object
twice, as two classes: of two on one place, the one that is surer of its class goes on alone.

Everything here is done on masks at the network's resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .evidence import ClassReading
from .result import TrackState

if TYPE_CHECKING:
    from .tracks import Track, TrackRules

# Masks whose intersection over union is smaller are of things in different places.
_APART = 0.1
# So far, in diagonals of the picture, an object comes at once, and as far again in every second
# since it was seen.
_STEP = 0.12
# Masks whose intersection over union is larger are of one thing, as it counts in most measures.
_ONE_PLACE = 0.5
# A slot fits a track better than another when its intersection over union with what the track
# last showed is larger by this, which is more than masks wobble from frame to frame.
_BETTER = 0.1

# Multiplications that OpenBLAS does in the calling thread, and the pixels below which parts of so
# many are slower than a product of PyTorch's, whose threads go to sleep.
_IN_ONE_THREAD, _LEAST_PART = 2 ** 18, 512


@dataclass(frozen=True, eq=False)
class Sightings:
    """
    What some slots show in a frame, at the network's resolution.

    :param slots: (n,) the slots.
    :param shares: (n,) area of each mask as a share of the frame, 0..1.
    :param chances: (n,) mean probability of each mask over its pixels, 0..1.
    :param masks: (n, p) bool, flattened.
    :param size: (height, width) of a mask, p pixels in all.
    """

    slots: np.ndarray
    shares: np.ndarray
    chances: np.ndarray
    masks: np.ndarray
    size: tuple[int, int]

    @staticmethod
    def of(slots: np.ndarray, logits: np.ndarray) -> Sightings:
        """
        Measure masks.

        :param slots: (n,) the slots.
        :param logits: (n, h, w) their mask logits, without padding.
        :returns: the sightings.
        """
        size = (logits.shape[1], logits.shape[2])
        logits = logits.reshape(len(slots), size[0] * size[1])
        masks = logits > 0
        areas = np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)
        chances = torch.from_numpy(logits).sigmoid().numpy() * masks
        sums = chances.sum(axis=1)
        return Sightings(slots, areas / logits.shape[1], sums / np.maximum(areas, 1), masks, size)


@dataclass(frozen=True, eq=False)
class Match:
    """
    How the sightings of a frame go with the tracks.

    :param carried: the index of its sighting for each track that goes on.
    :param ousted: tracks whose slot shows another object now.
    :param new: indices of the sightings that no track has, best first.
    """

    carried: dict[Track, int]
    ousted: list[Track]
    new: list[int]


def match(
    tracks: Sequence[Track], reading: ClassReading, sightings: Sightings, rules: TrackRules,
    elapsed: float,
) -> Match:
    """
    Judge the sightings of a frame.

    :param tracks: that have not ended.
    :param reading: classes of all slots in this frame.
    :param sightings: masks of the slots whose class passed.
    :param rules: thresholds.
    :param elapsed: seconds since the previous frame.
    :returns: who goes on, who lost its slot, and what is new.
    """
    matcher = _Matcher(tracks, reading, sightings, rules, elapsed)
    matcher.stay()
    matcher.change_slots()
    matcher.drop_duplicates()
    matcher.drop_rivals()
    matcher.move()
    return Match(matcher.carried, matcher.ousted, matcher.rest())


def common_pixels(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Count what masks have in common.

    :param a: (n, p) bool.
    :param b: (m, p) bool.
    :returns: (n, m) float32 number of pixels that are in both.
    """
    return _sums(a, b)


def _sums(masks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Add up weights (m, p) over the pixels of masks (n, p), to (n, m) float32."""
    # No product may wake OpenBLAS's threads: they wait for each other (see _TILE_ROWS in
    # upsample.py), and then, at full speed, for more work: 50 ms of the network at the next frame.
    sums = np.zeros((len(masks), len(weights)), dtype=np.float32)
    step = _IN_ONE_THREAD // max(1, sums.size)
    if step < _LEAST_PART:
        many = torch.from_numpy(masks.astype(np.float32))
        return (many @ torch.from_numpy(weights.astype(np.float32)).T).numpy()
    for start in range(0, masks.shape[1], step):
        part = np.s_[:, start:start + step]
        sums += masks[part].astype(np.float32) @ weights[part].astype(np.float32).T
    return sums


def shares_of_union(common: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Give the intersection over union of masks.

    :param common: (n, m) pixels that are in both masks.
    :param a: (n,) pixels of the ones.
    :param b: (m,) pixels of the others.
    :returns: (n, m) shares 0..1; 0 for two empty masks.
    """
    shares: np.ndarray = common / np.maximum(a[:, None] + b[None] - common, 1)
    return shares


def shares_of_smaller(common: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Tell how much of the smaller one of two masks lies in the other.

    :param common: (n, m) pixels that are in both masks.
    :param a: (n,) pixels of the ones.
    :param b: (m,) pixels of the others.
    :returns: (n, m) shares 0..1; 0 where a mask is empty.
    """
    shares: np.ndarray = common / np.maximum(np.minimum(a[:, None], b[None]), 1)
    return shares


def distances(masks: np.ndarray, areas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Measure how far masks are from each other.

    :param masks: (n, p) bool, flattened.
    :param areas: (n,) pixels of each.
    :param size: (height, width) of a mask.
    :returns: (n, n) float32 between their centres, in diagonals of the picture; those of an empty
        mask, which has no centre, are of its upper left corner.
    """
    points = np.indices(size, dtype=np.float32).reshape(2, -1) / np.hypot(*size)
    centres = _sums(masks, points) / np.maximum(areas, 1)[:, None]
    return np.linalg.norm(centres[:, None] - centres[None], axis=2)


class _Matcher:
    """The sightings of one frame while they are judged, step by step."""

    def __init__(self, tracks: Sequence[Track], reading: ClassReading, sightings: Sightings,
                 rules: TrackRules, elapsed: float) -> None:
        slots = sightings.slots
        self.carried: dict[Track, int] = {}
        self.ousted: list[Track] = []
        self._tracks = tracks
        self._rules = rules
        self._slots = slots
        self._shown = (sightings.shares > 0) & (sightings.shares >= rules.min_area)
        self._classes = reading.frame_class[slots].copy()  # of carried ones, the track's class
        self._evidence_class = reading.evidence_class[slots]
        self._wanted = reading.evidence_score[slots] >= 0
        self._evidence = reading.evidence_score[slots] * sightings.chances
        self._kept = self._evidence >= rules.keep_score
        self._scores = reading.frame_score[slots] * sightings.chances
        self._fires = self._scores >= rules.start_score
        n = len(slots)
        known = np.concatenate([sightings.masks, *(track.mask[None] for track in tracks)])
        common = common_pixels(sightings.masks, known)
        areas = np.array([np.count_nonzero(mask) for mask in known], dtype=np.float32)
        self._shared = shares_of_smaller(common[:, :n], areas[:n], areas[:n])
        unions = shares_of_union(common, areas[:n], areas)
        self._union, self._with_last = unions[:, :n], unions[:, n:]
        self._place = {track: j for j, track in enumerate(tracks)}
        self._strides: np.ndarray | None = None
        if rules.mask_parts == 'main':
            unseen_for = np.array([track.lost_for + elapsed for track in tracks])
            self._strides = distances(known, areas, sightings.size)[:n, n:] / (1 + unseen_for)

    def stay(self) -> None:
        """Let tracks go on in their own slots, or lose them to another object."""
        index_of = {int(self._slots[i]): int(i) for i in np.flatnonzero(self._shown)}
        for j, track in enumerate(self._tracks):
            i = -1 if track.slot is None else index_of.get(track.slot, -1)
            if i < 0:
                continue
            if self._shows_another(i, j):
                self.ousted.append(track)
            elif self._wanted[i] and (self._kept[i] or self._fires[i]):
                self.carried[track] = i
                self._classes[i] = self._evidence_class[i]

    def change_slots(self) -> None:
        """Let tracks go over to a free slot that fits them much better than their own."""
        if self._strides is None:
            return
        possible = np.zeros(self._with_last.shape, dtype=bool)
        for track, i in self.carried.items():
            fit = self._with_last[:, self._place[track]]
            possible[:, self._place[track]] = fit >= max(_ONE_PLACE, fit[i] + _BETTER)
        self.carried.update(self._cheapest(
            list(self.carried), self._unowned(self._fires), possible, -self._with_last))

    def drop_duplicates(self) -> None:
        """Of several tracks on one object, let only the one go on that was there before."""
        def precedence(item: tuple[Track, int]) -> tuple[bool, bool, int]:
            track, i = item
            came_from_elsewhere = self._with_last[i, self._place[track]] < self._rules.move_overlap
            return track.state is TrackState.LOST, bool(came_from_elsewhere), track.track_id

        self._drop(sorted(self.carried.items(), key=precedence), self._is_duplicate)

    def drop_rivals(self) -> None:
        """Of tracks in one place, where there can be one only, let the surest go on."""
        if self._strides is None:
            return
        self._drop(
            sorted(self.carried.items(), key=lambda item: -self._evidence[item[1]]),
            self._is_rival)

    def move(self) -> None:
        """Let tracks go on in free slots that show their class where they can be by now."""
        known = [track for track in self._tracks if track.state is not TrackState.NEW]
        for tracks, shown in (
                (self._tracks, self._fires), (known, self._scores >= self._rules.keep_score)):
            self._carry(
                tracks, shown, self._with_last >= self._rules.move_overlap, -self._with_last)
            if self._strides is not None:
                self._carry(tracks, shown, self._strides <= _STEP, self._strides)

    def rest(self) -> list[int]:
        """List what free slots show and no track has, best first, each object once."""
        new: list[int] = []
        for i in sorted(self._free(self._fires), key=lambda i: -self._scores[i]):
            if not self._is_one_of(i, new):
                new.append(i)
        return new

    def _drop(self, ordered: Iterable[tuple[Track, int]],
              is_same: Callable[[int, list[int]], bool]) -> None:
        """Let only those go on that are not the same as one before them."""
        self.carried = {}
        for track, i in ordered:
            if not is_same(i, list(self.carried.values())):
                self.carried[track] = i

    def _shows_another(self, i: int, j: int) -> bool:
        """Tell whether a sighting in the slot of a track is of another object."""
        if self._strides is not None and self._strides[i, j] > _STEP and not self._with_last[i, j]:
            return True
        return bool(self._fires[i] and self._classes[i] != self._tracks[j].class_id
                    and self._with_last[i, j] < _APART)

    def _carry(self, tracks: Sequence[Track], shown: np.ndarray, possible: np.ndarray,
               costs: np.ndarray) -> None:
        """Give free sightings (n) to unseen tracks (m) of their class, cheapest (n, m) first."""
        unseen = [track for track in tracks if track not in self.carried]
        free = self._free(shown) if unseen else []
        self.carried.update(self._cheapest(unseen, free, possible, costs))

    def _cheapest(self, tracks: Sequence[Track], sightings: Sequence[int], possible: np.ndarray,
                  costs: np.ndarray) -> dict[Track, int]:
        """Pair tracks (m) with sightings (n) of their class, cheapest (n, m) first."""
        pairs = [(i, track) for i in sightings for track in tracks
                 if possible[i, self._place[track]] and self._classes[i] == track.class_id]
        found: dict[Track, int] = {}
        for i, track in sorted(pairs, key=lambda pair: costs[pair[0], self._place[pair[1]]]):
            if track not in found and i not in found.values():
                found[track] = i
        return found

    def _unowned(self, shown: np.ndarray) -> list[int]:
        """List sightings (n) that are sure enough, in slots without a track."""
        owned = {track.slot for track in self._tracks if track not in self.ousted}
        return [i for i in np.flatnonzero(self._shown & shown).tolist()
                if int(self._slots[i]) not in owned]

    def _free(self, shown: np.ndarray) -> list[int]:
        """List sightings (n) that are sure enough, in slots without a track, of new things."""
        used = list(self.carried.values())
        return [i for i in self._unowned(shown) if i not in used and not self._is_one_of(i, used)]

    def _is_one_of(self, i: int, others: list[int]) -> bool:
        """Tell whether one of some other sightings is of the same object."""
        return self._is_duplicate(i, others) or self._is_rival(i, others)

    def _is_duplicate(self, i: int, others: list[int]) -> bool:
        return bool(np.any((self._classes[others] == self._classes[i])
                           & (self._shared[i, others] > self._rules.duplicate_overlap)))

    def _is_rival(self, i: int, others: list[int]) -> bool:
        return self._strides is not None and bool(np.any(self._union[i, others] > _ONE_PLACE))
