from itertools import islice
import json

import cv2
import numpy as np
from pycocotools import mask as coco_mask
import pytest
from rosbags.highlevel import AnyReader
from videomt_ros.training.sim import SimConfig, Simulation
from videomt_ros.training.sim.bag import depth_millimetres, write_bag
from videomt_ros.training.sim.geometry import rotation_quaternion, transform

pytest.importorskip('pybullet')

CONFIG = SimConfig(width=160, height=120)
SEED, FRAMES, START = 1_000_003, 5, 1_700_000_000_000_000_000


@pytest.fixture(scope='module')
def frames():
    with Simulation(SEED, CONFIG) as simulation:
        return list(islice(simulation, FRAMES))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('bags') / 'drive', SEED, FRAMES, CONFIG)


def read(folder):
    """Read a bag into {topic: [(stamp of the record, type, message), ...]}."""
    topics = {}
    with AnyReader([folder]) as reader:
        for connection, stamp, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            topics.setdefault(connection.topic, []).append((stamp, connection.msgtype, message))
    return topics


@pytest.fixture(scope='module')
def topics(folder):
    return read(folder)


def stamp_of(header):
    return header.stamp.sec * 10 ** 9 + header.stamp.nanosec


def matrix(entry):
    t, q = entry.transform.translation, entry.transform.rotation
    return transform(rotation_quaternion((q.x, q.y, q.z, q.w)), (t.x, t.y, t.z))


def test_topics_types_and_stamps(topics):
    assert {topic: (entries[0][1], len(entries)) for topic, entries in topics.items()} == {
        '/camera/image_raw': ('sensor_msgs/msg/Image', FRAMES),
        '/camera/camera_info': ('sensor_msgs/msg/CameraInfo', FRAMES),
        '/camera/depth/image_raw': ('sensor_msgs/msg/Image', FRAMES),
        '/tf': ('tf2_msgs/msg/TFMessage', FRAMES),
        '/tf_static': ('tf2_msgs/msg/TFMessage', 1)}
    expected = [START + index * 100_000_000 for index in range(FRAMES)]
    for topic, entries in topics.items():
        if topic != '/tf_static':
            assert [stamp for stamp, _, _ in entries] == expected
    for topic in ('/camera/image_raw', '/camera/camera_info', '/camera/depth/image_raw'):
        assert [stamp_of(m.header) for _, _, m in topics[topic]] == expected
        assert {m.header.frame_id for _, _, m in topics[topic]} == {'camera_optical_frame'}


def test_images_are_those_of_the_scene(topics, frames):
    for (_, _, image), frame in zip(topics['/camera/image_raw'], frames, strict=True):
        assert (image.height, image.width, image.step) == (120, 160, 480)
        assert (image.encoding, image.is_bigendian) == ('rgb8', 0)
        np.testing.assert_array_equal(image.data.reshape(120, 160, 3), frame.rgb)


def test_depth_is_in_millimetres(topics, frames):
    for (_, _, image), frame in zip(topics['/camera/depth/image_raw'], frames, strict=True):
        assert (image.encoding, image.step, image.is_bigendian) == ('16UC1', 320, 0)
        stored = image.data.view('<u2').reshape(120, 160)
        np.testing.assert_allclose(stored / 1000.0, frame.depth, atol=0.00051)
        assert stored.max() > 1000


def test_camera_info_holds_the_camera_matrix(topics, frames):
    for (_, _, info), frame in zip(topics['/camera/camera_info'], frames, strict=True):
        np.testing.assert_array_equal(info.k.reshape(3, 3), frame.camera_matrix)
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], frame.camera_matrix)
        np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
        assert (info.height, info.width, info.distortion_model) == (120, 160, 'plumb_bob')
        assert not info.d.any()


