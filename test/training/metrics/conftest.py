"""Tracks made of boxes, so that every overlap is known by heart."""

import numpy as np
import pytest
from videomt_ros.training.metrics import encode, ScoredTrack

SIZE = 20  # of the frames


def boxes(*frames, class_id=0, score=1.0):
    """
    Make a track.

    :param frames: (x, y, width, height) of its mask in each frame, or None.
    :param class_id: its class.
    :param score: its score.
    """
    masks = []
    for box in frames:
        if box is None:
            masks.append(None)
            continue
        x, y, width, height = box
        mask = np.zeros((SIZE, SIZE), dtype=bool)
        mask[y:y + height, x:x + width] = True
        masks.append(encode(mask))
    return ScoredTrack(class_id, tuple(masks), score)


def random_tracks(random, truth, frames, classes):
    """Predict tracks that hold on to annotated ones more or less, and a few that do not."""
    found = []
    for track in truth:
        for _ in range(random.integers(0, 3)):
            shift = random.integers(0, 4)
            masks = tuple(
                None if mask is None or random.random() < 0.3 else _shifted(mask, shift)
                for mask in track.masks)
            class_id = track.class_id if random.random() < 0.8 else int(random.integers(classes))
            found.append(ScoredTrack(class_id, masks, float(random.random())))
    found.append(random_track(random, frames, classes))
    return found


def random_track(random, frames, classes):
    """Make a box that wanders about and is hidden at times; it is seen in the first frame."""
    x, y = random.integers(0, 12, size=2)
    width, height = random.integers(4, 9, size=2)
    path = []
    for t in range(frames):
        x, y = (int(np.clip(v + random.integers(-2, 3), 0, 12)) for v in (x, y))
        path.append((x, y, width, height) if not t or random.random() < 0.8 else None)
    return boxes(
        *path, class_id=int(random.integers(classes)), score=float(random.random()))


def _shifted(mask, shift):
    from pycocotools import mask as coco_mask
    return encode(np.roll(coco_mask.decode(mask).astype(bool), shift, axis=1))


@pytest.fixture(name='boxes')
def boxes_fixture():
    """Give the function that makes a track of boxes."""
    return boxes


@pytest.fixture
def random_videos():
    """Give a function that makes random pairs of annotated and predicted tracks."""

    def make(seed, videos=4, frames=6, classes=3):
        random = np.random.default_rng(seed)
        pairs = []
        for _ in range(videos):
            truth = [random_track(random, frames, classes) for _ in range(4)]
            pairs.append((truth, random_tracks(random, truth, frames, classes)))
        return pairs

    return make


@pytest.fixture
def random_maps():
    """Give a function that makes random pairs of annotated and predicted panoptic videos."""
    from videomt_ros.training.metrics.panoptic import PanopticVideo

    def make(seed, videos=3, frames=7, classes=4):
        random = np.random.default_rng(seed)
        pairs = []
        for _ in range(videos):
            blocks = random.integers(0, 6, size=(1, 3, 4))
            truth = np.repeat(blocks, frames, axis=0).repeat(3, axis=1).repeat(3, axis=2)
            found = truth.copy()
            noise = random.random(found.shape) < 0.25
            found[noise] = random.integers(0, 6, size=noise.sum())
            found[frames // 2:][found[frames // 2:] == 3] = 6  # a switch of id
            named = [{i: int(c) for i, c in enumerate(random.integers(classes, size=6), start=1)}
                     for _ in range(2)]
            named[1] = {i: named[0][i] if random.random() < 0.8 else c
                        for i, c in named[1].items()}
            pairs.append((PanopticVideo(truth, named[0]), PanopticVideo(found, named[1])))
        return pairs

    return make
