"""The training loop: it learns, resumes bit for bit, starts from any network, runs in a group."""

import csv
from dataclasses import replace
import os
from pathlib import Path
import subprocess
import sys

import pytest
import torch
from toy import config, NAMES, stage, write_json, write_pictures, write_videos
from videomt_ros.network import CheckpointError, load_network, NetworkConfig, VideoMT
from videomt_ros.training import trainer as module
from videomt_ros.training.config import ConfigError, DataSource, Network, read_config
from videomt_ros.training.losses import LossWeights
from videomt_ros.training.trainer import CHECKPOINT, FOLDER, LOG, make_network, Trainer

STAGES = (
    stage('frame', steps=6, masked_attention=(0.0, 0.8), optimizer='muon'),
    stage('clip', steps=4, frames=3, lead=2))


def rows(output):
    """Read the log without the time that a step took."""
    with (output / LOG).open(newline='') as file:
        found = list(csv.DictReader(file))
    assert all(float(row.pop('seconds')) >= 0 for row in found)
    return found


def weights(output):
    return load_network(output / FOLDER).state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def run(settings, resume=False):
    """Train; gives the output folder."""
    Trainer(settings).run(resume)
    return Path(settings.output)


def kill_at(monkeypatch, step):
    """Let a training die in its step number so and so, before the weights change."""
    update, done = Trainer._update, []

    def dying(self, *arguments):
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(1)
        return update(self, *arguments)

    monkeypatch.setattr(Trainer, '_update', dying)


@pytest.fixture(scope='module', params=('fp32', 'bf16', 'fp16'))
def straight(request, videos, tmp_path_factory):
    """Give a training that nobody interrupted: its settings, log and weights."""
    output = tmp_path_factory.mktemp(request.param)
    settings = config(videos, output, STAGES, save_every=2, precision=request.param)
    return settings, rows(run(settings)), weights(output)


def again(settings, output):
    return config(
        settings.data[0].annotations, output, settings.stages, save_every=settings.save_every,
        precision=settings.precision)


@pytest.mark.parametrize('precision', ('fp32', 'bf16'))
def test_the_loss_falls_and_shapes_are_found(videos, tmp_path, precision):
    settings = config(videos, tmp_path, (
        stage(steps=160, clips=4, lr=3e-3, warmup=10, encoder_warmup=10,
              masked_attention=(0.2, 0.8)),
        stage('clip', steps=20, frames=3)), precision=precision, save_every=1000)
    found = [float(row['loss']) for row in rows(run(settings))]
    assert len(found) == 180
    assert sum(found[150:160]) < 0.55 * sum(found[:10])
    trained = load_network(tmp_path / FOLDER)
    pixels, targets = next(Trainer(settings)._batches(settings.stages[0]))
    with torch.no_grad():
        output = trained(pixels[:, 0])
    scores, slots = output.class_logits.softmax(-1)[..., :3].max(dim=1)
    hits = 0
    for b, n in (targets.labels >= 0).nonzero().tolist():
        label = targets.labels[b, n]
        logits = output.mask_logits[b, slots[b, label]][None, None]
        mask = torch.nn.functional.interpolate(logits, (32, 48), mode='bilinear')[0, 0] > 0
        truth = targets.masks[b, n, 0]
        overlap = (mask & truth).sum() / (mask | truth).sum()
        hits += bool(scores[b, label] > 0.5 and overlap > 0.5)
    assert hits > 0.6 * (targets.labels >= 0).sum()


def test_the_log_has_a_row_for_each_step(straight):
    _, log, _ = straight
    assert [(row['stage'], int(row['step'])) for row in log] == [
        *(('frame', s) for s in range(6)), *(('clip', s) for s in range(4))]
    assert list(log[0]) == [
        'stage', 'step', 'lr', 'loss', 'class', 'mask', 'dice', 'grad_norm']
    assert [float(row['lr']) for row in log[:3]] == [5e-4, 1e-3, 1e-3]
    final = [sum(float(row[k]) for k in ('class', 'mask', 'dice')) for row in log]
    assert all(float(row['loss']) > total for row, total in zip(log, final, strict=True))


@pytest.mark.parametrize('step', (
    pytest.param(5, id='within the first stage'), pytest.param(6, id='between the stages'),
    pytest.param(9, id='within the last stage')))
def test_a_resumed_training_ends_as_one_that_was_never_stopped(
        straight, tmp_path, monkeypatch, step):
    settings, log, expected = straight
    settings = again(settings, tmp_path)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(settings)
    assert len(rows(tmp_path)) == step // 2 * 2 and not (tmp_path / FOLDER).exists()
    run(settings, resume=True)
    assert rows(tmp_path) == log
    assert equal(weights(tmp_path), expected)


