"""The class of a slot is read from the mean of its raw logits, as the paper does offline."""

import numpy as np
import pytest
from videomt_ros.perception.evidence import classify, read_classes


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def test_best_class_leaves_no_object_out_but_its_probability_does_not():
    logits = np.array([[1.0, 2.0, 9.0], [3.0, -1.0, 0.0]])
    classes, scores = classify(logits)
    assert classes.tolist() == [1, 0]
    np.testing.assert_allclose(scores, softmax(logits)[[0, 1], [1, 0]])


def test_unwanted_classes_score_nothing():
    classes, scores = classify(np.array([[5.0, 4.9, 0.0], [0.0, 5.0, 0.0]]), {1})
    assert classes.tolist() == [0, 1]
    assert scores[0] == -1 and scores[1] > 0.9


def test_running_mean_is_the_offline_mean_on_the_last_frame():
    rng = np.random.default_rng(0)
    clip = rng.normal(0, 3, (20, 6, 5)).astype(np.float32)  # frames, slots, K+1
    sums = {slot: (clip[:-1, slot].astype(float).sum(axis=0), 19) for slot in (0, 2, 5)}
    reading = read_classes(clip[-1], sums, None)
    offline = softmax(clip.astype(float).mean(axis=0))[:, :-1]
    for slot in range(6):
        wanted = offline[slot] if slot in sums else softmax(clip[-1, slot].astype(float))[:-1]
        assert reading.evidence_class[slot] == wanted.argmax()
        assert reading.evidence_score[slot] == pytest.approx(wanted.max(), abs=1e-9)
        assert reading.frame_class[slot] == softmax(clip[-1, slot])[:-1].argmax()
