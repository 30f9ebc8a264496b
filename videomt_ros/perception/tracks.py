"""
When a track begins, when it is confirmed, when it is lost, and when it ends.

The network carries Q query slots from frame to frame, and an object usually stays in one slot. A
slot is no identity, though: it is used again for another object, objects change slots, and two
slots may fire on one object. :mod:`videomt_ros.perception.matching` says which track goes on in
which slot; the life of a track is told here:

- What a slot shows has a score: the probability of its class times the mean probability of its
  mask. A mask smaller than ``min_area`` shows nothing, whatever the class: trained queries keep
  the class of a hidden object, with an empty mask.
- A free slot begins a track when its score in this frame is at least ``start_score``. The track is
  NEW until it was seen ``confirm_frames`` times, then TRACKED.
- It is seen while its score, with the class read from the mean of the raw class logits since it
  began, is at least ``keep_score``, or the score of this frame alone at least ``start_score``.
- Confirmed and not seen in its own slot, it can go on in a free one of its class whose
  score in this frame is at least ``keep_score``.
- Not seen, a NEW track ENDs at once, any other is LOST. Seen again, it is TRACKED as before. When
  it has not been seen for more than ``max_lost`` seconds, it ENDs.
- Tracks of a class that is no longer wanted END, and so do all when the memory is reset.

A track is reported as ENDED once. After that its mask value can be given again, its id never.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from videomt_ros.network.config import MASK_PARTS

from .evidence import classify, ClassReading, read_classes
from .matching import Match, match, Sightings
from .result import TrackState

# Time steps of 0.1 s add up to a little more or less than their sum.
_TIME_TOLERANCE = 1e-6


@dataclass(frozen=True)
class TrackRules:
    """
    The numbers that decide about tracks.

    :param start_score: score with which a free slot begins a track, 0..1.
    :param keep_score: score with which a track goes on, 0..start_score.
    :param confirm_frames: frames in which a track is seen until it is TRACKED; 1 or more.
    :param max_lost: seconds that a LOST track waits for its object, 0 or more.
    :param min_area: smallest mask that counts as seen, as a share 0..1 of the frame's pixels.
    :param duplicate_overlap: two masks of one class are one object where they share more than
        this part, 0..1, of the smaller one: what is seen of two objects has nothing in common, and
        a slot often shows a part of what another shows whole. 1 keeps all masks.
    :param mask_parts: 'all' parts of a mask are the object, or the 'main' one is, as
        :mod:`videomt_ros.perception.parts` finds it, and does not leap to another place nor
        share its own, nor stays in a slot where another shows it much better, as
        :mod:`videomt_ros.perception.matching` says; 'semantic' has no such parts.
    :param move_overlap: intersection over union, 0..1, with a track's last mask from which on
        another slot can carry the track on.
    :param score_threshold: in 'panoptic', class probability 0..1 that a slot must exceed to get
        any pixel, as a thing or as stuff.
    :param overlap_threshold: in 'panoptic', share 0..1 of its own mask that a slot must win.
    :param classes: indices of the wanted classes; None for all.
    :raises ValueError: naming the value that is out of its range.
    """

    start_score: float = 0.5
    keep_score: float = 0.3
    confirm_frames: int = 3
    max_lost: float = 3.0
    min_area: float = 1e-4
    duplicate_overlap: float = 0.5
    mask_parts: str = 'all'
    move_overlap: float = 0.3
    score_threshold: float = 0.8
    overlap_threshold: float = 0.8
    classes: frozenset[int] | None = None

    def __post_init__(self) -> None:
        for name in ('start_score', 'keep_score', 'min_area', 'duplicate_overlap', 'move_overlap',
                     'score_threshold', 'overlap_threshold'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}: expected 0 to 1')
        if self.mask_parts not in MASK_PARTS:
            raise ValueError(f'mask_parts is {self.mask_parts!r}: expected one of {MASK_PARTS}')
        if self.keep_score > self.start_score:
            raise ValueError(
                f'keep_score is {self.keep_score}: expected at most start_score, which is '
                f'{self.start_score}')
        if self.confirm_frames < 1:
            raise ValueError(f'confirm_frames is {self.confirm_frames}: expected 1 or more')
        if not self.max_lost >= 0:
            raise ValueError(f'max_lost is {self.max_lost}: expected 0 seconds or more')


@dataclass(eq=False)
class Track:
    """
    One object over time.

    :param track_id: 1 and up.
    :param mask_value: its value in label maps.
    :param slot: the query slot that carries it; None when another object has taken the slot.
    :param first_seen: stamp in seconds of its first frame; None without stamps.
    :param evidence: (K+1,) float64 sum of its raw class logits.
    :param mask: (p,) bool, its last mask at the network's resolution, flattened.
    :param frames: number of frames in the evidence.
    :param state: where it stands.
    :param class_id: its class when it was last seen.
    :param score: its score when it was last seen, 0..1.
    :param last_seen: stamp in seconds of the latest frame in which it was seen.
    :param age: processed frames since it began.
    :param times_seen: frames in which it was seen.
    :param lost_for: seconds since it was last seen.
    """

    track_id: int
    mask_value: int
    slot: int | None
    first_seen: float | None
    evidence: np.ndarray
    mask: np.ndarray
    frames: int = 0
    state: TrackState = TrackState.NEW
    class_id: int = -1
    score: float = 0.0
    last_seen: float | None = None
    age: int = 0
    times_seen: int = 0
    lost_for: float = 0.0


def label_dtype(num_slots: int) -> type[np.uint8] | type[np.uint16]:
    """
    Choose the dtype of label maps.

    :param num_slots: query slots of the network.
    :returns: uint8, or uint16 for over 254 slots; the largest value is kept free.
    """
    return np.uint8 if num_slots <= 254 else np.uint16


def largest_value(dtype: type[np.unsignedinteger]) -> int:
    """
    Give the largest value that label maps contain.

    :param dtype: of the label map.
    :returns: one less than the dtype holds.
    """
    return int(np.iinfo(dtype).max) - 1


class TrackBook:
    """
    The tracks of one camera.

    :param num_slots: query slots Q of the network.
    :param num_values: mask values that tracks can have, 1 and up; None for all of a label map.
    """

    def __init__(self, num_slots: int, num_values: int | None = None) -> None:
        self._tracks: list[Track] = []
        self._ended: list[Track] = []
        self._reported = False  # whether a frame was reported that contains self._ended
        self._next_id = 1
        # Given in turn, so that a value does not come back at once on another object.
        if num_values is None:
            num_values = largest_value(label_dtype(num_slots))
        self._free_values = deque(range(1, num_values + 1))

    def reset(self) -> None:
        """End all tracks; the next frame reports it. Ids go on counting."""
        self._forget_reported()
        for track in self._tracks:
            self._end(track)

    def read(self, logits: np.ndarray, rules: TrackRules) -> ClassReading:
        """
        Read the classes of the slots.

        :param logits: (Q, K+1) raw class logits of this frame, last column = no object.
        :param rules: wanted classes.
        :returns: the reading.
        """
        sums = {track.slot: (track.evidence, track.frames)
                for track in self._tracks if track.slot is not None}
        return read_classes(logits, sums, rules.classes)

    def candidates(self, reading: ClassReading, rules: TrackRules) -> np.ndarray:
        """
        List the slots that may carry or begin a track: those of which masks are worth making.

        Without a track of its own, a slot may carry one on that is confirmed and of its class.

        :param reading: of this frame.
        :param rules: thresholds.
        :returns: (n,) slots in ascending order.
        """
        passing = reading.frame_score >= rules.start_score
        known = [track.class_id for track in self._tracks if track.state is not TrackState.NEW]
        passing |= (reading.frame_score >= rules.keep_score) & np.isin(reading.frame_class, known)
        owned = [track.slot for track in self._tracks if track.slot is not None]
        passing[owned] |= reading.evidence_score[owned] >= rules.keep_score
        return np.flatnonzero(passing)

    def last_masks(self, slots: np.ndarray) -> list[np.ndarray | None]:
        """
        Tell where the tracks of some slots were last seen.

        :param slots: (n,) query slots.
        :returns: (p,) bool masks at the network's resolution; None for a slot without a track.
        """
        masks = {track.slot: track.mask for track in self._tracks}
        return [masks.get(slot) for slot in slots.tolist()]

    def match(
        self, reading: ClassReading, sightings: Sightings, rules: TrackRules, elapsed: float,
    ) -> Match:
        """
        Begin a frame: end what is overdue, and say which masks are worth bringing to the source.

        :param reading: of this frame, by :meth:`read`.
        :param sightings: what the candidates show.
        :param rules: thresholds.
        :param elapsed: seconds since the previous frame.
        :returns: tracks and sightings that belong together, and new ones, for :meth:`settle`.
        """
        self._forget_reported()
        self._reported = True
        for track in list(self._tracks):
            unwanted = rules.classes is not None and track.class_id not in rules.classes
            overdue = track.lost_for + elapsed > rules.max_lost + _TIME_TOLERANCE
            if unwanted or (track.state is TrackState.LOST and overdue):
                self._end(track)
        return match(self._tracks, reading, sightings, rules, elapsed)

    def settle(
        self, matched: Match, reading: ClassReading, sightings: Sightings,
        chances: Mapping[int, float], rules: TrackRules, stamp: float | None, elapsed: float,
    ) -> dict[Track, int]:
        """
        End a frame; :attr:`tracks` has the outcome.

        :param matched: by :meth:`match`, of the same reading, sightings, rules and elapsed.
        :param reading: of this frame.
        :param sightings: of this frame.
        :param chances: mean probability 0..1 of the mask at the source, by index of the sighting;
            what is not in it has turned out to have no pixel there, and is not seen.
        :param rules: thresholds.
        :param stamp: of the frame, in seconds, or None.
        :param elapsed: seconds since the previous frame.
        :returns: for each track that is seen, the index of its sighting.
        """
        for track in matched.ousted:
            track.slot = None
        seen = {track: index for track, index in matched.carried.items() if index in chances}
        for track, index in seen.items():
            track.slot = int(sightings.slots[index])
        # When every mask value is in use, an object waits until a track ends.
        new = [index for index in matched.new if index in chances][:len(self._free_values)]
        seen.update((self._begin(index, sightings, reading, stamp), index) for index in new)
        for track in self._tracks:
            track.age += 1
            if track.slot is not None:
                track.evidence += reading.logits[track.slot]
                track.frames += 1
        self._see(seen, sightings, chances, rules, stamp)
        self._miss([track for track in self._tracks if track not in seen], rules, elapsed)
        return seen

    @property
    def tracks(self) -> list[Track]:
        """Give the tracks that the latest frame has to report, by id; an ENDED one only once."""
        return sorted(self._tracks + self._ended, key=lambda track: track.track_id)

    def _begin(self, index: int, sightings: Sightings, reading: ClassReading,
               stamp: float | None) -> Track:
        track = Track(
            self._next_id, self._free_values.popleft(), int(sightings.slots[index]), stamp,
            evidence=np.zeros(reading.logits.shape[1]), mask=sightings.masks[index])
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _see(self, seen: dict[Track, int], sightings: Sightings, chances: Mapping[int, float],
             rules: TrackRules, stamp: float | None) -> None:
        if not seen:
            return
        means = np.stack([track.evidence / track.frames for track in seen])
        for (track, index), class_id, score in zip(
                seen.items(), *classify(means), strict=True):
            track.class_id = int(class_id)
            track.score = float(score * chances[index])
            track.mask = sightings.masks[index]
            track.last_seen = stamp
            track.lost_for = 0.0
            track.times_seen += 1
            if track.state is not TrackState.NEW or track.times_seen >= rules.confirm_frames:
                track.state = TrackState.TRACKED

    def _miss(self, unseen: list[Track], rules: TrackRules, elapsed: float) -> None:
        for track in unseen:
            track.lost_for += elapsed
            overdue = track.lost_for > rules.max_lost + _TIME_TOLERANCE
            if track.state is TrackState.NEW or overdue:
                self._end(track)
            else:
                track.state = TrackState.LOST

    def _end(self, track: Track) -> None:
        track.state = TrackState.ENDED
        track.slot = None
        self._tracks = [other for other in self._tracks if other is not track]
        self._ended.append(track)

    def _forget_reported(self) -> None:
        if self._reported:
            self._free_values.extend(track.mask_value for track in self._ended)
            self._ended.clear()
            self._reported = False
