"""
``videomt_export``: make the graph of a checkpoint that the faster engines run.

The engines make it themselves on first use; this program does it beforehand, says how far the
graph agrees with PyTorch, and makes the int8 graph, which needs frames to calibrate with.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from itertools import islice
import json
from pathlib import Path
import shutil
import sys

import numpy as np
from videomt_ros.network import CheckpointError, load_network, VideoMT
from videomt_ros.network.step_graph import grid_positions, INPUTS, OUTPUTS
from videomt_ros.perception import FrameInput, VideoSegmenter
from videomt_ros.perception.engines import Engine, EngineChoice, EngineError
from videomt_ros.perception.engines.agreement import difference
from videomt_ros.perception.engines.int8 import quantise, Sampler
from videomt_ros.perception.engines.onnx_runtime import exported, OnnxRuntimeEngine
from videomt_ros.perception.engines.openvino_cpu import exported as exported_for_openvino
from videomt_ros.perception.resize import Resizer
from videomt_ros.tools.bags.errors import BagError
from videomt_ros.tools.bags.frames import recorded_frames
from videomt_ros.tools.benching.agreement import compare, Picture


class ExportError(Exception):
    """What keeps the export from going on, in one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line.
    """
    arguments = _parse(argv)
    try:
        _run(arguments)
    except (CheckpointError, EngineError, BagError, ExportError, OSError) as error:
        print(f'videomt_export: {error}', file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    network = load_network(arguments.checkpoint)
    if arguments.precision == 'int8':
        path = _calibrated(network, Path(arguments.calibrate), arguments.topic, arguments.frames)
    else:
        path, engine = _graph(network, arguments.precision)
        found = difference(network, engine)
        print(f'largest differences from PyTorch, as shares of the largest value: class logits '
              f'{found.class_logits:.1e}, mask logits {found.mask_logits:.1e}, queries '
              f'{found.queries:.1e}')
    print(f'{path} ({path.stat().st_size / 1e6:.1f} MB)')
    if arguments.output:
        _hand_out(network, path, Path(arguments.output), arguments.size)


def _graph(network: VideoMT, precision: str) -> tuple[Path, Engine]:
    """Give a graph as ONNX, and something that runs it here."""
    if precision == 'fp32' and find_spec('openvino'):
        path = exported_for_openvino(network)
        return path, EngineChoice('openvino', precision).make(network)
    path = exported(network, precision)
    return path, OnnxRuntimeEngine(network, path, 'cpu')


def _calibrated(network: VideoMT, bag: Path, topic: str | None, count: int) -> Path:
    """Make the int8 graph with every other frame of a recording; judge it by the rest."""
    frames = list(islice(recorded_frames(bag, topic), count))
    if len(frames) < 2:
        raise ExportError(f'{bag}: {len(frames)} frames to calibrate with, expected 2 or more')
    exact = EngineChoice('openvino', 'fp32').make(network)
    sampler = Sampler(network, exact, every=2)
    expected = _pictures(network, sampler, frames)
    path = quantise(network, sampler.samples)
    answers = _pictures(network, EngineChoice('openvino', 'int8').make(network), frames)
    found = compare(expected[1::2], answers[1::2])
    path.with_suffix('.json').write_text(json.dumps(
        {'calibrated_on': str(bag), 'frames': len(frames), **asdict(found)}, indent=2) + '\n')
    print(f'int8 against fp32, on the {len(frames) // 2} frames that were not calibrated with: '
          f'{100 * found.equal_pixels:.2f} % equal pixels, {found.same_tracks} same tracks of '
          f'{found.tracks} and {found.other_tracks}')
    return path


def _pictures(
        network: VideoMT, engine: Engine, frames: Sequence[FrameInput]) -> list[Picture]:
    segmenter = VideoSegmenter(network, engine=engine)
    return [Picture.of(segmenter.process_many({'': frame})['']) for frame in frames]


def _hand_out(
        network: VideoMT, path: Path, folder: Path, size: tuple[int, int] | None) -> None:
    """Copy a graph for programs of other people, with what they have to know of it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [path] if path.suffix == '.onnx' else [path, path.with_suffix('.bin')]
    for file in files:
        shutil.copy(file, folder)
    record = {
        'graph': path.name, 'inputs': INPUTS, 'outputs': OUTPUTS,
        'patch_size': network.config.patch_size,
        'preprocessing': asdict(network.config.preprocessing),
        'class_names': network.config.class_names}
    if size is not None:
        padded = Resizer(network.config.preprocessing, network.config.patch_size).geometry(
            *size).padded
        name = f'positions_{padded[0]}x{padded[1]}.npy'
        np.save(folder / name, grid_positions(network, *padded).numpy())
        record |= {'camera_size': size, 'input_size': padded, 'positions': name}
    first = network.initial_state(1).queries.detach().numpy()
    np.save(folder / 'first_queries.npy', first)
    (folder / 'graph.json').write_text(json.dumps(
        {**record, 'first_queries': 'first_queries.npy'}, indent=2) + '\n')
    print(f'{folder}: {", ".join(sorted(file.name for file in folder.iterdir()))}')


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='videomt_export',
        description='Make the graph that the engines openvino, onnxruntime and tensorrt run, '
                    'check it against PyTorch, and keep it where they find it.')
    parser.add_argument(
        'checkpoint', nargs='?', help='as the node takes it; default is the embedded one')
    parser.add_argument(
        '--precision', choices=('fp32', 'fp16', 'int8'), default='fp32',
        help='fp32 (for openvino in fp32 and bf16 too), fp16 (for CUDA and TensorRT), int8 (for '
             'openvino; wants --calibrate); default fp32')
    parser.add_argument(
        '--calibrate', metavar='BAG', help='recording of what the robot will see, for int8')
    parser.add_argument(
        '--topic', help='image topic in the recording; default is its first camera')
    parser.add_argument(
        '--frames', type=int, default=120, metavar='N',
        help='so many of its first frames, every other for calibration; default 120')
    parser.add_argument(
        '--output', metavar='FOLDER', help='put a copy there for a program of your own')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'),
        help="of the camera's frames: adds the graph's input 'positions' to FOLDER")
    arguments = parser.parse_args(argv)
    if (arguments.precision == 'int8') != (arguments.calibrate is not None):
        parser.error('--precision int8 and --calibrate BAG belong together')
    if arguments.size and not arguments.output:
        parser.error('--size belongs to --output')
    return arguments


if __name__ == '__main__':
    sys.exit(main())
