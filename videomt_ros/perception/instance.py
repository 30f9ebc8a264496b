"""
The instance task (VIS): objects with overlapping masks, tracked over time.

The order keeps the cost at what is seen: the classes of all slots first, then the masks of those
that pass, at the network's resolution, and in source pixels only those of the tracks that go on or
begin. Scores are those of Hugging Face's ``post_process_instance_segmentation``: the probability
of the best class times the mean probability of the mask's pixels.
"""

from __future__ import annotations

from functools import lru_cache
import time

from videomt_ros.network import NetworkConfig

from .matching import Sightings
from .parts import keep_main_parts
from .tasks import Segmentation, track_instance, View
from .tracks import label_dtype, TrackBook, TrackRules
from .upsample import EMPTY_PATCH, MaskUpsampler

# Of a camera of one size; building one takes milliseconds.
_upsampler = lru_cache(maxsize=64)(MaskUpsampler)


class InstanceTask:
    """
    Instances and tracks of one camera.

    :param config: of the network.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self._class_names = config.class_names
        self._num_slots = config.num_queries
        self._book = TrackBook(config.num_queries)

    def reset(self) -> None:
        """End all tracks; the next frame reports it."""
        self._book.reset()

    def segment(self, view: View, rules: TrackRules) -> Segmentation:
        """
        Judge one frame.

        :param view: what the network says of it.
        :param rules: thresholds and wanted classes.
        :returns: the instances, and the milliseconds of the stages 'masks' and 'tracks'.
        :raises FloatingPointError: when mask logits are not numbers; no track has changed then.
        """
        start = time.perf_counter()
        reading = self._book.read(view.class_logits, rules)
        slots = self._book.candidates(reading, rules)
        logits = view.mask_logits(slots)  # (n, h, w)
        rows, columns = view.geometry.frame_part(logits.shape[1:])
        visible = logits[:, rows, columns]
        if rules.mask_parts == 'main':
            visible[...] = keep_main_parts(visible, self._book.last_masks(slots))
        sightings = Sightings.of(slots, visible)
        matching = time.perf_counter()
        matched = self._book.match(reading, sightings, rules, view.elapsed)
        upsampling = time.perf_counter()
        live = [*matched.carried.values(), *matched.new]
        upsampler = _upsampler(view.geometry, logits.shape[1:])
        patches = dict(zip(live, upsampler.patches(logits[live]), strict=True))
        settling = time.perf_counter()
        chances = {i: patch.mean_probability for i, patch in patches.items() if patch.area}
        seen = self._book.settle(
            matched, reading, sightings, chances, rules, view.stamp, view.elapsed)
        instances = tuple(
            track_instance(
                track, self._class_names[track.class_id],
                patches[seen[track]] if track in seen else EMPTY_PATCH, view)
            for track in self._book.tracks)
        done = time.perf_counter()
        return Segmentation(instances, {
            'masks': (matching - start + settling - upsampling) * 1e3,
            'tracks': (upsampling - matching + done - settling) * 1e3,
        }, label_dtype(self._num_slots))
