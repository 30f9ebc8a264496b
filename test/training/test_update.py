"""One step of the optimizers, and what keeps a bad gradient from the weights."""

import pytest
import torch
from toy import config, stage
from videomt_ros.training.optimizer import make_optimizers
from videomt_ros.training.trainer import Trainer


@pytest.fixture
def trainer(videos, tmp_path):
    return Trainer(config(videos, tmp_path, (stage(optimizer='muon'),), precision='fp16'))


def overflow(trainer, value):
    """Give a loss whose gradient is finite but for the class head, which AdamW moves."""
    network = trainer.network
    finite = sum((weights * 1e-3).sum() for weights in network.parameters())
    return finite + network.class_head.bias[0] * value


@pytest.mark.parametrize('clip_norm', [0.0, 1.0])
@pytest.mark.parametrize('value', [float('inf'), float('nan')])
def test_a_gradient_that_overflows_in_fp16_moves_nothing(trainer, value, clip_norm):
    settings = trainer.config.stages[0]
    optimizers = make_optimizers(trainer.network, settings)
    assert len(optimizers) == 2
    scaler = torch.amp.GradScaler('cpu')
    before = {name: each.clone() for name, each in trainer.network.state_dict().items()}
    trainer._update(overflow(trainer, value), optimizers, scaler, clip_norm)
    for name, each in trainer.network.state_dict().items():
        assert torch.equal(each, before[name]), name
    assert scaler.get_scale() == 2.0 ** 15
    trainer._update(overflow(trainer, 1.0), optimizers, scaler, clip_norm)
    moved = trainer.network.state_dict()
    assert all(each.isfinite().all() for each in moved.values())
    assert not torch.equal(moved['class_head.weight'], before['class_head.weight'])


def test_a_training_in_fp16_that_only_overflows_comes_to_an_end(trainer):
    optimizers = make_optimizers(trainer.network, trainer.config.stages[0])
    scaler = torch.amp.GradScaler('cpu')
    with pytest.raises(FloatingPointError, match='the gradient is not finite'):
        for _ in range(40):
            trainer._update(overflow(trainer, float('nan')), optimizers, scaler, 1.0)
