"""The training configuration: a YAML file, read into frozen records and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, MISSING
import math
from pathlib import Path
import re
from typing import Any, get_args, get_origin, get_type_hints

from videomt_ros.network.config import MASK_PARTS
import yaml

from .losses import LossWeights


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file and the entry."""


@dataclass(frozen=True)
class DataSource:
    """
    One data set.

    :param annotations: YouTube-VIS JSON (videos) or COCO JSON (images, shown as pseudo-clips).
    :param images: folder that the file names are relative to; empty is the annotations' own.
    :param weight: how often clips are drawn from it, against the other sources.
    :param stride: in place of the stages' for its videos, where they hold fewer frames of a
        second than the others do; 0 is the stages'.
    """

    annotations: str
    images: str = ''
    weight: float = 1.0
    stride: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 0, 'stride')
        _expect(self.weight > 0, 'weight', self.weight, 'more than 0')


@dataclass(frozen=True)
class Network:
    """
    Sizes of a network trained from scratch; names as in NetworkConfig.

    :param hidden_size: channels.
    :param num_layers: transformer blocks.
    :param num_heads: attention heads.
    :param patch_size: side of a patch in pixels.
    :param num_registers: register tokens.
    :param num_queries: object queries.
    :param num_query_blocks: last blocks that see the queries.
    :param num_upscale_blocks: doublings of the patch features.
    :param layer_scale: initial value of LayerScale.
    """

    hidden_size: int = 128
    num_layers: int = 6
    num_heads: int = 2
    patch_size: int = 16
    num_registers: int = 4
    num_queries: int = 24
    num_query_blocks: int = 3
    num_upscale_blocks: int = 2
    layer_scale: float = 1.0

    def __post_init__(self) -> None:
        _at_least(self, 1, 'hidden_size', 'num_layers', 'num_heads', 'patch_size', 'num_queries',
                  'num_query_blocks')
        _at_least(self, 0, 'num_registers', 'num_upscale_blocks')


@dataclass(frozen=True)
class Stage:
    """
    One stage of the training, with an optimizer of its own.

    :param name: for the log.
    :param steps: optimizer steps.
    :param frame_size: (height, width) in pixels that clips are brought to.
    :param clips: clips per step and process.
    :param frames: frames of each clip; 1 trains per frame.
    :param stride: frames of a clip are up to this many video frames apart.
    :param lead: up to this many frames come before those of a clip, without a loss: the clip
        begins with queries that were carried through them, and with their objects bound.
    :param zoom: largest random enlargement of a clip (a crop), 1 is none.
    :param colour: strength of random brightness, contrast and channel gains, 0 is none.
    :param paste: share of the clips that get objects of another clip pasted in, 0..1.
    :param twins: share of the clips in which objects get a copy of theirs close by, 0..1.
    :param optimizer: ``adamw``, or ``muon`` for what is trained from scratch (with about twice
        AdamW's rate).
    :param lr: base learning rate.
    :param layer_decay: of the rate over depth, 1 is none.
    :param dense_rate: rate of the layer that ``dense`` in ``loss`` adds, in parts of ``lr``; it
        begins anew with each training, and where the network does not, it should learn faster.
    :param weight_decay: AdamW's.
    :param warmup: steps of linear warm-up.
    :param encoder_frozen: first steps in which the encoder does not learn.
    :param encoder_warmup: steps of the encoder's warm-up after that.
    :param clip_norm: largest norm of the gradient, 0 is no limit.
    :param masked_attention: progress 0..1 at which masked attention begins and has ceased to
        fade; ``[0, 0]`` is none.
    """

    name: str
    steps: int
    frame_size: tuple[int, int]
    clips: int = 8
    frames: int = 5
    stride: int = 1
    lead: int = 0
    zoom: float = 1.5
    colour: float = 0.2
    paste: float = 0.0
    twins: float = 0.0
    optimizer: str = 'adamw'
    lr: float = 1e-4
    layer_decay: float = 0.6
    dense_rate: float = 1.0
    weight_decay: float = 0.05
    warmup: int = 500
    encoder_frozen: int = 500
    encoder_warmup: int = 1000
    clip_norm: float = 1.0
    masked_attention: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        _at_least(self, 1, 'steps', 'clips', 'frames', 'stride', 'zoom')
        _at_least(self, 0, 'lead', 'colour', 'weight_decay', 'warmup', 'encoder_frozen',
                  'encoder_warmup', 'clip_norm')
        _expect(0 <= self.paste <= 1, 'paste', self.paste, '0 to 1')
        _expect(0 <= self.twins <= 1, 'twins', self.twins, '0 to 1')
        _expect(min(self.frame_size) > 0, 'frame_size', self.frame_size, 'pixels, at least 1')
        _expect(self.optimizer in ('adamw', 'muon'), 'optimizer', self.optimizer,
                'adamw or muon')
        _expect(self.lr > 0, 'lr', self.lr, 'more than 0')
        _expect(self.dense_rate > 0, 'dense_rate', self.dense_rate, 'more than 0')
        _expect(0 < self.layer_decay <= 1, 'layer_decay', self.layer_decay, 'above 0, up to 1')
        begin, end = self.masked_attention
        _expect(begin == end == 0 or 0 <= begin < end <= 1, 'masked_attention', [begin, end],
                'two rising numbers in 0..1, or [0, 0]')