def test_a_dense_loss_resumes_likewise_and_leaves_no_trace_in_the_network(
        videos, tmp_path, monkeypatch):
    def settings(name, dense=3.0):
        return config(
            videos, tmp_path / name, STAGES, save_every=2,
            loss=LossWeights(num_points=64, dense=dense))

    whole, part = settings('whole'), settings('part')
    run(whole)
    with monkeypatch.context() as patch:
        kill_at(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(part)
    with pytest.raises(ConfigError, match='was made with a dense loss; expected the same'):
        run(settings('part', 0.0), resume=True)
    run(part, resume=True)
    log = rows(tmp_path / 'part')
    assert log == rows(tmp_path / 'whole')
    assert equal(weights(tmp_path / 'part'), weights(tmp_path / 'whole'))
    assert weights(tmp_path / 'whole').keys() == make_network(whole, NAMES).state_dict().keys()
    assert list(log[0])[4:8] == ['class', 'mask', 'dice', 'dense']
    final = [sum(float(row[k]) for k in ('class', 'mask', 'dice', 'dense')) for row in log]
    assert all(float(row['loss']) > total for row, total in zip(log, final, strict=True))
    assert float(log[-1]['dense']) < float(log[0]['dense'])


def test_rows_beyond_the_checkpoint_are_made_anew(straight, tmp_path, monkeypatch):
    settings, log, expected = straight
    settings = again(settings, tmp_path)
    save, done = torch.save, []

    def failing(*arguments):
        done.append(1)
        if len(done) == 5:  # at the end of the last stage, when the log is written already
            raise OSError('no space left')
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module.torch, 'save', failing)
        with pytest.raises(OSError, match='no space left'):
            run(settings)
    assert len(rows(tmp_path)) == 10
    with (tmp_path / LOG).open('a') as file:
        file.write('clip,1')  # of a row, torn
    run(settings, resume=True)
    assert rows(tmp_path) == log
    assert equal(weights(tmp_path), expected)


def test_a_finished_training_resumes_to_the_same_network(straight):
    settings, log, expected = straight
    output = Path(settings.output)
    (output / FOLDER / 'model.safetensors').unlink()
    run(settings, resume=True)
    assert rows(output) == log and equal(weights(output), expected)


@pytest.mark.parametrize('workers', (1, 2))
def test_workers_change_nothing(videos, tmp_path, workers):
    stages = (stage(steps=3, frames=2),)
    alone = run(config(videos, tmp_path / 'alone', stages))
    helped = run(config(videos, tmp_path / 'helped', stages, workers=workers))
    assert rows(alone) == rows(helped) and equal(weights(alone), weights(helped))


def test_pictures_and_jpeg_videos_train_together(tmp_path):
    settings = config(
        'unused', tmp_path / 'out', STAGES, data=(
            DataSource(str(write_videos(tmp_path / 'v', suffix='.jpg'))),
            DataSource(str(write_pictures(tmp_path / 'p')), weight=2.0)))
    assert len(rows(run(settings))) == 10


def test_another_seed_trains_another_network(videos, tmp_path):
    stages = (stage(steps=2),)
    one, same, other = (
        run(config(videos, tmp_path / str(i), stages, seed=seed))
        for i, seed in enumerate((0, 0, 1)))
    assert equal(weights(one), weights(same)) and rows(one) == rows(same)
    assert rows(one) != rows(other)


def test_the_result_knows_classes_and_how_it_wants_to_be_fed(straight):
    settings, _, _ = straight
    network = load_network(Path(settings.output) / FOLDER)
    assert network.config.class_names == NAMES
    assert network.config.thing_classes == {0, 1, 2}
    rule = network.config.preprocessing
    assert (rule.rule, rule.size, rule.multiple) == ('short_side', 32, 8)
    assert network(torch.zeros(1, 3, 40, 56)).class_logits.shape == (1, 5, 4)


def test_the_size_of_frames_at_run_time_can_be_another(videos):
    network = make_network(config(videos, test_size=64), NAMES)
    assert network.config.preprocessing.size == 64


def test_the_result_says_which_parts_of_its_masks_are_the_object(videos, tmp_path):
    assert make_network(config(videos), NAMES).config.mask_parts == 'all'
    network = make_network(config(videos, mask_parts='main'), NAMES)
    assert network.config.mask_parts == 'main'
    network.save_pretrained(tmp_path)
    for asked, expected in (('', 'main'), ('all', 'all')):
        settings = config(
            videos, init=str(tmp_path), network=Network(), mask_parts=asked)
        assert make_network(settings, NAMES).config.mask_parts == expected


