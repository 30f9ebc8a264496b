"""What a training may go on with, and what it says where it cannot."""

from dataclasses import replace
from pathlib import Path
import shutil

import pytest
import torch
from toy import config, stage
from videomt_ros.training.config import ConfigError
from videomt_ros.training.losses import LossWeights
from videomt_ros.training.trainer import CHECKPOINT, FOLDER, Trainer


@pytest.fixture(scope='module')
def stopped(videos, tmp_path_factory):
    """Give a training that was stopped within its stage."""
    settings = config(
        videos, tmp_path_factory.mktemp('stopped'), (stage('clip', steps=4),), save_every=2,
        loss=LossWeights(dense=1.0))
    update, done = Trainer._update, []

    def dying(self, *arguments):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return update(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, '_update', dying)
        with pytest.raises(KeyboardInterrupt):
            Trainer(settings).run()
    return settings


@pytest.mark.parametrize('change', [
    {'weight_decay': 0.01}, {'layer_decay': 0.8}, {'dense_rate': 2.0}])
def test_settings_that_the_optimizer_has_from_the_checkpoint_cannot_be_changed(stopped, change):
    other = replace(stopped, stages=(replace(stopped.stages[0], **change),))
    with pytest.raises(ConfigError, match="'clip', or another weight_decay or dense_rate"):
        Trainer(other).run(resume=True)


def test_rate_and_precision_can(stopped, tmp_path):
    shutil.copy(Path(stopped.output) / CHECKPOINT, tmp_path)
    other = replace(
        stopped, output=str(tmp_path), precision='fp16',
        stages=(replace(stopped.stages[0], lr=1e-5),))
    Trainer(other).run(resume=True)
    assert (tmp_path / FOLDER / 'model.safetensors').exists()


def test_a_disk_that_is_full_is_told(stopped, tmp_path, monkeypatch):
    def full(saved, path):
        raise RuntimeError('[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match=rf'{CHECKPOINT}: cannot be written: \[enforce fail'):
        Trainer(replace(stopped, output=str(tmp_path))).run()
