"""What a task is: the part between the network's output for a camera and its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from videomt_ros.network import VideoMTOutput

from .maps import Maps
from .resize import FrameGeometry
from .result import Instance, TrackState
from .tracks import Track, TrackRules
from .upsample import MaskPatch


@dataclass(frozen=True, eq=False)
class View:
    """
    What the network says of one frame of one camera.

    :param output: of the batch in which the frame went.
    :param row: the frame's row in it.
    :param class_logits: (Q, K+1) float32 raw class logits of that row, all finite.
    :param geometry: sizes of the frame.
    :param stamp: of the frame, in seconds, or None.
    :param elapsed: seconds since the camera's previous frame; 0 for the first after a reset.
    """

    output: VideoMTOutput
    row: int
    class_logits: np.ndarray
    geometry: FrameGeometry
    stamp: float | None
    elapsed: float

    def mask_logits(self, slots: np.ndarray) -> np.ndarray:
        """
        Have the masks of some slots made.

        :param slots: (n,) query slots; their number is what this costs.
        :returns: (n, h, w) float32 at the network's resolution.
        :raises FloatingPointError: when there are other values than finite ones among them.
        """
        logits: np.ndarray = self.mask_tensor(slots).cpu().numpy()
        return logits

    def mask_tensor(self, slots: np.ndarray) -> torch.Tensor:
        """
        Have the masks of some slots made, and left on the device of the network.

        :param slots: as for :meth:`mask_logits`.
        :returns: as :meth:`mask_logits` does.
        :raises FloatingPointError: as :meth:`mask_logits` does.
        """
        if not len(slots):
            features = self.output.mask_features
            return features.new_zeros((0, *features.shape[2:]), dtype=torch.float32)
        logits = self.output.mask_logits_of(self.row, slots.tolist())
        if not all(extreme.isfinite() for extreme in logits.aminmax()):  # NaN is both extremes
            raise FloatingPointError('the network gave mask logits that are not finite numbers')
        return logits


@dataclass(frozen=True, eq=False)
class Segmentation:
    """
    What a task makes of a frame.

    :param instances: in the order of their track ids, what is no track first, by class.
    :param timings: milliseconds by stage.
    :param label_dtype: of the label map: uint8, or uint16 where that has too few values.
    :param maps: label, class and confidence map, where the task makes them; else they are painted
        from the instances.
    """

    instances: tuple[Instance, ...]
    timings: Mapping[str, float]
    label_dtype: type[np.unsignedinteger]
    maps: Maps | None = None


def track_instance(track: Track, class_name: str, patch: MaskPatch, view: View) -> Instance:
    """
    Report a track.

    :param track: after the frame.
    :param class_name: of its class.
    :param patch: its mask, empty where it is not seen.
    :param view: of the frame.
    :returns: the instance.
    """
    return Instance(
        track_id=track.track_id, state=track.state, class_id=track.class_id, class_name=class_name,
        score=track.score, box=patch.box, area=patch.area, age=track.age,
        mask_value=track.mask_value, first_seen=track.first_seen, last_seen=track.last_seen,
        probabilities=patch.probabilities, frame_size=view.geometry.source)


def stuff_instance(
    class_id: int, class_name: str, score: float, mask_value: int, patch: MaskPatch, view: View,
) -> Instance:
    """
    Report what is seen of a class without objects, which has no track.

    :param class_id: of the class.
    :param class_name: of the class.
    :param score: 0..1.
    :param mask_value: of the class.
    :param patch: its mask.
    :param view: of the frame.
    :returns: the instance.
    """
    return Instance(
        track_id=0, state=TrackState.TRACKED, class_id=class_id, class_name=class_name,
        score=score, box=patch.box, area=patch.area, age=1, mask_value=mask_value,
        first_seen=view.stamp, last_seen=view.stamp, probabilities=patch.probabilities,
        frame_size=view.geometry.source)


class Task(Protocol):
    """A task with its memory of one camera; ids go on counting over resets."""

    def reset(self) -> None:
        """Forget what was seen."""

    def segment(self, view: View, rules: TrackRules) -> Segmentation:
        """Judge one frame."""
