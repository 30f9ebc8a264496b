"""
The training loop: stages, optimizer, log, checkpoints; resumes bit for bit.

Everything random in a step is drawn from (seed, stage, step, process). A checkpoint therefore
holds weights, optimizer and position alone, and the step after a resume equals the step that
would have followed.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import csv
from dataclasses import replace
import os
from pathlib import Path
import pickle
import time
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from videomt_ros.network import load_network, NetworkConfig, Preprocessing, VideoMT
from videomt_ros.network.device import find_device

from .clip_step import anneal, ClipStep
from .config import ConfigError, Stage, TrainConfig
from .data import ClipBatches, read_sources
from .losses import ClipTargets
from .optimizer import make_optimizers
from .schedule import learning_rate

CHECKPOINT = 'checkpoint.pth'
FOLDER = 'network'
LOG = 'log.csv'
_AUTOCAST = {'bf16': torch.bfloat16, 'fp16': torch.float16}
# Each fp16 step whose gradient overflows halves the loss scale, which begins at 2**16. Below this
# it is no overflow that is in the way.
_LEAST_SCALE = 2.0 ** -16


class Trainer:
    """
    Trains one network by its configuration.

    :param config: what to do; files are read and the network is made here.
    :raises ConfigError: when data, network sizes or device cannot be used.
    :raises CheckpointError: when ``init`` cannot be loaded.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.device = _device(config.device)
        torch.set_num_threads(config.threads)
        cv2.setNumThreads(config.threads)
        names, self.videos = read_sources(config.data)
        self.network = make_network(config, names).to(self.device).train()
        self.clip_step = ClipStep(self.network, config.loss).to(self.device)
        self._losses = ('loss', 'class', 'mask', 'dice', *(['dense'] if config.loss.dense else []))
        self._columns = ('stage', 'step', 'lr', *self._losses, 'grad_norm', 'seconds')
        self.output = Path(config.output)
        if self.rank == 0:
            self.output.mkdir(parents=True, exist_ok=True)
        self.stage, self.step = 0, 0

    def run(self, resume: bool = False) -> None:
        """
        Train all stages and write the network into ``<output>/network``.

        :param resume: go on from ``<output>/checkpoint.pth``.
        :raises ConfigError: when there is nothing to resume from, or without ``resume`` when
            there is: a finished or interrupted training is not overwritten.
        """
        saved = self._resume() if resume else None
        if not resume and (self.output / CHECKPOINT).exists():
            raise ConfigError(
                f'{self.output}: holds the checkpoint of a training; expected another output '
                f'folder, or resume')
        if not resume and self.rank == 0:
            _write_rows(self.output / LOG, [self._columns], 'w')
        while self.stage < len(self.config.stages):
            self._run_stage(self.config.stages[self.stage], saved)
            saved = None
            self.stage, self.step = self.stage + 1, 0
        if self.rank == 0:
            self.save_network()

    def save_network(self) -> None:
        """Write the weights as they are now into ``<output>/network``."""
        self.network.save_pretrained(self.output / FOLDER)

    def _run_stage(self, stage: Stage, saved: dict[str, Any] | None) -> None:
        optimizers = make_optimizers(self.network, stage, self.clip_step.dense)
        scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.config.precision == 'fp16')
        if saved is not None:
            try:
                for optimizer, state in zip(optimizers, saved['optimizers'], strict=True):
                    _load(optimizer, state)
            except ValueError as error:
                raise ConfigError(
                    f'{self.output / CHECKPOINT}: was made with another optimizer or layer_decay '
                    f'in stage {stage.name!r}, or another weight_decay or dense_rate; expected '
                    f'the same to resume') from error
            if saved['scaler']:  # empty where the precision was another one than fp16
                scaler.load_state_dict(saved['scaler'])
        module: nn.Module = self.clip_step
        if dist.is_initialized():
            # A stage of single frames never uses the query updater.
            module = DistributedDataParallel(
                module, find_unused_parameters=stage.frames == 1)
        blocks = self.network.config.num_query_blocks
        shares = anneal(blocks, *stage.masked_attention)
        rows: list[tuple[Any, ...]] = []
        with tqdm(
                total=stage.steps, initial=self.step, desc=stage.name, disable=self.rank > 0,
                mininterval=5) as bar:
            began = time.monotonic()
            for pixels, targets in self._batches(stage):
                lr = _set_rates(optimizers, stage, self.step)
                generator = torch.Generator().manual_seed(self._seed_of_step())
                with self._autocast():
                    losses = module(
                        pixels.to(self.device), targets.to(self.device),
                        shares(self.step / stage.steps), generator,
                        lead=pixels.shape[1] - stage.frames)
                norm = self._update(losses['loss'], optimizers, scaler, stage.clip_norm)
                now = time.monotonic()
                rows.append((
                    stage.name, self.step, f'{lr:.3g}',
                    *(f'{losses[name].item():.5f}' for name in self._losses),
                    f'{norm:.4g}', f'{now - began:.3f}'))
                began = now
                self.step += 1
                bar.update()
                bar.set_postfix(loss=rows[-1][3], refresh=False)
                if self.step % self.config.save_every == 0 or self.step == stage.steps:
                    self._save(optimizers, scaler, rows)
                    rows = []

    def _batches(self, stage: Stage) -> Iterator[tuple[torch.Tensor, ClipTargets]]:
        batches = ClipBatches(
            self.videos, self.config, stage, self.stage, self.network.config.preprocessing,
            self.rank)
        loader = torch.utils.data.DataLoader(
            batches, batch_size=None, sampler=range(self.step, stage.steps),
            num_workers=self.config.workers, worker_init_fn=_start_worker)
        try:
            yield from loader
        except ConfigError as error:
            # That of a worker has a traceback in its message, which ends with the one line.
            line = str(error).strip().splitlines()[-1]
            raise ConfigError(line.split('ConfigError: ')[-1]) from error

    def _seed_of_step(self) -> int:
        sequence = np.random.SeedSequence(
            (self.config.seed, self.stage, self.step, self.rank))
        return int(sequence.generate_state(1)[0])

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        dtype = _AUTOCAST.get(self.config.precision)
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype)

    def _update(
            self, loss: torch.Tensor, optimizers: list[torch.optim.Optimizer],
            scaler: torch.amp.GradScaler, clip_norm: float) -> float:
        """Take one step; gives the norm of the gradient before clipping."""
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        for optimizer in optimizers:
            scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(
            self.clip_step.parameters(), clip_norm or float('inf'))
        if torch.isfinite(norm):
            for optimizer in optimizers:
                scaler.step(optimizer)
        elif not scaler.is_enabled() or scaler.get_scale() < _LEAST_SCALE:
            raise FloatingPointError(
                f'stage {self.stage}, step {self.step}: the gradient is not finite; lower the '
                f'learning rate, or resume from {self.output / CHECKPOINT}')
        # No optimizer steps unless all can: clipping has spread what is not finite to all of them.
        scaler.update()
        return float(norm)

    def _save(
            self, optimizers: list[torch.optim.Optimizer], scaler: torch.amp.GradScaler,
            rows: list[tuple[Any, ...]]) -> None:
        """Append to the log, then replace the checkpoint in one move."""
        if self.rank > 0:
            return
        _write_rows(self.output / LOG, rows, 'a')
        path = self.output / CHECKPOINT
        saved = {
            'model': self.network.state_dict(),
            'dense': self.clip_step.dense.state_dict() if self.clip_step.dense else None,
            'optimizers': [optimizer.state_dict() for optimizer in optimizers],
            'scaler': scaler.state_dict(),
            'stage': self.stage,
            'step': self.step,
        }
        try:
            torch.save(saved, path.with_suffix('.new'))
        except RuntimeError as error:
            if 'inline_container' not in str(error):  # where PyTorch writes
                raise
            path.with_suffix('.new').unlink(missing_ok=True)
            raise OSError(f'{path}: cannot be written: {str(error).splitlines()[0]}') from error
        os.replace(path.with_suffix('.new'), path)

    def _resume(self) -> dict[str, Any] | None:
        """Take up the checkpoint; gives it, or None between two stages."""
        path = self.output / CHECKPOINT
        if not path.is_file():
            raise ConfigError(f'{path}: no checkpoint to resume from')
        try:
            saved: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
            model, self.stage, self.step, _ = (
                saved[name] for name in ('model', 'stage', 'step', 'optimizers'))
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise ConfigError(f'{path}: not a checkpoint of this trainer') from error
        try:
            self.network.load_state_dict(model)
        except RuntimeError as error:
            raise ConfigError(
                f'{path}: does not fit the network of this configuration') from error
        dense, head = saved.get('dense'), self.clip_step.dense
        if (dense is None) != (head is None):
            made = 'without' if dense is None else 'with'
            raise ConfigError(
                f'{path}: was made {made} a dense loss; expected the same to resume')
        if head is not None and dense is not None:
            head.load_state_dict(dense)
        if self.stage >= len(self.config.stages):
            raise ConfigError(
                f'{path}: stands in stage {self.stage + 1}; expected at most the '
                f'{len(self.config.stages)} of this configuration')
        if self.rank == 0:
            _drop_rows(
                self.output / LOG, self._columns, self.config, self.stage, self.step)
        if self.step >= self.config.stages[self.stage].steps:
            self.stage, self.step = self.stage + 1, 0
            return None
        return saved


