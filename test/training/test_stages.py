"""What a stage asks for reaches the step and the optimizers: masked attention, rates by depth."""

import pytest
from toy import config, stage
from videomt_ros.training.clip_step import ClipStep
from videomt_ros.training.trainer import Trainer

LR, DECAY = 1e-3, 0.5


def shares_of(monkeypatch, settings):
    """Train; give for each step the shares of masked attention that it got, by query block."""
    forward, found = ClipStep.forward, []

    def spying(self, pixels, targets, mask_shares, *arguments, **named):
        found.append(mask_shares)
        return forward(self, pixels, targets, mask_shares, *arguments, **named)

    monkeypatch.setattr(ClipStep, 'forward', spying)
    Trainer(settings).run()
    return found


def test_masked_attention_fades_over_the_steps_of_its_stage_alone(videos, tmp_path, monkeypatch):
    stages = (stage('masked', steps=10, clips=1, masked_attention=(0.2, 0.8)),
              stage('plain', steps=2, clips=1, frames=2),
              stage('masked again', steps=2, clips=1, masked_attention=(0.2, 0.8)))
    found = shares_of(monkeypatch, config(videos, tmp_path, stages))
    assert len(found) == 14 and all(len(shares) == 2 for shares in found)
    masked, plain, again = found[:10], found[10:12], found[12:]
    # Three tenths of the stage for each of the two blocks, one after the other.
    assert masked[:3] == [(1.0, 1.0)] * 3 and masked[9] == (0.0, 0.0)
    assert [first for first, _ in masked[2:6]] == pytest.approx(
        [1.0, (2 / 3) ** 0.9, (1 / 3) ** 0.9, 0.0], abs=1e-9)
    assert [last for _, last in masked[5:9]] == pytest.approx(
        [1.0, (2 / 3) ** 0.9, (1 / 3) ** 0.9, 0.0], abs=1e-9)
    for shares in zip(*masked, strict=True):
        assert list(shares) == sorted(shares, reverse=True)
    assert plain == [(0.0, 0.0)] * 2
    assert again[0] == (1.0, 1.0) and again[1] == pytest.approx((0.0, 1.0), abs=1e-9)


def rates_of(monkeypatch, settings):
    """Train; give for each parameter the rates at which its steps were taken."""
    update, found = Trainer._update, {}

    def spying(self, loss, optimizers, *arguments):
        names = {id(p): name for name, p in self.clip_step.named_parameters()}
        seen = [(names[id(p)], group['lr']) for optimizer in optimizers
                for group in optimizer.param_groups for p in group['params']]
        assert sorted(name for name, _ in seen) == sorted(names.values())
        for name, rate in seen:
            found.setdefault(name.removeprefix('network.'), []).append(rate)
        return update(self, loss, optimizers, *arguments)

    monkeypatch.setattr(Trainer, '_update', spying)
    Trainer(settings).run()
    return found


@pytest.mark.parametrize('optimizer', ('adamw', 'muon'))
def test_each_step_is_taken_at_the_rate_of_its_depth(videos, tmp_path, monkeypatch, optimizer):
    stages = (stage(steps=7, clips=1, frames=2, lr=LR, layer_decay=DECAY, warmup=2,
                    encoder_frozen=2, encoder_warmup=2, optimizer=optimizer),)
    rates = rates_of(monkeypatch, config(videos, tmp_path, stages))
    heads = [LR * part for part in (
        0.5, 1.0, 1.0, (4 / 5) ** 0.9, (3 / 5) ** 0.9, (2 / 5) ** 0.9, (1 / 5) ** 0.9)]
    encoder = [LR * part for part in (
        0.0, 0.0, 0.5, 1.0, 1.0, (2 / 3) ** 0.9, (1 / 3) ** 0.9)]
    depths = {'embed.': 2, 'blocks.0.': 2, 'blocks.1.': 1, 'blocks.2.': 0, 'norm.': 0}
    for start, depth in depths.items():
        found = [each for name, each in rates.items() if name.startswith(start)]
        assert found, start
        for each in found:
            assert each == pytest.approx([DECAY ** depth * rate for rate in encoder]), start
            assert each[:2] == [0.0, 0.0], 'a frozen encoder does not learn at all'
    others = {name: each for name, each in rates.items() if not name.startswith(tuple(depths))}
    assert {name.split('.')[0] for name in others} == {
        'queries', 'query_updater', 'class_head', 'mask_head', 'upscale'}
    for name, each in others.items():
        assert each == pytest.approx(heads), name


def test_an_encoder_that_is_frozen_for_a_whole_stage_never_learns(videos, tmp_path, monkeypatch):
    stages = (stage(steps=3, clips=1, lr=LR, layer_decay=DECAY, encoder_frozen=500),
              stage('after', steps=1, clips=1, lr=3 * LR, layer_decay=0.1, warmup=0,
                    encoder_warmup=0))
    rates = rates_of(monkeypatch, config(videos, tmp_path, stages))
    qkv = [rates[f'blocks.{i}.attention.qkv.weight'] for i in range(3)]
    assert all(each[:3] == [0.0] * 3 for each in qkv)
    # The next stage has its own rate and decay.
    assert [each[3] for each in qkv] == pytest.approx([3 * LR * 0.1 ** i for i in (2, 1, 0)])
    assert rates['queries'] == pytest.approx([LR / 2, LR, LR, 3 * LR])
