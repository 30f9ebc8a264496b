"""Runs agree whatever their tracks are called, and where they do not, it is counted."""

import numpy as np
import pytest
from videomt_ros.network import load_network
from videomt_ros.perception import FrameResult, Instance, TrackState, VideoSegmenter
from videomt_ros.perception.engines import EngineChoice
from videomt_ros.share import share_directory
from videomt_ros.tools.bags.frames import recorded_frames
from videomt_ros.tools.benching.agreement import Agreement, compare, Picture
from videomt_ros.tools.benching.machine import knows_bf16


def picture(rows, **classes):
    """Make a picture of digits, one a pixel; classes by `t<label>`."""
    labels = np.array([[int(digit) for digit in row] for row in rows], dtype=np.uint16)
    return Picture(labels, {int(name[1:]): index for name, index in classes.items()})


def test_the_same_under_other_numbers():
    ours = [picture(['1100', '0022'], t1=0, t2=1), picture(['0110', '0000'], t1=0)]
    theirs = [picture(['7700', '0033'], t7=0, t3=1), picture(['0770', '0000'], t7=0)]
    found = compare(ours, theirs)
    assert found == Agreement(1.0, 2, 2, 2)
    assert found.all_tracks


def test_another_class_is_another_track():
    found = compare([picture(['1100'], t1=0)], [picture(['1100'], t1=1)])
    assert found == Agreement(0.5, 1, 1, 0)
    assert not found.all_tracks


def test_a_track_that_is_cut_in_two():
    ours = [picture(['1111'], t1=0), picture(['1111'], t1=0), picture(['1110'], t1=0)]
    theirs = [picture(['1111'], t1=0), picture(['1111'], t1=0), picture(['2220'], t2=0)]
    assert compare(ours, theirs) == Agreement(9 / 12, 1, 2, 1)


def test_a_small_overlap_is_not_the_same_track():
    found = compare([picture(['1111000'], t1=0)], [picture(['0001111'], t1=0)])
    assert found == Agreement(1 / 7, 1, 1, 0)


def test_nothing_seen_is_full_agreement():
    assert compare([picture(['00'])], [picture(['00'])]) == Agreement(1.0, 0, 0, 0)


def test_a_picture_of_a_result_has_track_ids():
    probabilities = np.full((1, 2), 255, np.uint8)
    shared = {'state': TrackState.TRACKED, 'class_name': 'cup', 'score': 0.9, 'age': 1,
              'first_seen': None, 'last_seen': None, 'frame_size': (2, 4)}
    result = FrameResult(
        camera='', stamp=None, height=2, width=4, task='instance', epoch=0, reset_reason=None,
        skipped=0, dt=None, timings={}, label_dtype=np.uint8, instances=(
            Instance(track_id=300, class_id=4, mask_value=1, box=(0, 0, 2, 1), area=2,
                     probabilities=probabilities, **shared),
            Instance(track_id=301, class_id=5, mask_value=2, box=(2, 1, 2, 1), area=2,
                     probabilities=probabilities, **shared),
            Instance(track_id=7, class_id=5, mask_value=3, box=(0, 0, 0, 0), area=0,
                     probabilities=probabilities[:0, :0], **shared)))
    found = Picture.of(result)
    assert found.labels.tolist() == [[300, 300, 0, 0], [0, 0, 301, 301]]
    assert found.classes == {300: 4, 301: 5}


def test_runs_of_different_length_are_refused():
    with pytest.raises(ValueError, match='argument 2 is shorter'):
        compare([picture(['0'])], [])


@pytest.mark.slow
@pytest.mark.skipif(not knows_bf16(), reason='the CPU has no instructions for bf16')
def test_bf16_tracks_the_whole_recording_of_the_demo_as_fp32_does():
    pytest.importorskip('openvino')
    frames = list(recorded_frames(share_directory() / 'demo' / 'drive'))
    assert len(frames) == 80
    network = load_network()

    def pictures(precision):
        segmenter = VideoSegmenter(
            network, engine=EngineChoice('openvino', precision).make(network))
        return [Picture.of(segmenter.process_many({'': frame})['']) for frame in frames]

    found = compare(pictures('fp32'), pictures('bf16'))
    assert found.all_tracks and found.tracks >= 5, found
    assert found.equal_pixels > 0.99
