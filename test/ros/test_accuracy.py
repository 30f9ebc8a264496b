"""The embedded weights, through the node, against what is true of simulated objects."""

from itertools import islice
from pathlib import Path

from harness import header
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from videomt_ros.msg import TrackArray
from videomt_ros.perception import VideoSegmenter
from videomt_ros.ros.images import array_to_image
from videomt_ros.ros.messages import track_mask
from videomt_ros.training.sim import CLASS_NAMES, HELD_OUT_SEED, SimConfig, Simulation

SCENES, FRAMES, PERIOD = range(HELD_OUT_SEED + 620, HELD_OUT_SEED + 628), 30, 0.1
# The first of those on which the figures of the embedded weights are measured, at their length.
MEASURED, LENGTH = range(HELD_OUT_SEED, HELD_OUT_SEED + 12), 60


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


def annotated(seed, frames):
    """Give what is true of a scene as a video of the metrics."""
    from videomt_ros.training import metrics
    from videomt_ros.training.sim.annotations import SceneTracks
    tracks = SceneTracks(seed + 1)
    for frame in frames:
        tracks.add(frame)
    return metrics.AnnotatedVideo(
        seed + 1, tuple(Path(f'{frame.index}') for frame in frames), *frames[0].ids.shape,
        tuple(metrics.ScoredTrack(record['category_id'] - 1, tuple(record['segmentations']))
              for record in tracks.records()))


def received(answers):
    """Give the tracks of the messages of a scene, as those of a file of predictions."""
    from videomt_ros.training import metrics
    found = {}
    for t, answer in enumerate(answers):
        for track in answer.tracks:
            if track.area:
                seen = found.setdefault(track.track_id, ([None] * len(answers), []))
                seen[0][t] = metrics.encode(track_mask(track, answer.height, answer.width))
                seen[1].append(track)
    return [metrics.ScoredTrack(seen[-1].class_id, tuple(masks),
                                sum(each.score for each in seen) / len(answers))
            for masks, seen in found.values()]


def compare_with_the_segmenter(frames, answers):
    """Assert that the node says what the segmenter says to whoever has no ROS."""
    segmenter = VideoSegmenter.from_pretrained(device='cpu', engine='eager', precision='fp32')
    for frame, answer in zip(frames, answers, strict=True):
        instances = segmenter.process(frame.rgb, stamp=frame.index * PERIOD).instances
        assert [(track.track_id, track.state, track.class_id) for track in answer.tracks] == [
            (each.track_id, each.state, each.class_id) for each in instances]
        for track, each in zip(answer.tracks, instances, strict=True):
            assert track.score == pytest.approx(each.score, abs=1e-3)
            assert track.area == pytest.approx(each.area, rel=0.01, abs=3)
            if track.area:
                mask = track_mask(track, answer.height, answer.width)
                assert (mask != each.mask).sum() <= 0.01 * each.area + 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_masks_and_ids_of_the_embedded_weights_hold(start_node, probe, one_thread):
    pytest.importorskip('pybullet')
    pytest.importorskip('trackeval')
    from videomt_ros.training import metrics
    node = start_node(checkpoint="''")
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    measures = []
    for number, seed in enumerate(MEASURED):
        with Simulation(seed, SimConfig()) as simulation:
            frames = list(islice(simulation, LENGTH))
        answers = [
            probe.ask(camera, array_to_image(
                frame.rgb, header(100 * number + frame.index * PERIOD)), tracks)
            for frame in frames]
        assert not any(answer.skipped for answer in answers)
        assert {answer.epoch for answer in answers} == {number}
        if seed == MEASURED[0]:
            compare_with_the_segmenter(frames, answers)
        measures.append(metrics.measure(
            annotated(seed, frames), received(answers), len(CLASS_NAMES), min_score=0.0))
    scores = metrics.summarise(measures, len(CLASS_NAMES), 1 / PERIOD).tracking
    print(scores.class_agnostic, scores.switches)
    assert scores.switches.objects > 3 * len(MEASURED)
    assert scores.class_agnostic.hota >= 0.6
    assert scores.switches.per_object_10s <= 1
    assert not node.find('Traceback')
