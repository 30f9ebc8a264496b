"""Positions of the embedded weights, through the node, against where simulated objects are."""

from itertools import islice

from harness import header
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from videomt_ros.msg import TrackArray
from videomt_ros.ros.images import array_to_image
from videomt_ros.ros.messages import track_mask
from videomt_ros.training.sim import HELD_OUT_SEED, SimConfig, Simulation

SCENES, FRAMES, PERIOD = range(HELD_OUT_SEED + 620, HELD_OUT_SEED + 628), 30, 0.1


def messages(frame, stamp):
    """Make image, depth in millimetres, and calibration of a simulated frame."""
    info = CameraInfo(header=stamp, height=frame.ids.shape[0], width=frame.ids.shape[1])
    info.k = [float(value) for value in frame.camera_matrix.ravel()]
    millimetres = np.round(frame.depth * 1000).astype('<u2')
    depth = Image(header=stamp, height=info.height, width=info.width, encoding='16UC1',
                  step=2 * info.width)
    depth.data.frombytes(millimetres.tobytes())
    return array_to_image(frame.rgb, stamp), depth, info


def compare(frame, answer):
    """Give (overlap, error as a share of the distance) of each track with a position."""
    to_camera = np.linalg.inv(frame.camera_pose)
    found = []
    for track in answer.tracks:
        mask = track_mask(track, *frame.ids.shape)
        count = np.bincount(frame.ids[mask], minlength=2)
        if not track.has_position or not count[1:].any():
            continue
        thing = frame.objects[int(count[1:].argmax())]
        truth = frame.ids == thing.instance_id
        place = (to_camera @ thing.pose)[:3, 3]
        position = (track.position.x, track.position.y, track.position.z)
        found.append(((mask & truth).sum() / (mask | truth).sum(),
                      np.linalg.norm(position - place) / np.linalg.norm(place)))
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_embedded_weights_find_places(start_node, probe):
    pytest.importorskip('pybullet')
    node = start_node(checkpoint="''")
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    others = [probe.publisher(topic, qos_profile_sensor_data, kind)
              for topic, kind in (('depth', Image), ('camera_info', CameraInfo))]
    found, seen = [], 0
    for number, seed in enumerate(SCENES):
        with Simulation(seed, SimConfig()) as simulation:
            for frame in islice(simulation, FRAMES):
                image, *rest = messages(frame, header(100 * number + frame.index * PERIOD))
                for publisher, message in zip(others, rest, strict=True):
                    publisher.publish(message)
                probe.spin(0.05)
                answer = probe.ask(camera, image, tracks)
                found += compare(frame, answer)
                seen += sum(track.area > 0 for track in answer.tracks)
    overlap, error = np.array(found).T
    for least in (0.5, 0.7, 0.8):
        good = overlap >= least
        print(f'{good.sum()} masks with an overlap of {least} or more: median error '
              f'{100 * np.median(error[good]):.1f} % of the distance')
    assert len(found) > 0.9 * seen > 100
    assert np.median(error[overlap >= 0.7]) < 0.06
    assert not node.find('Traceback')
