"""The simulator's data set is trained on as it is written."""

import csv
import math

import pytest
import torch
from toy import config, stage
from videomt_ros.network import load_network
from videomt_ros.training.sim import CLASS_NAMES, SimConfig
from videomt_ros.training.sim.dataset import write_dataset
from videomt_ros.training.trainer import FOLDER, LOG, Trainer

pytest.importorskip('pybullet')

SIZE, FRAMES = (72, 96), 3


def test_two_simulated_scenes_train_a_network_for_the_simulators_classes(tmp_path):
    annotations = write_dataset(
        tmp_path / 'data', (3, 4), FRAMES, SimConfig(SIZE[1], SIZE[0], objects=(3, 3)),
        progress=False)
    trainer = Trainer(config(
        annotations, tmp_path / 'out', (stage(steps=2, frames=2, frame_size=(48, 64)),)))
    (one, other), = trainer.videos
    for video in (one, other):
        assert (video.height, video.width, len(video.files)) == (*SIZE, FRAMES)
        assert video.tracks and not video.still
        assert any(segment for track in video.tracks for segment in track.segments)
    begun = trainer.network.class_head.weight.detach().clone()
    trainer.run()
    with (tmp_path / 'out' / LOG).open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        assert math.isfinite(float(row['loss']))
        assert float(row['mask']) > 0 and float(row['dice']) > 0, 'objects are among the targets'
    network = load_network(tmp_path / 'out' / FOLDER)
    assert not torch.equal(network.class_head.weight, begun)
    assert network.config.class_names == CLASS_NAMES
    assert network.config.thing_classes == frozenset(range(len(CLASS_NAMES)))
    labels = {track.label for video in (one, other) for track in video.tracks}
    assert labels <= network.config.thing_classes
