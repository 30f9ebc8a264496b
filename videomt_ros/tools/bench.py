"""
``videomt_bench``: how fast each way to run the network is here, and whether it says the same.

All contenders run on the same frames in one run, by turns, beside Hugging Face's pipeline and a
matrix product of as many operations; then the node gets images at fixed rates.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
import json
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import cv2
from rich.console import Console
import torch
from videomt_ros import __version__
from videomt_ros.network import CheckpointError, load_network, VideoMT
from videomt_ros.perception import FrameInput
from videomt_ros.perception.engines import EngineError, ENGINES, PRECISIONS
from videomt_ros.share import share_directory
from videomt_ros.tools.bags.errors import BagError
from videomt_ros.tools.bags.frames import recorded_frames
from videomt_ros.tools.benching.contenders import HUGGING_FACE
from videomt_ros.tools.benching.frames import drawn_frames
from videomt_ros.tools.benching.machine import describe_machine, knows_bf16
from videomt_ros.tools.benching.plot import draw
from videomt_ros.tools.benching.puppet import make_puppet, SIZES
from videomt_ros.tools.benching.rates import NodeError
from videomt_ros.tools.benching.report import (
    node_numbers,
    node_table,
    subject_numbers,
    subject_table,
)
from videomt_ros.tools.benching.subjects import measure, measure_node, Subject

EMBEDDED = 'embedded'
_RECORDED_FRAMES = 80  # at most; the last quarter is for calibration
_DRAWN_FRAMES = 8  # the first half is a clip
_Engines = Sequence[tuple[str, str]]
_ON_CPU: _Engines = (
    (HUGGING_FACE, 'fp32'), ('eager', 'fp32'), ('eager', 'bf16'), ('onnxruntime', 'fp32'),
    ('openvino', 'fp32'), ('openvino', 'bf16'), ('openvino', 'int8'))
_ON_CPU_LARGE: _Engines = ((HUGGING_FACE, 'fp32'), ('openvino', 'fp32'), ('openvino', 'bf16'))
_ON_CUDA: _Engines = (
    (HUGGING_FACE, 'fp32'), (HUGGING_FACE, 'fp16'), ('eager', 'fp32'), ('eager', 'fp16'),
    ('compile', 'fp16'), ('cudagraph', 'fp16'), ('onnxruntime', 'fp16'), ('tensorrt', 'fp16'))


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line, or 130 after Ctrl-C.
    """
    arguments = _parse(argv)
    try:
        _run(arguments)
    except (CheckpointError, EngineError, BagError, NodeError, OSError) as error:
        print(f'videomt_bench: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 160)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    numbers: dict[str, Any] = {
        'version': __version__, 'machine': describe_machine(),
        'time': time.strftime('%Y-%m-%dT%H:%M:%S%z')}
    networks: dict[str, dict[str, Any]] = {}
    nodes = []
    with tempfile.TemporaryDirectory(prefix='videomt_bench_') as folder:
        for subject in _subjects(arguments, Path(folder)):
            found = measure(subject, say)
            networks[subject.name] = subject_numbers(found)
            console.print(subject_table(subject.name, networks[subject.name]))
            for text in found.missing:
                say(f'not measured: {text}')
            fast = [each for each in found.records if each.contender.engine != HUGGING_FACE
                    and each.contender.precision != 'int8']
            if arguments.seconds and fast and subject.name in (EMBEDDED, 'S'):
                nodes.append(node_numbers(measure_node(
                    subject, fast[-1], arguments.seconds, output / f'node_{subject.name}.log',
                    say)))
    if nodes:
        console.print(node_table(nodes))
    numbers |= {'networks': networks, 'node': nodes}
    (output / 'bench.json').write_text(json.dumps(numbers, indent=1) + '\n')
    say(str(output / 'bench.json'))
    try:
        draw(numbers, output / 'bench.png')
    except ImportError as error:
        say(f'no picture of it: {error}; pip install matplotlib')
    else:
        say(str(output / 'bench.png'))


