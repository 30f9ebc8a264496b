"""What comes out for one frame: its instances, and the maps that are painted from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from .maps import classes_of, Maps, paint


class TrackState(IntEnum):
    """Where a track stands in its life; the values are those of ``msg/Track.msg``."""

    NEW = 1
    TRACKED = 2
    LOST = 3
    ENDED = 4


@dataclass(frozen=True, eq=False)
class Instance:
    """
    One object in one frame, or all that is seen there of one class without objects (stuff).

    Stuff has no track: each frame tells of it by itself. It is TRACKED, its age is 1, and it was
    first and last seen in the frame.

    :param track_id: its number, 1 and up, never given twice to the objects of one camera; 0 for
        stuff.
    :param state: where its track stands; LOST and ENDED ones have an empty mask.
    :param class_id: index of its class.
    :param class_name: name of its class.
    :param score: 0..1, of a LOST or ENDED track that with which it was last seen. In 'instance'
        the probability of the class times the mask's mean probability over its pixels; in
        'panoptic' the probability of the class; in 'semantic' the mean of the pixels' confidence.
    :param box: (x, y, width, height) of the mask in pixels of the source frame; zeros when empty.
    :param area: pixels of the mask in the source frame.
    :param age: processed frames since the track began, 1 in its first.
    :param mask_value: its value in the label map, 1 and up, the same for the whole track, and
        always the same for stuff of one class.
    :param first_seen: stamp in seconds of the frame in which the track began; None without stamps.
    :param last_seen: stamp in seconds of the latest frame with a mask; None without stamps.
    :param probabilities: (height, width) uint8 of the box: 0 outside the mask, inside it the
        pixel's probability, 128..255 for 0.5..1; in 'semantic' the pixel's confidence, 1..255.
    :param frame_size: (H, W) of the source frame.
    """

    track_id: int
    state: TrackState
    class_id: int
    class_name: str
    score: float
    box: tuple[int, int, int, int]
    area: int
    age: int
    mask_value: int
    first_seen: float | None
    last_seen: float | None
    probabilities: np.ndarray
    frame_size: tuple[int, int]

    @cached_property
    def box_mask(self) -> np.ndarray:
        """Give the mask inside its box, (height, width) bool."""
        return self.probabilities > 0

    @cached_property
    def mask(self) -> np.ndarray:
        """Give the mask in the source frame, (H, W) bool."""
        mask = np.zeros(self.frame_size, dtype=bool)
        x, y, width, height = self.box
        mask[y:y + height, x:x + width] = self.box_mask
        return mask


@dataclass(frozen=True, eq=False)
class FrameResult:
    """
    Everything that is known of one frame of one camera.

    The maps are painted when they are first read. Where masks overlap, which they do in
    'instance' alone, a pixel belongs to that with the highest score times probability of the
    pixel.

    :param camera: name of the camera.
    :param stamp: stamp of the frame in seconds; None when it had none.
    :param height: rows H of the source frame.
    :param width: columns W of the source frame.
    :param task: that was run: 'instance', 'panoptic' or 'semantic'.
    :param instances: stuff (in 'semantic' every class is stuff) by class, then the seen, lost and
        just ended tracks by id.
    :param epoch: how often the memory of this camera was reset so far.
    :param reset_reason: why it was reset before this frame, in words; None when it was not.
    :param skipped: frames of the camera that were dropped since the previous result.
    :param dt: seconds since the previous frame; None for the first after a reset, without stamps.
    :param timings: milliseconds a stage: 'prepare' (resize, normalise), 'network' (of the whole
        batch), 'masks' (class test, mask products, upsampling), 'tracks' where there are any, and
        'total', their sum.
    :param label_dtype: uint8, or uint16 where the network has over 254 query slots.
    :param painted: the maps, where they are more than what the instances tell.
    """

    camera: str
    stamp: float | None
    height: int
    width: int
    task: str
    instances: tuple[Instance, ...]
    epoch: int
    reset_reason: str | None
    skipped: int
    dt: float | None
    timings: Mapping[str, float]
    label_dtype: type[np.unsignedinteger]
    painted: Maps | None = None

    @cached_property
    def _painted(self) -> tuple[np.ndarray, np.ndarray]:
        if self.painted is not None:
            return self.painted.labels, self.painted.confidence
        return paint(self.instances, (self.height, self.width), self.label_dtype)

    @property
    def label_map(self) -> np.ndarray:
        """Give (H, W) uint8 or uint16: 0 for nothing, else the mask_value of an instance."""
        return self._painted[0]

    @cached_property
    def class_map(self) -> np.ndarray:
        """Give (H, W) uint8: the class index of each pixel, 255 where nothing is."""
        if self.painted is not None:
            return self.painted.classes
        return classes_of(self.label_map, self.instances)

    @property
    def confidence_map(self) -> np.ndarray:
        """
        Give (H, W) uint8: how sure the class of each pixel is, 0 for nothing.

        255 times the instance's score times the pixel's probability; in 'semantic' 255 times the
        sum over all slots of class probability times mask probability, 1 at most.
        """
        return self._painted[1]
