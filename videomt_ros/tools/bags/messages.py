"""Results as serialised messages, with the definitions that make them readable for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
import sys
from typing import Any

import numpy as np
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore
from videomt_ros.bag_qos import offered
from videomt_ros.ros.lifting import NOWHERE, Placement
from videomt_ros.share import share_directory

from .record import FrameRecord, Sighting

TRACKS, MASK = 'videomt_ros/msg/TrackArray', 'videomt_ros/msg/SegmentationMask'
OFFERED = offered(10)


@cache
def typestore() -> Typestore:
    """
    Give the message types: those of ROS, which our messages contain, and our own.

    :returns: the types; read from the texts in ``msg/``, so that no ROS is needed.
    """
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict[str, Any] = {}
    for path in sorted((share_directory() / 'msg').glob('*.msg')):
        types.update(get_types_from_msg(path.read_text('utf8'), f'videomt_ros/msg/{path.stem}'))
    store.register(types)
    return store


def tracks_message(
    record: FrameRecord, placements: Mapping[int, Placement] = NOWHERE,
) -> bytes:
    """
    Make the TrackArray of a frame, with the runs of its masks.

    :param record: of the frame.
    :param placements: where the objects are, by track id; those missing have no position.
    :returns: the serialised message.
    """
    return _serialise(TRACKS, _new(
        TRACKS, header=header_of(record), epoch=record.epoch, skipped=0, height=record.height,
        width=record.width,
        tracks=[_track(each, placements.get(each.track_id))
                for each in record.sightings if each.track_id]))


def mask_message(record: FrameRecord) -> bytes:
    """
    Make the SegmentationMask of a frame.

    :param record: of the frame.
    :returns: the serialised message.
    """
    header = header_of(record)
    labels = np.ascontiguousarray(record.labels)
    return _serialise(MASK, _new(
        MASK, header=header, epoch=record.epoch, task=record.task,
        labels=_new(
            'sensor_msgs/msg/Image', header=header, height=record.height, width=record.width,
            encoding='mono8' if labels.itemsize == 1 else 'mono16',
            is_bigendian=int(sys.byteorder == 'big'), step=record.width * labels.itemsize,
            data=labels.reshape(-1).view(np.uint8)),
        segments=[
            _new('videomt_ros/msg/Segment', mask_value=each.mask_value, track_id=each.track_id,
                 class_id=each.class_id, class_name=each.class_name, score=each.score)
            for each in record.sightings if each.area]))


def header_of(record: FrameRecord) -> Any:
    """
    Give the header of a frame's image.

    :param record: of the frame.
    :returns: a std_msgs/Header.
    """
    return _new('std_msgs/msg/Header', stamp=_time(record.stamp), frame_id=record.frame_id)


def _track(sighting: Sighting, placement: Placement | None) -> Any:
    x, y, width, height = sighting.box
    position, size = (
        (placement.position, placement.size) if placement is not None
        else (np.zeros(3), np.zeros(3)))
    return _new(
        'videomt_ros/msg/Track', track_id=sighting.track_id, state=int(sighting.state),
        class_id=sighting.class_id, class_name=sighting.class_name, score=sighting.score,
        # A value without pixels may be another's already; the legend must not name it.
        mask_value=sighting.mask_value if sighting.area else 0, age=sighting.age,
        first_seen=_time(sighting.first_seen), last_seen=_time(sighting.last_seen),
        box=_new('sensor_msgs/msg/RegionOfInterest', x_offset=x, y_offset=y, width=width,
                 height=height, do_rectify=False),
        area=sighting.area, mask_counts=sighting.runs.astype(np.uint32),
        has_position=placement is not None,
        position=_new('geometry_msgs/msg/Point', **_xyz(position)),
        size=_new('geometry_msgs/msg/Vector3', **_xyz(size)))


def _xyz(values: np.ndarray) -> dict[str, float]:
    return dict(zip('xyz', map(float, values), strict=True))


def _time(nanoseconds: int) -> Any:
    seconds, rest = divmod(nanoseconds, 10 ** 9)
    return _new('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest)


def _new(kind: str, **fields: Any) -> Any:
    return typestore().types[kind](**fields)


def _serialise(kind: str, message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, kind))