def make_network(config: TrainConfig, class_names: tuple[str, ...]) -> VideoMT:
    """
    Make the network with which a training begins.

    :param config: its ``init`` or ``network``, frame sizes, ``test_size``, ``mask_parts``,
        ``renew_below`` and ``seed`` count.
    :param class_names: of the data; a class head for other classes is replaced by a new one.
    :returns: the network, float32, on the CPU.
    :raises CheckpointError: when ``init`` cannot be loaded.
    :raises ConfigError: when sizes do not fit together.
    """
    torch.manual_seed(config.seed)
    things = frozenset(range(len(class_names)))
    short_side = config.test_size or min(config.stages[-1].frame_size)
    if config.init:
        network = load_network(config.init)
        _check_frame_sizes(config.stages, network.config.patch_size)
        network.config = replace(network.config, preprocessing=replace(
            network.config.preprocessing, rule='short_side', size=short_side),
            mask_parts=config.mask_parts or network.config.mask_parts,
            renew_below=(network.config.renew_below if config.renew_below < 0
                         else config.renew_below))
        if network.config.class_names != class_names:
            network.config = replace(
                network.config, class_names=class_names, thing_classes=things)
            head = nn.Linear(network.config.hidden_size, len(class_names) + 1)
            nn.init.trunc_normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
            network.class_head = head
        return network
    sizes = config.network
    _check_frame_sizes(config.stages, sizes.patch_size)
    try:
        record = NetworkConfig(
            hidden_size=sizes.hidden_size, num_layers=sizes.num_layers,
            num_heads=sizes.num_heads, mlp_size=4 * sizes.hidden_size,
            patch_size=sizes.patch_size, num_registers=sizes.num_registers,
            num_queries=sizes.num_queries, num_query_blocks=sizes.num_query_blocks,
            num_upscale_blocks=sizes.num_upscale_blocks,
            grid_size=max(config.stages[0].frame_size) // sizes.patch_size,
            class_names=class_names, thing_classes=things,
            preprocessing=Preprocessing('short_side', short_side, multiple=sizes.patch_size),
            mask_parts=config.mask_parts or 'all',
            renew_below=max(config.renew_below, 0.0))
    except ValueError as error:
        raise ConfigError(f'network: {error}') from error
    network = VideoMT(record)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(('scale1', 'scale2')):
                parameter.fill_(sizes.layer_scale)
    return network