def test_the_result_says_which_queries_it_does_not_carry_on(videos, tmp_path):
    assert make_network(config(videos), NAMES).config.renew_below == 0
    network = make_network(config(videos, renew_below=0.25), NAMES)
    assert network.config.renew_below == 0.25
    network.save_pretrained(tmp_path)
    for asked, expected in ((-1.0, 0.25), (0.0, 0.0), (0.5, 0.5)):
        settings = config(
            videos, init=str(tmp_path), network=Network(), renew_below=asked)
        assert make_network(settings, NAMES).config.renew_below == expected


def test_a_frozen_encoder_stays_while_heads_learn(videos, tmp_path):
    settings = config(videos, tmp_path, (stage(steps=2, frames=2, encoder_frozen=2),))
    before = make_network(settings, NAMES).state_dict()
    after = weights(run(settings))
    still = {name.split('.')[0] for name in before if torch.equal(before[name], after[name])}
    moved = {name.split('.')[0] for name in before if not torch.equal(before[name], after[name])}
    assert still == {'embed', 'blocks', 'norm'}
    assert moved == {'queries', 'query_updater', 'class_head', 'mask_head', 'upscale'}


def test_a_training_from_scratch_begins_with_the_asked_layer_scale(videos):
    network = make_network(
        config(videos, network=Network(hidden_size=32, patch_size=8, layer_scale=0.01)), NAMES)
    scales = [p for block in network.blocks for p in (block.scale1, block.scale2)]
    assert len(scales) == 12 and all(torch.equal(p, torch.full_like(p, 0.01)) for p in scales)


def saved_network(folder, names=('a', 'b'), things=frozenset((0,))):
    """Save a small network of other sizes than the toy trainings have."""
    torch.manual_seed(5)
    network = VideoMT(NetworkConfig(
        hidden_size=64, num_layers=2, num_heads=1, mlp_size=128, patch_size=16, num_queries=6,
        num_query_blocks=1, num_upscale_blocks=2, grid_size=2, class_names=names,
        thing_classes=things))
    network.save_pretrained(folder)
    return network


def test_a_saved_network_is_the_start_and_gets_a_head_for_the_classes(videos, tmp_path):
    start = saved_network(tmp_path / 'start')
    settings = config(
        videos, tmp_path / 'out', (stage(frames=2),), init=str(tmp_path / 'start'),
        network=Network())
    network = make_network(settings, NAMES)
    before, now = start.state_dict(), network.state_dict()
    assert {k for k in now if k not in before or not equal({k: before[k]}, {k: now[k]})} == {
        'class_head.weight', 'class_head.bias'}
    assert now['class_head.weight'].shape == (4, 64)
    assert equal(now, make_network(settings, NAMES).state_dict()), 'the new head follows the seed'
    run(settings)
    trained = load_network(tmp_path / 'out' / FOLDER)
    assert trained.config.class_names == NAMES and trained.config.thing_classes == {0, 1, 2}
    assert trained.config.preprocessing.rule == 'short_side'
    assert trained.config.num_queries == 6 and not equal(trained.state_dict(), now)


def test_a_head_for_the_same_classes_is_kept(videos, tmp_path):
    start = saved_network(tmp_path / 'start', NAMES, frozenset((1, 2)))
    settings = config(
        videos, init=str(tmp_path / 'start'), network=Network(), stages=(stage(),))
    network = make_network(settings, NAMES)
    assert equal(network.state_dict(), start.state_dict())
    assert network.config.thing_classes == {1, 2}


def test_a_start_that_is_none_is_named(videos, tmp_path):
    with pytest.raises(CheckpointError, match='absent'):
        Trainer(config(videos, tmp_path, init=str(tmp_path / 'absent'), network=Network()))


def refused(settings, resume=False):
    with pytest.raises(ConfigError) as caught:
        run(settings, resume)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_sizes_that_do_not_fit_together_are_told(videos, tmp_path):
    odd = config(videos, tmp_path, (stage('odd', frame_size=(32, 44)),))
    assert refused(odd) == (
        "stage 'odd': frame_size is [32, 44]; expected multiples of the patch size 8")
    heads = config(videos, tmp_path, network=Network(hidden_size=32, num_heads=3, patch_size=8))
    assert refused(heads).startswith('network: hidden_size 32 is not a multiple of num_heads 3')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device')
def test_a_device_that_is_not_there_is_told(videos, tmp_path):
    assert refused(config(videos, tmp_path, device='cuda')) == (
        "device is 'cuda'; this PyTorch finds 0 CUDA devices")


