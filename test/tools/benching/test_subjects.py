"""What int8 is calibrated on, and what becomes of it where that cannot be done."""

import numpy as np
import pytest
from videomt_ros.perception import FrameInput
from videomt_ros.perception.engines import EngineError
from videomt_ros.tools.benching import subjects


def test_int8_is_calibrated_on_frames_that_it_is_not_judged_by(monkeypatch):
    asked = []

    def calibrate(network, frames):
        asked.extend(frame.stamp for frame in frames)
        raise EngineError('a package is missing')

    monkeypatch.setattr(subjects, '_calibrate', calibrate)
    picture = np.zeros((96, 128, 3), np.uint8)
    found = subjects.measure(subjects.Subject(
        'embedded', None, [FrameInput(picture, float(i)) for i in range(8)], clip=6, rounds=0,
        engines=[('openvino', 'int8')]), lambda text: None)
    assert asked == [6.0, 7.0]
    assert found.missing == ['openvino int8: a package is missing'] and not found.records


def test_a_recording_that_is_too_short_to_calibrate_with_costs_int8_alone():
    pytest.importorskip('nncf')
    picture = np.zeros((96, 128, 3), np.uint8)
    found = subjects.measure(subjects.Subject(
        'embedded', None, [FrameInput(picture, 0.0)], clip=1, rounds=0,
        engines=[('openvino', 'int8')]), lambda text: None)
    assert 'no frames to calibrate with' in found.missing[0]
