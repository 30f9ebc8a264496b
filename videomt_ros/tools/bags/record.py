"""What is written down of a frame: all that any output is made of, without its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from videomt_ros.perception import FrameResult, Instance, TrackState
from videomt_ros.ros.runs import decode_runs, encode_runs

from .cameras import Frame
from .images import Picture


@dataclass(frozen=True, eq=False)
class Sighting:
    """
    One object in one frame.

    :param track_id: its number; 0 for what is no track.
    :param state: where its track stands.
    :param class_id: index of its class.
    :param class_name: name of its class.
    :param score: 0..1.
    :param box: (x, y, width, height) in pixels; zeros when it is not seen.
    :param area: pixels of its mask.
    :param age: processed frames since the track began.
    :param mask_value: its value in the label image.
    :param first_seen: stamp of the first frame in which it was seen, in nanoseconds.
    :param last_seen: stamp of the latest such frame, in nanoseconds.
    :param runs: (N,) uint32 row-major run lengths of the mask inside the box, see
        :mod:`videomt_ros.ros.runs`; empty when it is not seen.
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
    first_seen: int
    last_seen: int
    runs: np.ndarray

    def box_mask(self) -> np.ndarray:
        """Give the mask inside the box, (height, width) bool."""
        return decode_runs(self.runs, self.box[3], self.box[2])

    def mask(self, height: int, width: int) -> np.ndarray:
        """
        Give the mask in the frame.

        :param height: of the frame.
        :param width: of the frame.
        :returns: (height, width) bool.
        """
        mask = np.zeros((height, width), dtype=bool)
        x, y, box_width, box_height = self.box
        mask[y:y + box_height, x:x + box_width] = self.box_mask()
        return mask


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """
    One frame with its result.

    :param index: among the wanted frames of all cameras.
    :param camera: index of its camera.
    :param time: when its message was recorded, in nanoseconds.
    :param stamp: of its header, in nanoseconds.
    :param frame_id: of its header.
    :param error: why there is no result, in a sentence; None when there is one.
    :param height: rows of the frame.
    :param width: columns of the frame.
    :param epoch: how often the memory of the camera was reset so far.
    :param reset_reason: why it was reset before this frame; None when it was not.
    :param task: that was run.
    :param labels: (H, W) uint8 or uint16 label image.
    :param sightings: of the frame, by track.
    """

    index: int
    camera: int
    time: int
    stamp: int
    frame_id: str
    error: str | None
    height: int
    width: int
    epoch: int
    reset_reason: str | None
    task: str
    labels: np.ndarray
    sightings: tuple[Sighting, ...]

    def result(self, camera: str) -> FrameResult:
        """
        Make a result of it again, as far as it is known, for drawing.

        :param camera: name of the camera.
        :returns: masks are certain (probability 1) in it, and there are no timings.
        """
        return FrameResult(
            camera=camera, stamp=self.stamp / 1e9, height=self.height, width=self.width,
            task=self.task, instances=tuple(self._instance(each) for each in self.sightings),
            epoch=self.epoch, reset_reason=self.reset_reason, skipped=0, dt=None, timings={},
            label_dtype=self.labels.dtype.type)

    def _instance(self, sighting: Sighting) -> Instance:
        return Instance(
            track_id=sighting.track_id, state=sighting.state, class_id=sighting.class_id,
            class_name=sighting.class_name, score=sighting.score, box=sighting.box,
            area=sighting.area, age=sighting.age, mask_value=sighting.mask_value,
            first_seen=sighting.first_seen / 1e9, last_seen=sighting.last_seen / 1e9,
            probabilities=sighting.box_mask().astype(np.uint8) * 255,
            frame_size=(self.height, self.width))


def seconds_on(origin: int, stamp: int) -> float:
    """
    Place a stamp on a camera's time scale, where float64 holds every nanosecond.

    :param origin: the camera's first stamp, in nanoseconds.
    :param stamp: in nanoseconds.
    :returns: seconds since the first.
    """
    return (stamp - origin) / 10 ** 9


def record_of(frame: Frame, picture: Picture, result: FrameResult, origin: int) -> FrameRecord:
    """
    Write down a result.

    :param frame: that it is of.
    :param picture: of the frame.
    :param result: with stamps made by :func:`seconds_on`.
    :param origin: of the camera's time scale.
    :returns: the record.
    """
    def stamp(seconds: float | None) -> int:
        return 0 if seconds is None else origin + round(seconds * 10 ** 9)

    return FrameRecord(
        index=frame.index, camera=frame.camera, time=frame.message.time, stamp=picture.stamp,
        frame_id=picture.frame_id, error=None, height=result.height, width=result.width,
        epoch=result.epoch, reset_reason=result.reset_reason, task=result.task,
        labels=result.label_map,
        sightings=tuple(
            Sighting(
                track_id=each.track_id, state=each.state, class_id=each.class_id,
                class_name=each.class_name, score=float(each.score), box=each.box,
                area=each.area, age=each.age, mask_value=each.mask_value,
                first_seen=stamp(each.first_seen), last_seen=stamp(each.last_seen),
                runs=encode_runs(each.box_mask))
            for each in result.instances))


def broken_record(frame: Frame, error: str) -> FrameRecord:
    """
    Write down that a frame has no result.

    :param frame: the frame.
    :param error: why, in a sentence.
    :returns: the record.
    """
    return FrameRecord(
        index=frame.index, camera=frame.camera, time=frame.message.time, stamp=0, frame_id='',
        error=error, height=0, width=0, epoch=0, reset_reason=None, task='',
        labels=np.zeros((0, 0), np.uint8), sightings=())