def _subjects(arguments: argparse.Namespace, folder: Path) -> Iterator[Subject]:
    """Make the networks and their frames, each when it is its turn."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    engines = arguments.engines or (_ON_CUDA if device == 'cuda' else _ON_CPU)
    for size in arguments.networks or (
            [EMBEDDED, *SIZES] if device == 'cuda' else [EMBEDDED, 'S']):
        chosen = engines
        if engines is _ON_CPU:
            chosen = [each for each in (engines if size in (EMBEDDED, 'S') else _ON_CPU_LARGE)
                      if each[1] != 'bf16' or knows_bf16()]
        # What the embedded network sees is up to the recording.
        for objects in arguments.objects if size != EMBEDDED else [0]:
            several = size != EMBEDDED and len(arguments.objects) > 1
            name = f'{size}, {objects} objects' if several else size
            network, frames, clip = _network_and_frames(arguments, size, objects)
            network.save_pretrained(folder / name)
            del network
            yield Subject(
                name, str(folder / name), frames, clip, arguments.rounds, chosen, device)


def _network_and_frames(
        arguments: argparse.Namespace, size: str, objects: int,
) -> tuple[VideoMT, list[FrameInput], int]:
    """Give a network, the frames that it is shown, and how many of them are a clip."""
    height, width = arguments.frame
    if size != EMBEDDED:
        return (make_puppet(size, objects), drawn_frames(height, width, _DRAWN_FRAMES),
                _DRAWN_FRAMES // 2)
    bag = Path(arguments.bag or share_directory() / 'demo' / 'drive')
    frames = [frame._replace(frame=cv2.resize(frame.frame, (width, height)))
              for frame in islice(recorded_frames(bag), _RECORDED_FRAMES)]
    if not frames:
        raise BagError(f'{bag}: holds no picture; expected some of one camera')
    return load_network(arguments.checkpoint), frames, len(frames) - len(frames) // 4


def _engine(text: str) -> tuple[str, str]:
    engine, _, precision = text.partition(':')
    if engine not in ('hf', *ENGINES[1:]) or precision not in PRECISIONS:
        raise argparse.ArgumentTypeError(
            f'{text}: expected one of hf, {", ".join(ENGINES[1:])}, a colon, and one of '
            f'{", ".join(PRECISIONS)}')
    return HUGGING_FACE if engine == 'hf' else engine, precision


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='videomt_bench',
        description='Measure every way to run the network that is installed here, and the node; '
                    'leave the numbers as bench.json and bench.png.')
    parser.add_argument(
        '--networks', nargs='+', choices=(EMBEDDED, *SIZES),
        help='the embedded one, and ViT-S, -B and -L with random weights, at 640x640 as Hugging '
             'Face feeds them; default is all on CUDA, embedded and S on a CPU, which keeps it to '
             'minutes')
    parser.add_argument('--checkpoint', help='in place of the embedded one')
    parser.add_argument(
        '--bag', help='recording for it, its frames brought to --frame; default is the demo')
    parser.add_argument(
        '--frame', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), default=[720, 1280],
        help='size of the frames, default 720 1280')
    parser.add_argument(
        '--objects', type=int, nargs='+', default=[10], metavar='N',
        help='that S, B and L see, default 10; each number is measured by itself')
    parser.add_argument(
        '--engines', nargs='+', type=_engine, metavar='ENGINE:PRECISION',
        help='only these, such as openvino:bf16; hf:fp32 is Hugging Face. The default leaves bf16 '
             'out on a CPU that has no instructions for it')
    parser.add_argument('--rounds', type=int, default=2, help='default 2')
    parser.add_argument(
        '--seconds', type=float, default=8.0,
        help='for which the node gets images at each rate; 0 leaves the node out; default 8')
    parser.add_argument('--output', default='bench_output', help='folder, made where missing')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
