"""A camera whose slots are written down frame by frame, for tests of tracks."""

import numpy as np
from videomt_ros.perception.matching import Sightings
from videomt_ros.perception.result import TrackState
from videomt_ros.perception.tracks import TrackBook, TrackRules

NEW, TRACKED, LOST, ENDED = TrackState
PERSON, DOG = 0, 1
GRID = 20  # rows and columns of its masks
HERE, THERE = (2, 2, 6, 6), (12, 12, 6, 6)  # x, y, width, height


class Camera:
    """Feeds a book with frames a tenth of a second apart."""

    def __init__(self, num_slots=4, **rules):
        self.rules = TrackRules(**{'confirm_frames': 2, 'max_lost': 1.0, 'min_area': 0, **rules})
        self.book = TrackBook(num_slots)
        self.num_slots = num_slots
        self.time = 0.0
        self.logits = []

    def frame(self, slots=None, elapsed=0.1, vanished=()):
        """
        Judge a frame.

        :param slots: dict from slot to (class, box) or (class, box, probability of the class); a
            class of None is no object, a box of None an empty mask. Other slots are silent.
        :param vanished: slots whose masks have no pixel at the source.
        :returns: dict from track id to a copy of what there is to report.
        """
        probabilities = np.full((self.num_slots, 3), (0.01, 0.01, 0.98))
        masks = np.full((self.num_slots, GRID, GRID), -4.0)
        for slot, (class_id, box, *score) in (slots or {}).items():
            if class_id is not None:
                high = score[0] if score else 0.95
                probabilities[slot] = (1 - high) / 2
                probabilities[slot, class_id] = high
            if box:
                x, y, width, height = box
                masks[slot, y:y + height, x:x + width] = 4
        self.time += elapsed
        logits = np.log(probabilities)
        self.logits.append(logits)
        reading = self.book.read(logits, self.rules)
        self.candidates = self.book.candidates(reading, self.rules)
        sightings = Sightings.of(self.candidates, masks[self.candidates])
        matched = self.book.match(reading, sightings, self.rules, elapsed)
        chances = {i: chance for i, chance in enumerate(sightings.chances)
                   if self.candidates[i] not in vanished}
        self.seen = self.book.settle(
            matched, reading, sightings, chances, self.rules, self.time, elapsed)
        return {track.track_id: (track.state, track.slot) for track in self.book.tracks}

    def frames(self, count, slots=None):
        for _ in range(count):
            report = self.frame(slots)
        return report

    def track(self, track_id):
        return next(each for each in self.book.tracks if each.track_id == track_id)
