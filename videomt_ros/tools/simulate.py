"""
``videomt_simulate``: drive a simulated robot camera among objects, and keep what it sees.

``videomt_simulate dataset OUT`` renders scenes into a data set in YouTube-VIS JSON;
``videomt_simulate bag OUT`` records one scene as a rosbag2 folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import re
import sys

from ..training.sim import HELD_OUT_SEED, SimConfig


def _size(text: str) -> tuple[int, int]:
    """Read a picture size such as 320x240."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, such as 320x240')
    return int(match[1]), int(match[2])


def _common(parser: argparse.ArgumentParser, frames: int) -> None:
    parser.add_argument('output', type=Path, metavar='OUT', help='folder to write')
    parser.add_argument('--seed', type=int, default=0,
                        help=f'the (first) scene; those from {HELD_OUT_SEED} on are kept for '
                             'evaluation (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=frames,
                        help='frames of a scene (default: %(default)s)')
    parser.add_argument('--size', type=_size, default=(320, 240), metavar='WIDTHxHEIGHT',
                        help='picture size (default: 320x240)')
    parser.add_argument('--rate', type=int, default=10,
                        help='frames a second, a divisor of 120 (default: %(default)s)')
    parser.add_argument('--clean', action='store_true',
                        help='leave out the blur, noise and colour cast of the sensor')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='videomt_simulate', description='Drive a simulated robot camera among objects.')
    commands = parser.add_subparsers(dest='command', required=True)
    dataset = commands.add_parser(
        'dataset', help='render scenes into a data set in YouTube-VIS JSON',
        description='Render scenes into a data set: annotations.json and frames/. Scenes that '
                    'the folder already holds are kept, so an interrupted run goes on.')
    _common(dataset, frames=60)
    dataset.add_argument('--scenes', type=int, default=100,
                         help='number of scenes, one for each seed (default: %(default)s)')
    dataset.add_argument('--jobs', type=int, default=1,
                         help='number of processes (default: %(default)s)')
    dataset.add_argument('--quality', type=int, default=92,
                         help='JPEG quality (default: %(default)s)')
    bag = commands.add_parser(
        'bag', help='record one scene as a rosbag2 folder',
        description='Record one scene: images, camera info, depth and tf, as MCAP with '
                    'compressed chunks.')
    _common(bag, frames=90)
    bag.add_argument('--no-depth', action='store_true', help='record no depth')
    bag.add_argument('--jpeg', type=int, metavar='QUALITY',
                     help='record CompressedImage of this quality instead of raw images')
    return parser


def _run(arguments: argparse.Namespace) -> Path:
    width, height = arguments.size
    config = SimConfig(width=width, height=height, rate=arguments.rate,
                       sensor=not arguments.clean)
    # Imported late, so that --help works without the optional packages.
    if arguments.command == 'dataset':
        from ..training.sim.dataset import write_dataset
        seeds = range(arguments.seed, arguments.seed + arguments.scenes)
        return write_dataset(arguments.output, seeds, arguments.frames, config,
                             arguments.quality, arguments.jobs)
    from ..training.sim.bag import write_bag
    return write_bag(arguments.output, arguments.seed, arguments.frames, config,
                     depth=not arguments.no_depth, jpeg_quality=arguments.jpeg)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line, or 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    try:
        print(_run(arguments))
    except ModuleNotFoundError as error:
        print(f"videomt_simulate: {error}; pip install 'videomt_ros[sim]'", file=sys.stderr)
        return 1
    except (ImportError, OSError, ValueError) as error:
        print(f'videomt_simulate: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('videomt_simulate: stopped; the same dataset command goes on where it was',
              file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
