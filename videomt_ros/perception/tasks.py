"""What a task is: the part between the network's output for a camera and its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from videomt_ros.network import VideoMTOutput

from .resize import FrameGeometry
from .result import Instance
from .tracks import TrackRules


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
        if not len(slots):
            return np.zeros((0, *self.output.mask_features.shape[2:]), dtype=np.float32)
        logits = self.output.mask_logits_of(self.row, slots.tolist()).cpu().numpy()
        if not np.isfinite(logits).all():
            raise FloatingPointError('the network gave mask logits that are not finite numbers')
        return logits


@dataclass(frozen=True, eq=False)
class Segmentation:
    """
    What a task makes of a frame.

    :param instances: in the order of their track ids.
    :param timings: milliseconds by stage.
    """

    instances: tuple[Instance, ...]
    timings: Mapping[str, float]


class Task(Protocol):
    """A task with its memory of one camera; ids go on counting over resets."""

    def reset(self) -> None:
        """Forget what was seen."""

    def segment(self, view: View, rules: TrackRules) -> Segmentation:
        """Judge one frame."""
