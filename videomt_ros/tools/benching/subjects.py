"""One network after the other: its contenders by turns, and the node with the fastest of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from videomt_ros.network import load_network, NetworkConfig, VideoMT
from videomt_ros.perception import FrameInput, VideoSegmenter
from videomt_ros.perception.engines import EngineChoice, EngineError
from videomt_ros.perception.engines.int8 import quantise, Sampler
from videomt_ros.perception.resize import Resizer

from .arena import Booth, ContenderError, Record
from .contenders import Contender, HUGGING_FACE, PIPELINE
from .machine import operations, product_milliseconds
from .rates import NodeBench, RateRecord

_INT8 = ('openvino', 'int8')
_OVERLOAD = (0.5, 0.9, 2.0)  # rates, as shares of what the node can do
Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """
    A network, and what it is measured on.

    :param name: for tables.
    :param checkpoint: folder of the weights.
    :param frames: of one camera.
    :param clip: how many of them are a clip, the first ones; int8 is calibrated on those after
        it, so that it is not judged by what it was made for.
    :param rounds: how many clips each contender runs.
    :param engines: pairs of engine and precision; the first is what the others are compared with.
    :param device: where all of them run.
    """

    name: str
    checkpoint: str
    frames: Sequence[FrameInput]
    clip: int
    rounds: int
    engines: Sequence[tuple[str, str]]
    device: str = 'cpu'


@dataclass
class SubjectRecord:
    """
    What was measured of one network.

    :param subject: which.
    :param config: of the network.
    :param input_size: (height, width) of the network's input.
    :param operations: of one step.
    :param product: milliseconds of a product of as many operations, by precision, each round.
    :param records: of the contenders that could take part.
    :param missing: why others could not.
    """

    subject: Subject
    config: NetworkConfig
    input_size: tuple[int, int]
    operations: int
    product: dict[str, list[float]] = field(default_factory=lambda: {'fp32': [], 'bf16': []})
    records: list[Record] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measure(subject: Subject, say: Say) -> SubjectRecord:
    """
    Let the contenders take turns.

    :param subject: the network and its contenders.
    :param say: is told how it goes on.
    :returns: what was measured.
    """
    network = load_network(subject.checkpoint)
    size = Resizer(network.config.preprocessing, network.config.patch_size).geometry(
        *subject.frames[0].frame.shape[:2]).padded
    found = SubjectRecord(
        subject, network.config, size, operations(network.config, *size))
    engines = list(subject.engines)
    if _INT8 in engines:
        say(f'{subject.name}: calibrating int8')
        try:
            _calibrate(network, subject.frames[subject.clip:])
        except (EngineError, ValueError) as error:
            found.missing.append(f'{" ".join(_INT8)}: {error}')
            engines.remove(_INT8)
    del network
    with ExitStack() as stack:
        booths = []
        for engine, precision in engines:
            contender = Contender(
                engine, precision, subject.checkpoint, device=subject.device)
            say(f'{subject.name}: {contender.name}')
            try:
                booth = stack.enter_context(Booth(contender, subject.frames))
                booth.clip(1, keep=False)
            except ContenderError as error:
                found.missing.append(str(error))
                continue
            booths.append(booth)
            found.records.append(booth.record)
        for turn in range(subject.rounds):
            say(f'{subject.name}: round {turn + 1} of {subject.rounds}')
            for precision, times in found.product.items():
                dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16}[precision]
                times.append(product_milliseconds(found.operations, dtype, subject.device))
            for booth in booths:
                # Of Hugging Face's pipeline two frames are enough to see the memory carried on.
                few = booth.record.contender.engine == HUGGING_FACE
                if not few:
                    booth.cameras(steps=2)
                booth.clip(2 if few else subject.clip)
    return found


def _calibrate(network: VideoMT, frames: Sequence[FrameInput]) -> None:
    sampler = Sampler(network, EngineChoice('openvino', 'fp32').make(network), every=1)
    segmenter = VideoSegmenter(network, engine=sampler)
    for frame in frames:
        segmenter.process_many({'': frame})
    quantise(network, sampler.samples)


@dataclass
class NodeRecord:
    """
    What was measured of the node.

    :param subject: name of the network.
    :param contender: what the node ran.
    :param bare: milliseconds of the pipeline without the node, from frame to label map.
    :param rates: images one by one first, then at shares of what the node can do.
    :param shares: of the rates, None for the first.
    :param stages: 'p50' and 'p95' of the node's stages, milliseconds, images one by one.
    :param memory: resident megabytes of the node: after the first images, at the end, the peak.
    """

    subject: str
    contender: str
    bare: float
    rates: list[RateRecord]
    shares: list[float | None]
    stages: dict[str, dict[str, float]]
    memory: dict[str, float]


def measure_node(
        subject: Subject, record: Record, seconds: float, log: Path, say: Say) -> NodeRecord:
    """
    Send images to the node.

    :param subject: the network and the frames.
    :param record: of the contender that the node is to run.
    :param seconds: for which images come at each rate.
    :param log: file for what the node says.
    :param say: is told how it goes on.
    :returns: what was measured.
    :raises NodeError: when the node does not run.
    """
    times = sorted(pipeline_milliseconds(record))
    bare = times[len(times) // 2]
    say(f'{subject.name}: the node')
    with NodeBench(record.contender, subject.frames, log) as node:
        rates = [node.closed_loop(max(5, round(1e3 * seconds / bare / 2)))]
        stages = node.stages()
        memory = {'first': node.memory()['now']}
        capacity = 1e3 / sorted(rates[0].latency)[len(rates[0].latency) // 2]
        for share in _OVERLOAD:
            say(f'{subject.name}: the node at {share} x {capacity:.1f} images a second')
            rates.append(node.open_loop(share * capacity, seconds))
        now = node.memory()
    return NodeRecord(
        subject.name, record.contender.name, bare, rates, [None, *_OVERLOAD],
        stages,
        {**memory, 'last': now['now'], 'peak': now['peak']})


def pipeline_milliseconds(record: Record) -> list[float]:
    """
    Add up the stages from a frame to its label map.

    :param record: of a contender.
    :returns: of each frame.
    """
    return [sum(stages.get(name, 0.0) for name in PIPELINE) for stages in record.frames]