@dataclass(frozen=True)
class TrainConfig:
    """
    A whole training.

    :param output: folder of logs and checkpoints.
    :param data: at least one source; all have the same categories.
    :param stages: run one after the other; no two have the same name.
    :param seed: of weights, clips, augmentation and points.
    :param init: checkpoint to start from, as load_network takes it; empty is from scratch.
    :param network: sizes where there is no ``init`` (which brings its own).
    :param test_size: short side in pixels at which the trained network wants its frames; 0 is
        that of the last stage.
    :param mask_parts: ``main`` where the trained network may show several objects that look alike
        in one mask, else ``all``; empty is as ``init`` has it.
    :param renew_below: class probability, 0..1, below which a query is carried on in part, and
        begins anew for the rest; less than 0 is as ``init`` has it, and 0, which carries all on,
        without one.
    :param loss: weights and points.
    :param precision: ``fp32``, or ``bf16`` / ``fp16`` for autocast.
    :param device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
    :param threads: of torch and OpenCV on the CPU.
    :param workers: processes that prepare clips; 0 does it in the training process.
    :param save_every: steps between checkpoints.
    """

    output: str
    data: tuple[DataSource, ...]
    stages: tuple[Stage, ...]
    seed: int = 0
    init: str = ''
    network: Network = field(default_factory=Network)
    test_size: int = 0
    mask_parts: str = ''
    renew_below: float = -1.0
    loss: LossWeights = field(default_factory=LossWeights)
    precision: str = 'fp32'
    device: str = 'auto'
    threads: int = 1
    workers: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        _expect(bool(self.output), 'output', self.output, 'a folder')
        _expect(bool(self.data), 'data', list(self.data), 'at least one source')
        _expect(bool(self.stages), 'stages', list(self.stages), 'at least one stage')
        names = [stage.name for stage in self.stages]  # the log tells stages apart by them
        _expect(len(set(names)) == len(names), 'stages', names, 'a name of its own for each')
        _expect(self.precision in ('fp32', 'bf16', 'fp16'), 'precision', self.precision,
                'fp32, bf16 or fp16')
        _expect(re.fullmatch(r'auto|cpu|cuda(:\d+)?', self.device) is not None, 'device',
                self.device, 'auto, cpu, cuda or cuda:N')
        _expect(not self.init or self.network == Network(), 'network', self.network,
                f'none, for the sizes are those of init ({self.init})')
        _expect(self.mask_parts in ('', *MASK_PARTS), 'mask_parts', self.mask_parts,
                f'one of {", ".join(MASK_PARTS)}, or nothing')
        _expect(self.renew_below <= 1, 'renew_below', self.renew_below, 'at most 1')
        _at_least(self, 0, 'seed', 'test_size', 'workers')
        _at_least(self, 1, 'threads', 'save_every')
        loss = self.loss
        _expect(min(loss.classes, loss.mask, loss.dice, loss.no_object, loss.dense) >= 0, 'loss',
                loss, 'weights of at least 0')
        _expect(loss.num_points >= 1 and loss.oversample >= 1 and 0 <= loss.importance <= 1,
                'loss', loss, 'num_points and oversample of at least 1, importance in 0..1')
        _expect(loss.loyalty >= 0, 'loss', loss, 'a loyalty of at least 0')


def _expect(holds: bool, name: str, value: Any, expected: str) -> None:
    """Raise ConfigError unless a condition on an entry holds."""
    if not holds:
        raise ConfigError(f'{name} is {value!r}; expected {expected}')


def _at_least(record: Any, least: float, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        _expect(value >= least, name, value, f'at least {least}')


def read_config(path: str | Path) -> TrainConfig:
    """
    Read and check a training configuration.

    :param path: a YAML file whose keys are the fields of :class:`TrainConfig`.
    :returns: the record; relative paths in it stay relative to the working directory.
    :raises ConfigError: in one sentence, when the file or an entry of it cannot be used.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read ({error.strerror})') from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'{path}: not text in UTF-8') from error
    except yaml.YAMLError as error:
        reason = ' '.join(str(error).split())
        raise ConfigError(f'{path}: not YAML ({reason})') from error
    try:
        result: TrainConfig = _build(TrainConfig, content, '')
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    return result


def _build(kind: Any, content: Any, where: str) -> Any:
    """Make a value of a type (record, tuple or plain) out of the content of the entry where."""
    found = f'{where or "the file"} is {content!r}'
    if is_dataclass(kind):
        return _build_record(kind, content, where)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(content, (list, tuple)):
            raise ConfigError(f'{found}; expected a list')
        if items[-1] is Ellipsis:
            items = (items[0],) * len(content)
        if len(content) != len(items):
            raise ConfigError(f'{found}; expected {len(items)} values')
        return tuple(
            _build(item, value, f'{where}[{i}]')
            for i, (item, value) in enumerate(zip(items, content, strict=True)))
    if kind is float and isinstance(content, (int, float, str)) and not isinstance(content, bool):
        try:  # YAML 1.1 reads 1e-4 as a string
            number = float(content)
        except ValueError as error:
            raise ConfigError(f'{found}; expected a number') from error
        _expect(math.isfinite(number), where, content, 'a finite number')
        return number
    if not isinstance(content, kind) or (kind is int and isinstance(content, bool)):
        expected = {int: 'a whole number', float: 'a number', str: 'text'}[kind]
        raise ConfigError(f'{found}; expected {expected}')
    return content


def _build_record(kind: Any, content: Any, where: str) -> Any:
    """Make a record out of YAML's entries; its own complaints get the place in front."""
    found = where or 'the file'
    if not isinstance(content, dict):
        raise ConfigError(f'{found} is {content!r}; expected entries with names')
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    prefix = f'{where}.' if where else ''
    for name in content:
        if name not in known:
            raise ConfigError(
                f'{found} has an unknown entry {name!r}; expected {", ".join(known)}')
    for f in fields(kind):
        if f.name not in content and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(f'{found} lacks the entry {f.name!r}')
    values = {name: _build(hints[name], value, prefix + name) for name, value in content.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f'{prefix}{error}') from error
