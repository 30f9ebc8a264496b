"""
Results as messages, and the decoders that a consumer of the messages needs.

    from videomt_ros.ros.messages import track_mask
    mask = track_mask(track, tracks.height, tracks.width)     # (H, W) bool
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Vector3
import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from videomt_ros.msg import Segment, SegmentationMask, Track, TrackArray
from videomt_ros.ros.images import array_to_image, image_to_labels
from videomt_ros.ros.lifting import NOWHERE, Placement
from videomt_ros.ros.runs import decode_runs, encode_runs
from videomt_ros.ros.stamps import nanoseconds, StampScale

if TYPE_CHECKING:  # who only decodes messages needs no torch
    from videomt_ros.perception import FrameResult, Instance

_BACKGROUND = 0  # mask value
_STUFF = 0  # track id


def tracks_message(result: FrameResult, header: Header, scale: StampScale, mask_runs: bool,
                   placements: Mapping[int, Placement] = NOWHERE) -> TrackArray:
    """
    Make the message of a frame's tracks.

    :param result: of the frame.
    :param header: of the frame's image, shared with the message bit for bit.
    :param scale: that made the result's seconds out of stamps, to turn them back.
    :param mask_runs: fill ``Track.mask_counts``.
    :param placements: where the objects are, by track id; those missing have no position.
    :returns: the message.
    """
    return TrackArray(
        header=header, epoch=result.epoch, skipped=result.skipped, height=result.height,
        width=result.width,
        tracks=[_track_message(instance, scale, mask_runs, placements.get(instance.track_id))
                for instance in result.instances if instance.track_id != _STUFF])


def _track_message(instance: Instance, scale: StampScale, mask_runs: bool,
                   placement: Placement | None) -> Track:
    """
    Make the message of one track.

    :param instance: the track in its frame.
    :param scale: for the stamps of its first and last sight.
    :param mask_runs: fill ``mask_counts``.
    :param placement: of the object; None where it is unknown.
    :returns: the message.
    """
    x, y, width, height = instance.box
    track = Track(
        track_id=instance.track_id, state=int(instance.state), class_id=instance.class_id,
        class_name=instance.class_name, score=float(instance.score),
        # A value without pixels may be another's already; the legend must not name it.
        mask_value=instance.mask_value if instance.area else _BACKGROUND, age=instance.age,
        first_seen=_time(instance.first_seen, scale), last_seen=_time(instance.last_seen, scale),
        box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height),
        area=instance.area)
    if mask_runs and instance.area:
        runs = encode_runs(instance.box_mask)
        track.mask_counts.frombytes(runs.view(np.uint8))
    if placement is not None:
        track.has_position = True
        track.position, track.size = point(placement.position), vector(placement.size)
    return track


def point(values: np.ndarray) -> Point:
    """
    Make a point of an array.

    :param values: (3,) metres.
    :returns: the point.
    """
    return Point(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def vector(values: np.ndarray) -> Vector3:
    """
    Make a vector of an array.

    :param values: (3,) metres.
    :returns: the vector.
    """
    return Vector3(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def _time(seconds: float | None, scale: StampScale) -> Time:
    """
    Turn the seconds of a result back into a stamp.

    :param seconds: None when the frames had no stamps.
    :param scale: that made them.
    :returns: the stamp, zero for None.
    """
    return Time() if seconds is None else scale.stamp(seconds)


def mask_message(result: FrameResult, header: Header) -> SegmentationMask:
    """
    Make the message of a frame's label image and its legend.

    :param result: of the frame.
    :param header: of the frame's image, shared with the message bit for bit.
    :returns: the message.
    """
    return SegmentationMask(
        header=header, epoch=result.epoch, task=result.task,
        labels=array_to_image(result.label_map, header),
        segments=[
            Segment(mask_value=instance.mask_value, track_id=instance.track_id,
                    class_id=instance.class_id, class_name=instance.class_name,
                    score=float(instance.score))
            for instance in result.instances if instance.area])


def track_mask(track: Track, height: int, width: int) -> np.ndarray:
    """
    Decode the mask of a track.

    :param track: from a node with the parameter ``publish_mask_runs``.
    :param height: ``TrackArray.height``.
    :param width: ``TrackArray.width``.
    :returns: (height, width) bool, all False while the object is not seen.
    :raises ValueError: the message carries no runs, or its box or runs do not fit.
    """
    mask = np.zeros((height, width), bool)
    if track.area == 0:
        return mask
    if not track.mask_counts:
        raise ValueError(f'track {track.track_id} carries no mask runs; expected them from a '
                         'node with the parameter publish_mask_runs')
    box = track.box
    right, bottom = box.x_offset + box.width, box.y_offset + box.height
    if right > width or bottom > height:
        raise ValueError(f'box of track {track.track_id} ends at column {right} and row {bottom}; '
                         f'expected it inside the image of {width}x{height}')
    mask[box.y_offset:bottom, box.x_offset:right] = decode_runs(
        np.frombuffer(track.mask_counts, np.uint32), box.height, box.width)
    return mask


def label_image(message: SegmentationMask) -> np.ndarray:
    """
    Give the label image of a frame.

    :param message: of the frame.
    :returns: (H, W) uint8 or uint16: 0 nothing, else ``Segment.mask_value``.
    :raises ImageError: the image inside is no label image, or cut.
    """
    return image_to_labels(message.labels)


def segment_mask(message: SegmentationMask, track_id: int) -> np.ndarray:
    """
    Give the pixels of one track from the label image, without those that another track covers.

    :param message: of the frame.
    :param track_id: of the track.
    :returns: (H, W) bool, all False where the legend does not list the track.
    :raises ImageError: the image inside is no label image, or cut.
    """
    labels = label_image(message)
    values = [segment.mask_value for segment in message.segments if segment.track_id == track_id]
    return np.isin(labels, values)


def frame_result(message: TrackArray) -> FrameResult:
    """
    Make a result of a message again, to be drawn or painted as the node does it.

    :param message: of a frame, from a node with the parameter ``publish_mask_runs``.
    :returns: the result; all pixels of a mask are equally probable, and there are no timings.
    :raises ValueError: as :func:`track_mask` does.
    """
    # Here, so that who only decodes messages needs no torch.
    from videomt_ros.perception import FrameResult, Instance, TrackState
    size = (message.height, message.width)
    instances = []
    for track in message.tracks:
        box = (track.box.x_offset, track.box.y_offset, track.box.width, track.box.height)
        inside = track_mask(track, *size)[box[1]:box[1] + box[3], box[0]:box[0] + box[2]]
        instances.append(Instance(
            track_id=track.track_id, state=TrackState(track.state), class_id=track.class_id,
            class_name=track.class_name, score=track.score, box=box, area=track.area,
            age=track.age, mask_value=track.mask_value, first_seen=_seconds(track.first_seen),
            last_seen=_seconds(track.last_seen), probabilities=inside * np.uint8(255),
            frame_size=size))
    large = any(track.mask_value > np.iinfo(np.uint8).max for track in message.tracks)
    return FrameResult(
        camera=message.header.frame_id, stamp=_seconds(message.header.stamp),
        height=message.height, width=message.width, task='instance', instances=tuple(instances),
        epoch=message.epoch, reset_reason=None, skipped=message.skipped, dt=None, timings={},
        label_dtype=np.uint16 if large else np.uint8)


def _seconds(stamp: Time) -> float:
    return nanoseconds(stamp) / 1e9