def test_the_transforms_lead_from_the_map_to_the_optical_frame(topics, frames):
    (_, _, static), = topics['/tf_static']
    mount, optical = static.transforms
    assert (mount.header.frame_id, mount.child_frame_id) == ('base_link', 'camera_link')
    assert (optical.header.frame_id, optical.child_frame_id) == (
        'camera_link', 'camera_optical_frame')
    # REP 103: the optical frame's z axis is the camera body's x axis.
    np.testing.assert_allclose(matrix(optical)[:3, 2], (1, 0, 0), atol=1e-12)
    assert matrix(mount)[2, 3] > 0.3
    for (_, _, message), frame in zip(topics['/tf'], frames, strict=True):
        base, = message.transforms
        assert (base.header.frame_id, base.child_frame_id) == ('map', 'base_link')
        np.testing.assert_allclose(matrix(base) @ matrix(mount) @ matrix(optical),
                                   frame.camera_pose, atol=1e-9)


def test_it_is_mcap_with_zstd_chunks_that_need_no_plugin(folder):
    assert {path.name for path in folder.iterdir()} == {
        'annotations.json', 'drive.mcap', 'metadata.yaml'}
    data = (folder / 'drive.mcap').read_bytes()
    assert data.startswith(b'\x89MCAP0\r\n')
    assert b'zstd' in data
    assert len(data) < 0.9 * FRAMES * 160 * 120 * 5
    metadata = (folder / 'metadata.yaml').read_text()
    # Chunks are unpacked by MCAP itself; a mode here would send players to a decompressor.
    assert "compression_mode: ''" in metadata
    assert 'storage_identifier: mcap' in metadata


def test_static_transforms_are_latched(folder):
    with AnyReader([folder]) as reader:
        profiles = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    assert profiles['/tf_static'][0].durability.name == 'TRANSIENT_LOCAL'
    assert profiles['/camera/image_raw'] == []


def test_jpeg_images_and_no_depth(tmp_path, frames):
    topics = read(write_bag(tmp_path / 'small', SEED, 2, CONFIG, depth=False, jpeg_quality=90,
                            start_ns=5 * 10 ** 9))
    assert set(topics) == {'/camera/image_raw/compressed', '/camera/camera_info', '/tf',
                           '/tf_static'}
    stamp, kind, image = topics['/camera/image_raw/compressed'][1]
    assert (stamp, kind) == (5_100_000_000, 'sensor_msgs/msg/CompressedImage')
    assert image.format == 'rgb8; jpeg compressed bgr8'
    shown = cv2.cvtColor(cv2.imdecode(image.data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    difference = cv2.blur(shown, (5, 5)).astype(int) - cv2.blur(frames[1].rgb, (5, 5))
    assert np.abs(difference).mean() < 5


def test_a_recording_is_not_written_over(folder):
    with pytest.raises(FileExistsError, match='drive exists already'):
        write_bag(folder, SEED, FRAMES, CONFIG)
    with pytest.raises(ValueError, match='frames is 0'):
        write_bag(folder.parent / 'none', SEED, 0, CONFIG)
    assert not (folder.parent / 'none').exists()


def test_depth_beyond_sixteen_bits_counts_as_none():
    depth = np.array([[0.0, 1.2345, 65.535, 70.0]], np.float32)
    np.testing.assert_array_equal(depth_millimetres(depth), [[0, 1234, 65535, 0]])


def test_the_truth_lies_beside_the_images(folder, frames):
    truth = json.loads((folder / 'annotations.json').read_text())
    video, = truth['videos']
    assert video['topic'] == '/camera/image_raw' and len(video['file_names']) == FRAMES
    present = {view.instance_id for frame in frames for view in frame.objects if view.present}
    assert {each['instance_id'] for each in truth['annotations']} == present != set()
    for each in truth['annotations']:
        for frame, code in zip(frames, each['segmentations'], strict=True):
            view = frame.objects[each['instance_id'] - 1]
            assert truth['categories'][each['category_id'] - 1]['name'] == view.class_name
            assert (code is not None) == view.present
            if code is not None:
                np.testing.assert_array_equal(
                    coco_mask.decode(code), frame.ids == each['instance_id'])
