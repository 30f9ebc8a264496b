"""Writes a simulated scene as a rosbag2 recording, as a robot would have made it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import islice
import json
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from rosbags.typesys.store import Typestore
from videomt_ros.bag_qos import offered

from .annotations import ANNOTATIONS, document, SceneTracks
from .frame import SimConfig, SimFrame
from .geometry import Array, BODY_FROM_OPTICAL, inverse, quaternion_of, transform
from .world import Simulation

IMAGE_TOPIC = '/camera/image_raw'
COMPRESSED_TOPIC = '/camera/image_raw/compressed'
CAMERA_INFO_TOPIC = '/camera/camera_info'
DEPTH_TOPIC = '/camera/depth/image_raw'
MAP_FRAME, BASE_FRAME = 'map', 'base_link'
CAMERA_FRAME, OPTICAL_FRAME = 'camera_link', 'camera_optical_frame'

# The oldest layout that the writer knows: newer releases read it as well, older ones only it.
_BAG_VERSION: Literal[8] = 8
_START_NS = 1_700_000_000 * 10 ** 9
_LATCHED = offered(1, latched=True)


@cache
def _store() -> Typestore:
    """Give the message types; those used here are the same in every release."""
    return get_typestore(Stores.ROS2_HUMBLE)


def _new(name: str, **fields: Any) -> Any:
    return _store().types[name](**fields)


def _header(stamp_ns: int, frame: str) -> Any:
    seconds, rest = divmod(stamp_ns, 10 ** 9)
    return _new('std_msgs/msg/Header', frame_id=frame,
                stamp=_new('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest))


def _image(stamp_ns: int, picture: NDArray[np.uint8] | NDArray[np.uint16], encoding: str) -> Any:
    height, width = picture.shape[:2]
    data = np.ascontiguousarray(picture).view(np.uint8).ravel()
    return _new('sensor_msgs/msg/Image', header=_header(stamp_ns, OPTICAL_FRAME), height=height,
                width=width, encoding=encoding, is_bigendian=0, step=len(data) // height,
                data=data)


def _jpeg(stamp_ns: int, rgb: NDArray[np.uint8], quality: int) -> Any:
    done, code = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR),
                              [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f'a picture of shape {rgb.shape} could not be encoded as JPEG')
    return _new('sensor_msgs/msg/CompressedImage', header=_header(stamp_ns, OPTICAL_FRAME),
                format='rgb8; jpeg compressed bgr8', data=np.asarray(code, np.uint8).ravel())


def _camera_info(stamp_ns: int, frame: SimFrame) -> Any:
    height, width = frame.ids.shape
    k = frame.camera_matrix
    roi = _new('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0, width=0,
               do_rectify=False)
    return _new('sensor_msgs/msg/CameraInfo', header=_header(stamp_ns, OPTICAL_FRAME),
                height=height, width=width, distortion_model='plumb_bob', d=np.zeros(5),
                k=k.ravel(), r=np.eye(3).ravel(), p=np.hstack([k, np.zeros((3, 1))]).ravel(),
                binning_x=0, binning_y=0, roi=roi)


def _transform(stamp_ns: int, parent: str, child: str, pose: Array) -> Any:
    x, y, z = (float(value) for value in pose[:3, 3])
    qx, qy, qz, qw = quaternion_of(pose[:3, :3])
    return _new(
        'geometry_msgs/msg/TransformStamped', header=_header(stamp_ns, parent),
        child_frame_id=child, transform=_new(
            'geometry_msgs/msg/Transform',
            translation=_new('geometry_msgs/msg/Vector3', x=x, y=y, z=z),
            rotation=_new('geometry_msgs/msg/Quaternion', x=qx, y=qy, z=qz, w=qw)))


def depth_millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """
    Turn metres into what depth cameras send as 16UC1 (REP 118).

    :param depth: (H,W) float32 metres, 0 where there is no measurement.
    :returns: (H,W) uint16 millimetres, 0 where there is none or where it is beyond 65.535 m.
    """
    millimetres = np.round(depth * 1000.0)
    return np.where(millimetres <= 65535, millimetres, 0).astype(np.uint16)


class _Recorder:
    """Puts frames into an open bag."""

    def __init__(self, bag: Writer, jpeg_quality: int | None, depth: bool) -> None:
        self._bag = bag
        self._quality = jpeg_quality
        self._picture = (
            self._topic(IMAGE_TOPIC, 'sensor_msgs/msg/Image') if jpeg_quality is None
            else self._topic(COMPRESSED_TOPIC, 'sensor_msgs/msg/CompressedImage'))
        self._info = self._topic(CAMERA_INFO_TOPIC, 'sensor_msgs/msg/CameraInfo')
        self._depth = self._topic(DEPTH_TOPIC, 'sensor_msgs/msg/Image') if depth else None
        self._moving = self._topic('/tf', 'tf2_msgs/msg/TFMessage')
        self._static = self._topic('/tf_static', 'tf2_msgs/msg/TFMessage', (_LATCHED,))

    def _topic(self, name: str, kind: str, qos: Iterable[Qos] = ()) -> Connection:
        return self._bag.add_connection(name, kind, typestore=_store(),
                                        offered_qos_profiles=list(qos))

    def _put(self, connection: Connection, stamp_ns: int, message: Any) -> None:
        data = _store().serialize_cdr(message, connection.msgtype)
        self._bag.write(connection, stamp_ns, bytes(data))

    def mount(self, stamp_ns: int, frame: SimFrame) -> None:
        """Write where the camera sits: base to camera body, camera body to optical frame."""
        optical = transform(BODY_FROM_OPTICAL)
        camera_on_base = inverse(frame.base_pose) @ frame.camera_pose
        self._put(self._static, stamp_ns, _new('tf2_msgs/msg/TFMessage', transforms=[
            _transform(stamp_ns, BASE_FRAME, CAMERA_FRAME, camera_on_base @ inverse(optical)),
            _transform(stamp_ns, CAMERA_FRAME, OPTICAL_FRAME, optical)]))

    def add(self, stamp_ns: int, frame: SimFrame) -> None:
        """Write a frame: first where the robot is, then what it sees."""
        self._put(self._moving, stamp_ns, _new('tf2_msgs/msg/TFMessage', transforms=[
            _transform(stamp_ns, MAP_FRAME, BASE_FRAME, frame.base_pose)]))
        self._put(self._info, stamp_ns, _camera_info(stamp_ns, frame))
        if self._depth is not None:
            self._put(self._depth, stamp_ns,
                      _image(stamp_ns, depth_millimetres(frame.depth), '16UC1'))
        self._put(self._picture, stamp_ns, _image(stamp_ns, frame.rgb, 'rgb8')
                  if self._quality is None else _jpeg(stamp_ns, frame.rgb, self._quality))


def write_bag(path: str | Path, seed: int, frames: int = 90, config: SimConfig | None = None,
              depth: bool = True, jpeg_quality: int | None = None,
              start_ns: int = _START_NS) -> Path:
    """
    Record a scene into a rosbag2 folder: MCAP with zstd-compressed chunks, and metadata.yaml.

    Topics: /camera/image_raw (rgb8) or /camera/image_raw/compressed (JPEG), /camera/camera_info,
    /camera/depth/image_raw (16UC1, millimetres, of the same size and optical frame), /tf (map to
    base_link) and /tf_static (base_link to camera_link to camera_optical_frame). The truth lies
    beside them in annotations.json, YouTube-VIS JSON as a data set has it.

    :param path: the folder, which must not exist yet.
    :param seed: the scene.
    :param frames: how many frames.
    :param config: size, rate and number of objects; None for the defaults.
    :param depth: whether to record depth.
    :param jpeg_quality: None for raw images, else the quality of JPEG images, 0..100.
    :param start_ns: stamp of the first frame in nanoseconds.
    :returns: the folder.
    :raises FileExistsError: when the folder exists.
    :raises ValueError: when `frames` is below 1.
    """
    path, config = Path(path), config or SimConfig()
    if frames < 1:
        raise ValueError(f'frames is {frames}, expected at least 1')
    if path.exists():
        raise FileExistsError(f'{path} exists already; a recording is never written over')
    bag = Writer(path, version=_BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    tracks = SceneTracks(seed + 1)
    with Simulation(seed, config) as simulation, bag:
        recorder = _Recorder(bag, jpeg_quality, depth)
        for frame in islice(simulation, frames):
            if frame.index == 0:
                recorder.mount(start_ns, frame)
            recorder.add(start_ns + frame.index * 10 ** 9 // config.rate, frame)
            tracks.add(frame)
    topic = IMAGE_TOPIC if jpeg_quality is None else COMPRESSED_TOPIC
    video = {'id': seed + 1, 'seed': seed, 'topic': topic, 'width': config.width,
             'height': config.height, 'length': frames,
             'file_names': [f'{topic[1:]}/{index:05d}' for index in range(frames)]}
    truth = document([video], tracks.records(), config)
    (path / ANNOTATIONS).write_text(json.dumps(truth), encoding='utf-8')
    return path
