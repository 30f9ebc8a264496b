"""
The panoptic task (VPS): things with tracks and stuff without, each pixel to one of them at most.

The paper's rule decides about the pixels of each frame (:mod:`.contest`): all slots compete whose
class is sure enough, no-object counting as a class. What comes out as a thing is then a sighting
for the tracks, which live as in the instance task; so an object that another slot has taken over
keeps its id. What comes out as stuff is joined by class.

The class of a slot is read from the mean of its raw class logits: of those of its track, or else
since it began to show what it shows. A slot begins to show a thing, or stuff of another class than
its mean, as soon as a frame alone is sure of it. On the last frame of a clip in which every slot
was one track or stuff throughout, these are the paper's means over the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import time

import numpy as np
import torch
from videomt_ros.network import NetworkConfig

from .contest import share_out, Shares
from .evidence import ClassReading
from .matching import Match, Sightings
from .parts import keep_main_parts
from .regions import cut_out
from .slot_evidence import SlotEvidence
from .tasks import Segmentation, stuff_instance, track_instance, View
from .tracks import label_dtype, largest_value, TrackBook, TrackRules
from .upsample import EMPTY_PATCH, MaskPatch


@dataclass(frozen=True, eq=False)
class _Entries:
    """
    The slots that compete for the pixels of a frame.

    :param slots: (n,) in ascending order.
    :param classes: (n,) what they compete as.
    :param scores: (n,) float32 probability of that.
    :param frame_classes: (Q,) what all slots are by this frame alone; -1 where that is not sure
        enough.
    :param frame_scores: (Q,) float32 probability of that.
    :param begins: (Q,) bool, slots that begin to show something else.
    """

    slots: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    frame_classes: np.ndarray
    frame_scores: np.ndarray
    begins: np.ndarray


class PanopticTask:
    """
    Things, stuff and tracks of one camera.

    Stuff of one class has the same mask value always: the largest ones of the label map belong to
    the classes of stuff, the others to tracks.

    :param config: of the network.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self._class_names = config.class_names
        self._num_slots = config.num_queries
        stuff = [c for c in range(config.num_classes) if c not in config.thing_classes]
        # Half of the values at least are for tracks.
        self._values_for = max(config.num_queries, 2 * len(stuff))
        largest = largest_value(label_dtype(self._values_for))
        self._stuff_values = {c: largest - place for place, c in enumerate(stuff)}
        self._is_thing = np.ones(config.num_classes + 1, dtype=bool)
        self._is_thing[[*stuff, config.num_classes]] = False
        self._book = TrackBook(config.num_queries, largest - len(stuff))
        self._evidence = SlotEvidence(config.num_queries, config.num_classes)

    def reset(self) -> None:
        """End all tracks, which the next frame reports, and forget what the slots have shown."""
        self._book.reset()
        self._evidence.reset()

    def segment(self, view: View, rules: TrackRules) -> Segmentation:
        """
        Judge one frame.

        :param view: what the network says of it.
        :param rules: thresholds and wanted classes; scores are those of the class alone.
        :returns: stuff and tracks, and the milliseconds of the stages 'masks' and 'tracks'.
        :raises FloatingPointError: when mask logits are not numbers; no track has changed then.
        """
        start = time.perf_counter()
        entries = self._enter(view.class_logits, rules)
        logits = view.mask_tensor(entries.slots)  # (n, h, w)
        rows, columns = view.geometry.frame_part((logits.shape[1], logits.shape[2]))
        if rules.mask_parts == 'main':
            of_things = np.flatnonzero(self._is_thing[entries.classes])
            visible = logits[of_things, rows, columns]
            logits[of_things, rows, columns] = torch.from_numpy(keep_main_parts(
                visible.cpu().numpy(), self._book.last_masks(entries.slots[of_things]),
            )).to(logits.device)
        shares = share_out(logits, entries.scores, view.geometry, rules.overlap_threshold)
        matching = time.perf_counter()
        things = [k for k in shares.passed if self._is_thing[entries.classes[k]]]
        masks = logits[things][:, rows, columns] > 0
        sightings = Sightings(
            entries.slots[things], shares.areas[things] / shares.owner.size, np.ones(len(things)),
            masks.flatten(1).cpu().numpy(), (masks.shape[1], masks.shape[2]))
        reading = self._book.read(view.class_logits, rules)
        matched = self._things_of(
            self._book.match(reading, sightings, rules, view.elapsed), entries, reading, sightings)
        stuff = self._stuff(entries, shares.passed, matched)
        owned = self._owned()
        seen = self._book.settle(
            matched, reading, sightings, dict.fromkeys(range(len(things)), 1.0), rules,
            view.stamp, view.elapsed)
        self._evidence.add(view.class_logits, anew=owned | self._owned() | entries.begins)
        cutting = time.perf_counter()
        patches = _cut_out(
            shares, [*map(list, stuff.values()), *([things[i]] for i in seen.values())])
        of_tracks = dict(zip(seen, patches[len(stuff):], strict=True))
        instances = (
            *(stuff_instance(class_id, self._class_names[class_id], max(scores.values()),
                             self._stuff_values[class_id], patch, view)
              for (class_id, scores), patch in zip(stuff.items(), patches, strict=False)),
            *(track_instance(track, self._class_names[track.class_id],
                             of_tracks.get(track, EMPTY_PATCH), view)
              for track in self._book.tracks))
        done = time.perf_counter()
        return Segmentation(instances, {
            'masks': (matching - start + done - cutting) * 1e3,
            'tracks': (cutting - matching) * 1e3}, label_dtype(self._values_for))

    def _enter(self, logits: np.ndarray, rules: TrackRules) -> _Entries:
        """Choose the slots that compete for pixels, and what each of them is."""
        means = self._evidence.mean_with(logits)
        owned = self._owned()
        for track in self._book.tracks:
            if track.slot is not None:
                means[track.slot] = (track.evidence + logits[track.slot]) / (track.frames + 1)
        classes, scores, sure = self._read(means, rules)
        frame_classes, frame_scores, frame_sure = self._read(logits, rules)
        begins = ~owned & frame_sure & (
            self._is_thing[frame_classes] | (classes != frame_classes))
        classes = np.where(begins, frame_classes, classes)
        scores = np.where(begins, frame_scores, scores)
        slots = np.flatnonzero(begins | sure & (owned | ~self._is_thing[classes]))
        return _Entries(slots, classes[slots], scores[slots],
                        np.where(frame_sure, frame_classes, -1), frame_scores, begins)

    def _read(
        self, logits: np.ndarray, rules: TrackRules,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take the best class, no-object being one, its probability, and whether that will do."""
        best = torch.from_numpy(logits).softmax(dim=-1).max(dim=-1)
        scores, classes = best.values.numpy(), best.indices.numpy()
        sure = (classes < len(self._class_names)) & (scores > np.float32(rules.score_threshold))
        if rules.classes is not None:
            sure &= np.isin(classes, list(rules.classes))
        return classes, scores, sure

    def _owned(self) -> np.ndarray:
        """Tell which slots have a track, (Q,) bool."""
        owned = np.zeros(self._num_slots, dtype=bool)
        owned[[track.slot for track in self._book.tracks if track.slot is not None]] = True
        return owned

    def _things_of(
        self, matched: Match, entries: _Entries, reading: ClassReading, sightings: Sightings,
    ) -> Match:
        """Leave out what would make a track of stuff, or of a class that is in doubt."""
        slots = sightings.slots
        carried = {
            track: i for track, i in matched.carried.items()
            if self._is_thing[(track.evidence + reading.logits[slots[i]])[:-1].argmax()]}
        new = [i for i in matched.new if self._is_thing[entries.frame_classes[slots[i]]]]
        return replace(matched, carried=carried, new=new)

    def _stuff(
        self, entries: _Entries, passed: Sequence[int], matched: Match,
    ) -> dict[int, dict[int, float]]:
        """Join stuff by class; gives the scores of the entries that are stuff of each class."""
        found = [(int(entries.classes[k]), k, float(entries.scores[k])) for k in passed]
        for track in matched.ousted:  # its slot has competed as the thing that it is no more
            k = entries.slots.tolist().index(track.slot)
            found.append((int(entries.frame_classes[track.slot]), k,
                          float(entries.frame_scores[track.slot])))
        stuff: dict[int, dict[int, float]] = {}
        for class_id, k, score in sorted(found):
            if class_id in self._stuff_values:
                stuff.setdefault(class_id, {})[k] = score
        return stuff


def _cut_out(shares: Shares, groups: Sequence[Sequence[int]]) -> list[MaskPatch]:
    """Give a patch for each group of masks, which share no pixel."""
    group_of = np.zeros(len(shares.areas) + 1, dtype=np.int16)
    for number, group in enumerate(groups, start=1):
        group_of[group] = number
    labels = group_of[shares.owner]
    return [cut_out(labels == number, shares.chances) for number in range(1, len(groups) + 1)]