@pytest.mark.parametrize('workers', (0, 1))
def test_a_missing_picture_ends_the_training_with_its_name(tmp_path, workers):
    data = write_videos(tmp_path / 'data', videos=1, frames=1)
    (tmp_path / 'data/frames/0/0.png').unlink()
    assert refused(config(data, tmp_path / 'out', workers=workers)) == (
        f'{tmp_path}/data/frames/0/0.png: cannot be read (No such file or directory)')


def test_a_training_is_not_overwritten(straight):
    settings, log, _ = straight
    assert 'holds the checkpoint of a training' in refused(settings)
    assert rows(Path(settings.output)) == log


def test_there_must_be_something_to_resume_from(videos, tmp_path):
    settings = config(videos, tmp_path)
    assert refused(settings, resume=True) == (
        f'{tmp_path / CHECKPOINT}: no checkpoint to resume from')
    for content in (b'', b'nonsense'):
        (tmp_path / CHECKPOINT).write_bytes(content)
        assert 'not a checkpoint of this trainer' in refused(settings, resume=True)
    torch.save({'other': 1}, tmp_path / CHECKPOINT)
    assert 'not a checkpoint of this trainer' in refused(settings, resume=True)


def test_a_checkpoint_of_another_configuration_is_told(videos, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 9)
        with pytest.raises(KeyboardInterrupt):
            run(config(videos, tmp_path, STAGES, save_every=2))
    wider = config(videos, tmp_path, STAGES, network=Network(hidden_size=64, patch_size=8))
    assert 'does not fit the network' in refused(wider, resume=True)
    shorter = config(videos, tmp_path, STAGES[:1])
    assert 'stands in stage 2; expected at most the 1' in refused(shorter, resume=True)
    decayed = config(videos, tmp_path, (STAGES[0], stage('clip', steps=4, layer_decay=0.5)))
    assert "another optimizer or layer_decay in stage 'clip'" in refused(decayed, resume=True)
    other = config(videos, tmp_path, (STAGES[0], stage('clip', steps=4, optimizer='muon')))
    assert "another optimizer or layer_decay in stage 'clip'" in refused(other, resume=True)


def test_a_gradient_that_is_not_finite_ends_the_training(videos, tmp_path):
    settings = config(videos, tmp_path, (stage(lr=1e30, warmup=0, encoder_warmup=0),))
    with pytest.raises(FloatingPointError, match=r'stage 0, step 1: the gradient is not finite'):
        run(settings)


GROUP = """
import json, sys
import torch, torch.distributed as dist
from videomt_ros.training.config import read_config
from videomt_ros.training.trainer import Trainer
from dataclasses import replace

torch.distributed.init_process_group('gloo')
settings, out = read_config(sys.argv[1]), sys.argv[2]
straight = Trainer(replace(settings, output=out + '/straight'))
straight.run()
update, done = Trainer._update, []

def dying(self, *arguments):
    if len(done) == 5:
        raise KeyboardInterrupt
    done.append(1)
    return update(self, *arguments)

Trainer._update = dying
try:
    Trainer(replace(settings, output=out + '/stopped')).run()
except KeyboardInterrupt:
    dist.barrier()
Trainer._update = update
resumed = Trainer(replace(settings, output=out + '/stopped'))
resumed.run(resume=True)
for name, trainer in (('straight', straight), ('resumed', resumed)):
    torch.save(trainer.network.state_dict(), f'{out}/{name}{dist.get_rank()}.pth')
dist.destroy_process_group()
"""


def test_two_processes_train_one_network_and_resume(videos, tmp_path):
    script = tmp_path / 'group.py'
    script.write_text(GROUP)
    settings = write_json(tmp_path / 'config.yaml', {  # JSON is YAML
        'output': 'unused', 'data': [{'annotations': str(videos)}], 'save_every': 2,
        'device': 'cpu', 'loss': {'num_points': 64},
        'network': {'hidden_size': 32, 'num_layers': 3, 'patch_size': 8, 'num_queries': 5,
                    'num_query_blocks': 2, 'num_upscale_blocks': 1},
        'stages': [
            {'name': 'frame', 'steps': 4, 'frame_size': [32, 48], 'clips': 1, 'frames': 1},
            {'name': 'clip', 'steps': 3, 'frame_size': [32, 48], 'clips': 1, 'frames': 2}]})
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(script), str(settings), str(tmp_path)],
        env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    network, *others = (
        torch.load(tmp_path / f'{name}{rank}.pth', weights_only=True)
        for name in ('straight', 'resumed') for rank in (0, 1))
    assert all(equal(network, other) for other in others)
    assert rows(tmp_path / 'straight') == rows(tmp_path / 'stopped')
    assert equal(weights(tmp_path / 'straight'), network)
    alone = run(replace(read_config(settings), output=str(tmp_path / 'alone')))
    assert not equal(weights(alone), network), 'the second process has a say'
