"""The demo, in three processes, leaves pictures and a table of what the node said."""

from itertools import islice
import re

from colour_network import colour_network
import cv2
from harness import own_domain
import numpy as np
import pytest
from recordings import frames, record
from rosbags.highlevel import AnyReader
from videomt_ros.share import share_directory
from videomt_ros.tools.demo import main
from videomt_ros.training.sim import HELD_OUT_SEED, SimConfig, Simulation
from videomt_ros.training.sim.geometry import rotation_quaternion, transform


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    with own_domain() as number:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
        yield


def test_demo_leaves_video_sheet_and_table(tmp_path, capfd):
    colour_network().save_pretrained(tmp_path / 'weights')
    bag = record(tmp_path / 'bag', frames(24), extra=False)
    assert main([
        '--bag', str(bag), '--checkpoint', str(tmp_path / 'weights'),
        '--output', str(tmp_path / 'out')]) == 0
    said = capfd.readouterr().out
    answered = int(re.search(r'(\d+) of 24 frames answered', said)[1])
    assert answered >= 20  # the machine may be busy; newest images win
    row = re.search(r'1 │ red +│ +(\S+) s │ +(\S+) s │ +(\d+) │ +(\S+) ', said)
    assert row and int(row[3]) == answered and float(row[4]) > 0.9
    assert float(row[2]) - float(row[1]) == pytest.approx(2.3, abs=0.4)
    sheet = cv2.imread(str(tmp_path / 'out' / 'contact_sheet.png'))[..., ::-1]
    assert sheet.shape == (3 * 96, 4 * 128, 3)
    first = sheet[:96, :128].astype(int)
    assert first[70:, 100:].max() == 0  # background stays as it was
    square = first[40:56, 4:28]
    assert not np.array_equal(square, np.full_like(square, (255, 0, 0)))  # the mask is drawn on it
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'overlay.mp4'))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == answered
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10, abs=0.1)


def test_a_checkpoint_that_cannot_be_loaded_is_told_in_one_line(tmp_path, capfd):
    bag = record(tmp_path / 'bag', frames(2), extra=False)
    assert main([
        '--bag', str(bag), '--checkpoint', '/nowhere/weights',
        '--output', str(tmp_path / 'out')]) == 1
    error = capfd.readouterr().err.strip()
    assert error.startswith('videomt_demo: the node has ended with code 1')
    assert '/nowhere/weights' in error and '\n' not in error


def test_a_recording_without_colour_images_is_told(tmp_path, capfd):
    bag = record(tmp_path / 'bag', frames(1), extra=False)
    assert main(['--bag', str(bag), '--image', '/other', '--output', str(tmp_path)]) == 1
    assert 'no images on /other' in capfd.readouterr().err
    assert main(['--bag', str(tmp_path / 'none'), '--output', str(tmp_path)]) == 1
    assert 'none' in capfd.readouterr().err


def pose_of(entry):
    t, q = entry.transform.translation, entry.transform.rotation
    return transform(rotation_quaternion((q.x, q.y, q.z, q.w)), (t.x, t.y, t.z))


def test_the_recording_is_of_a_scene_that_no_training_saw():
    pytest.importorskip('pybullet')
    folder = share_directory() / 'demo' / 'drive'
    bag, = folder.glob('*.mcap')
    seed = int(re.fullmatch(r'demo_(\d+)', bag.stem)[1])
    assert seed == 1_002_025
    assert seed >= HELD_OUT_SEED
    recorded = {}
    with AnyReader([folder]) as reader:
        for connection, _, data in reader.messages():
            recorded.setdefault(connection.topic, []).append(
                reader.deserialize(data, connection.msgtype))
    images, depths = recorded['/camera/image_raw'], recorded['/camera/depth/image_raw']
    # A second of the drive. What follows depends on each contact of the bodies, and the physics
    # of another machine may round it in another way.
    with Simulation(seed, SimConfig(width=320, height=240)) as simulation:
        scene = list(islice(simulation, 10))
    assert images[0].encoding == 'rgb8'
    # Another processor may round a few values in another way.
    picture = images[0].data.reshape(240, 320, 3).astype(int)
    assert (picture != scene[0].rgb).mean() < 0.01
    depth = depths[0].data.view('<u2').reshape(240, 320) / 1000.0
    assert (np.abs(depth - scene[0].depth) > 0.001).mean() < 0.01
    assert {tuple(info.k) for info in recorded['/camera/camera_info']} == {
        tuple(scene[0].camera_matrix.ravel())}
    mount, optical = (pose_of(entry) for entry in recorded['/tf_static'][0].transforms)
    for frame, message in zip(scene, recorded['/tf'], strict=False):
        base, = message.transforms
        np.testing.assert_allclose(pose_of(base), frame.base_pose, atol=1e-6)
        np.testing.assert_allclose(
            pose_of(base) @ mount @ optical, frame.camera_pose, atol=1e-6)
