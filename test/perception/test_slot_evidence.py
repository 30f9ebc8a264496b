"""The mean of what a slot has shown: the paper's over a clip, and not for ever."""

import numpy as np
import pytest
import torch
from videomt_ros.perception.slot_evidence import LONGEST, SlotEvidence


@pytest.fixture
def clip():
    return np.random.default_rng(0).normal(0, 4, (16, 6, 5)).astype(np.float32)  # T, Q, K+1


def test_on_the_last_frame_it_is_the_mean_of_the_clip(clip):
    evidence = SlotEvidence(6, 4)
    for frame in clip[:-1]:
        evidence.add(frame)
    found = evidence.mean_with(clip[-1])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.from_numpy(clip).mean(0).numpy(), atol=1e-6)


def test_asking_records_nothing(clip):
    evidence = SlotEvidence(6, 4)
    evidence.add(clip[0])
    first = evidence.mean_with(clip[1])
    evidence.mean_with(clip[2])
    np.testing.assert_array_equal(evidence.mean_with(clip[1]), first)


def test_slots_and_all_can_begin_anew(clip):
    evidence = SlotEvidence(6, 4)
    evidence.add(clip[0])
    anew = np.array([False, True, False, False, False, True])
    evidence.add(clip[1], anew)
    found = evidence.mean_with(clip[2])
    np.testing.assert_allclose(found[anew], clip[1:3].mean(0)[anew], rtol=1e-5)
    np.testing.assert_allclose(found[~anew], clip[:3].mean(0)[~anew], rtol=1e-5)
    evidence.reset()
    np.testing.assert_array_equal(evidence.mean_with(clip[3]), clip[3])


def test_what_was_shown_for_an_hour_fades_within_seconds():
    floor, wall = np.array([[9, 0, 0]], np.float32), np.array([[0, 9, 0]], np.float32)
    evidence = SlotEvidence(1, 2)
    for _ in range(50 * LONGEST):
        evidence.add(floor)
    np.testing.assert_allclose(evidence.mean_with(floor), floor, rtol=1e-3)
    for _ in range(round(0.7 * LONGEST)):
        evidence.add(wall)
    assert evidence.mean_with(wall).argmax() == 1
