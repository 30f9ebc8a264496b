"""What a person looks at after a run says what was in the results."""

import io

import cv2
import numpy as np
import pytest
from rich.console import Console
from videomt_ros.perception import FrameResult, Instance, TrackState
from videomt_ros.tools.pictures import contact_sheet, summarise, track_table, write_video


def make_result(stamp, *tracks):
    """Make a result of (track_id, state, class_name, score) tracks."""
    empty = np.zeros((0, 0), dtype=np.uint8)
    instances = tuple(
        Instance(
            track_id=track_id, state=state, class_id=0, class_name=name, score=score,
            box=(0, 0, 0, 0), area=0, age=1, mask_value=track_id, first_seen=None, last_seen=None,
            probabilities=empty, frame_size=(4, 6))
        for track_id, state, name, score in tracks)
    return FrameResult(
        camera='', stamp=stamp, height=4, width=6, task='instance', instances=instances, epoch=0,
        reset_reason=None, skipped=0, dt=None, timings={}, label_dtype=np.uint8)


RESULTS = [
    make_result(10.0, (1, TrackState.NEW, 'duck', 0.5)),
    make_result(10.1, (1, TrackState.TRACKED, 'duck', 0.7), (2, TrackState.NEW, 'mug', 0.9)),
    make_result(10.2, (1, TrackState.LOST, 'duck', 0.7), (2, TrackState.TRACKED, 'cup', 0.7)),
    make_result(10.3, (1, TrackState.TRACKED, 'duck', 0.6), (2, TrackState.ENDED, 'cup', 0.7)),
]


def test_summaries_count_the_frames_in_which_a_track_was_seen():
    duck, cup = summarise(RESULTS)
    assert (duck.track_id, duck.class_name, duck.frames) == (1, 'duck', 3)
    assert (duck.first_seen, duck.last_seen) == (10.0, 10.3)
    assert duck.mean_score == pytest.approx(0.6)
    assert (cup.track_id, cup.class_name, cup.frames, cup.last_seen) == (2, 'cup', 2, 10.2)


def test_table_shows_seconds_since_the_start():
    console = Console(width=100, file=io.StringIO())
    console.print(track_table(summarise(RESULTS), 10.0))
    lines = console.file.getvalue().splitlines()
    assert lines[0].strip() == '2 tracks'
    duck = next(line for line in lines if 'duck' in line)
    assert [word for word in duck.split() if word not in '│'] == [
        '1', 'duck', '0.0', 's', '0.3', 's', '3', '0.60']


def test_contact_sheet_keeps_the_order_of_rows():
    pictures = [np.full((2, 3, 3), value, dtype=np.uint8) for value in (1, 2, 3)]
    sheet = contact_sheet(pictures, columns=2)
    assert sheet.shape == (4, 6, 3)
    assert sheet[::2, ::3, 0].tolist() == [[1, 2], [3, 0]]


def test_video_holds_the_pictures_in_their_colours(tmp_path):
    red = np.zeros((48, 64, 3), dtype=np.uint8)
    red[..., 0] = 200
    blue = np.ascontiguousarray(red[..., ::-1])
    passed = list(write_video(tmp_path / 'video.mp4', [red, blue, blue], 10.0))
    assert len(passed) == 3 and passed[0] is red
    video = cv2.VideoCapture(str(tmp_path / 'video.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    frames = []
    while (read := video.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    assert len(frames) == 3
    assert frames[0][24, 32].argmax() == 0 and frames[2][24, 32].argmax() == 2
    assert abs(int(frames[0][24, 32, 0]) - 200) < 20


def test_a_video_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(OSError, match=r'nowhere.*cannot be written'):
        list(write_video(tmp_path / 'nowhere' / 'video.mp4', [np.zeros((8, 8, 3), np.uint8)], 5))
