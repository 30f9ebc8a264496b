"""The demo, in three processes, leaves pictures and a table of what the node said."""

import re

from colour_network import colour_network
import cv2
from harness import own_domain
import numpy as np
import pytest
from recordings import frames, record
from videomt_ros.tools.demo import main


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