def _check_frame_sizes(stages: tuple[Stage, ...], patch_size: int) -> None:
    for stage in stages:
        if any(side % patch_size for side in stage.frame_size):
            raise ConfigError(
                f'stage {stage.name!r}: frame_size is {list(stage.frame_size)}; expected '
                f'multiples of the patch size {patch_size}')


def _start_worker(_: int) -> None:
    # Threads of OpenCV do not survive the fork; whoever waits for them waits forever.
    cv2.setNumThreads(0)


def _device(name: str) -> torch.device:
    try:
        device = find_device(name)
        if device.type == 'cuda' and dist.is_initialized():
            device = find_device(f'cuda:{os.environ.get("LOCAL_RANK", "0")}')
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if device.type == 'cuda':
        torch.cuda.set_device(device)
    return device


def _load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """
    Take up the state of an optimizer.

    :param optimizer: as the configuration makes it.
    :param state: of one that was saved.
    :raises ValueError: when its groups are others; only their rates may differ, which each step
        sets.
    """
    wanted = [_settings(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    if [_settings(group) for group in optimizer.param_groups] != wanted:
        raise ValueError('the settings of the groups differ')


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ('params', 'lr')}


def _set_rates(
        optimizers: list[torch.optim.Optimizer], stage: Stage, step: int) -> float:
    """Set each group's rate for a step; gives that of the heads."""
    heads = learning_rate(step, stage.steps, stage.lr, stage.warmup)
    encoder = learning_rate(
        step, stage.steps, stage.lr, stage.encoder_warmup, stage.encoder_frozen)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['lr'] = group['scale'] * (encoder if group['encoder'] else heads)
    return heads


def _write_rows(path: Path, rows: list[tuple[Any, ...]], mode: str) -> None:
    with path.open(mode, newline='', encoding='utf-8') as file:
        csv.writer(file).writerows(rows)


def _drop_rows(
        path: Path, columns: tuple[str, ...], config: TrainConfig, stage: int, step: int) -> None:
    """Keep the log's rows before a position (a run may die between log and checkpoint)."""
    done = {s.name: s.steps for s in config.stages[:stage]}
    done[config.stages[stage].name] = step
    rows: list[tuple[Any, ...]] = []
    if path.exists():
        with path.open(newline='', encoding='utf-8') as file:
            # The last row may be torn.
            rows = [tuple(row) for row in csv.reader(file) if len(row) == len(columns)]
    kept = [row for row in rows if row != columns and int(row[1]) < done.get(row[0], 0)]
    _write_rows(path, [columns, *kept], 'w')
