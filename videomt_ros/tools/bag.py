"""``videomt_bag IN OUT``: every frame of a recording through the network, with no ROS at all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import signal
import sys
from typing import Any

from .bags.cameras import FrameChoice
from .bags.errors import BagError, FAILED, INTERRUPTED
from .bags.progress import ProgressBar
from .bags.settings import KINDS, Settings
from .bags.single import Outcome, process_recording, Watcher
from .bags.stages import describe
from ..perception.engines import ENGINES, PRECISIONS

_DESCRIPTION = """
Run over a recording (rosbag2 folder, .mcap or .db3), every frame of it, and write the tracks and
masks as a recording: OUT.mcap, OUT.db3, or a folder. It takes no ROS, nor does reading the output.
The same command again goes on where an interrupted one has stopped.
"""
_EPILOG = """
Exit code: 0; 1 when there is no output, after one line that says why; 3 when the recording is
damaged, or frames in it are, and everything else was processed; 130 after Ctrl-C.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: the exit code.
    """
    arguments = _parser().parse_intermixed_args(argv)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = _settings(arguments)
        if arguments.ray is not None:
            return _run_fleet(arguments, settings)
        if len(arguments.source) > 1:
            raise BagError('several recordings are work for --ray local')
        return _run_single(arguments, settings)
    except BagError as error:
        print(f'videomt_bag: {error}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print('videomt_bag: interrupted; the same command goes on from here', file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_single(arguments: argparse.Namespace, settings: Settings) -> int:
    watcher = Watcher() if arguments.quiet else ProgressBar()
    outcome = process_recording(
        Path(arguments.source[0]), Path(arguments.output), settings, watcher=watcher)
    if not arguments.quiet:
        _tell(outcome)
    for note in outcome.notes:
        print(f'videomt_bag: {note}', file=sys.stderr)
    if outcome.damage:
        print(f'videomt_bag: {outcome.damage}; the {outcome.frames} frames up to there are done',
              file=sys.stderr)
    return outcome.code


def _tell(outcome: Outcome) -> None:
    """Print what came of a recording, and where the time went."""
    fresh = outcome.frames - outcome.resumed
    print(f'{outcome.frames} frames of {", ".join(outcome.cameras)}'
          f'{f", {outcome.resumed} of them by an earlier run" if outcome.resumed else ""}: '
          f'{outcome.seconds:.1f} s, {fresh / max(outcome.seconds, 1e-9):.1f} frames/s')
    for line in describe(outcome.stages, fresh):
        print(line)
    for path in outcome.outputs:
        print(path)


def _run_fleet(arguments: argparse.Namespace, settings: Settings) -> int:
    from .bags.fleet import run_fleet  # takes Ray, which a single recording does not need
    from .bags.slots import Slots
    return run_fleet(
        arguments.source, arguments.output, settings,
        Slots(arguments.ray, arguments.cpus, arguments.gpus, arguments.retries,
              arguments.per_camera), quiet=arguments.quiet)


def _settings(arguments: argparse.Namespace) -> Settings:
    tracking: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in (
            'task', 'resize', 'mask_parts', 'start_score', 'keep_score', 'max_lost', 'max_gap')
        if getattr(arguments, name) is not None}
    if arguments.classes:
        tracking['classes'] = [
            int(each) if each.isdigit() else each for each in arguments.classes]
    return Settings(
        checkpoint=arguments.checkpoint, device=arguments.device, precision=arguments.precision,
        engine=arguments.engine,
        tracking=tracking, topics=tuple(arguments.topics or ()),
        choice=FrameChoice(arguments.start, arguments.duration, arguments.every),
        batch=arguments.batch, workers=arguments.workers, storage=arguments.storage,
        merge=arguments.merge, masks=not arguments.no_masks,
        files={kind: getattr(arguments, kind) for kind in KINDS if getattr(arguments, kind)},
        positions=not arguments.no_positions, depth=tuple(arguments.depth or ()),
        depth_tolerance=arguments.depth_tolerance, target_frame=arguments.target_frame,
        truth=arguments.truth, overwrite=arguments.overwrite, fresh=arguments.fresh)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='videomt_bag', description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument('source', nargs='+', metavar='IN', help='recording; with --ray also '
                        "several, quoted patterns like 'archive/**/*.mcap', and s3:// or gs://")
    parser.add_argument('output', metavar='OUT', help='to be written; with --ray a folder')
    parser.add_argument('--quiet', action='store_true', help='say nothing but what is wrong')
    parser.add_argument('--overwrite', action='store_true', help='replace outputs of before')
    parser.add_argument('--fresh', action='store_true', help='do not go on with unfinished work')
    _add_frames(parser.add_argument_group('which frames'))
    _add_network(parser.add_argument_group('network and tracks'))
    _add_positions(parser.add_argument_group(
        'positions', 'each camera has the depth that is registered to it, which is in its frame'))
    _add_outputs(parser.add_argument_group(
        'further outputs', 'with --ray, FILE is a name in the folder of each recording'))
    _add_fleet(parser.add_argument_group('many recordings'))
    return parser


def _add_frames(group: Any) -> None:
    group.add_argument('--topics', nargs='+', help='images to process (default: all cameras)')
    group.add_argument('--start', type=_number(0), default=0.0, metavar='SECONDS',
                       help='from the beginning of the recording')
    group.add_argument('--duration', type=_number(0), metavar='SECONDS', help='from there')
    group.add_argument('--every', type=_count(1), default=1, metavar='N',
                       help='every Nth frame of each camera')


def _add_network(group: Any) -> None:
    group.add_argument('--checkpoint', help='folder, .pth file or hub id; default: our own')
    group.add_argument('--device', default='auto', help='cpu, cuda, cuda:1, ...')
    group.add_argument('--precision', default='auto', choices=('auto', *PRECISIONS))
    group.add_argument('--engine', default='auto', choices=ENGINES,
                       help='what runs the network; only eager takes frames in batches')
    group.add_argument('--task', help='instance, panoptic or semantic')
    group.add_argument('--resize', help='auto, short_side or square')
    group.add_argument('--mask-parts', help='auto, all, or main: a track stays with one part of '
                       'its mask, and in one place')
    group.add_argument('--classes', nargs='+', help='names or numbers; default: all')
    for name, text in (('start-score', 'begins a track, 0 to 1'),
                       ('keep-score', 'keeps it, 0 to 1'),
                       ('max-lost', 'seconds that a track waits for its object'),
                       ('max-gap', 'seconds without a frame after which all is new')):
        group.add_argument(f'--{name}', type=_number(0), metavar='X', help=text)
    group.add_argument('--batch', type=_count(1), default=Settings.batch, metavar='T',
                       help='frames that go through the early blocks together, '
                            'default %(default)s')
    group.add_argument('--workers', type=_count(0), metavar='N',
                       help='threads for that, default: as many as cores; 0: no threads at all')


def _add_positions(group: Any) -> None:
    group.add_argument('--depth', nargs='+', metavar='TOPIC',
                       help='depth images (default: those whose name says depth)')
    group.add_argument('--depth-tolerance', type=_number(0), metavar='SECONDS',
                       default=Settings.depth_tolerance,
                       help='between the stamps of depth and image, default %(default)s')
    group.add_argument('--target-frame', default='', metavar='FRAME',
                       help="of positions, by the recorded /tf; default: the camera's")
    group.add_argument('--no-positions', action='store_true', help='do not look at depth')


def _add_outputs(group: Any) -> None:
    group.add_argument('--merge', action='store_true',
                       help='copy all that was recorded into OUT as well')
    group.add_argument('--storage', choices=('mcap', 'sqlite3'), help='of OUT, default mcap')
    group.add_argument('--no-masks', action='store_true', help='tracks only, no label images')
    for kind, text in (('video', 'MP4 with the tracks drawn in, one for each camera'),
                       ('csv', 'table of tracks'), ('parquet', 'table of tracks'),
                       ('coco', 'JSON of masks, frame by frame'),
                       ('ytvis', 'JSON of masks, track by track (YouTube-VIS)'),
                       ('html', 'page to look at')):
        group.add_argument(f'--{kind}', type=Path, metavar='FILE', help=text)
    group.add_argument('--truth', type=Path, metavar='FILE',
                       help='annotations (YouTube-VIS JSON), for the id switches in the page')


def _add_fleet(group: Any) -> None:
    group.add_argument('--ray', metavar='ADDRESS', help='Ray cluster, or local to start one here')
    group.add_argument('--cpus', type=_number(0), default=1.0, metavar='N',
                       help='processors of a task, default 1')
    group.add_argument('--gpus', type=_number(0), default=0.0, metavar='N',
                       help='GPUs of a task, may be a fraction, default 0')
    group.add_argument('--retries', type=_count(0), default=2, metavar='N',
                       help='further tries after a worker was lost, default 2')
    group.add_argument('--per-camera', action='store_true', help='a task for each camera')


def _number(least: float) -> Any:
    def number(text: str) -> float:
        value = float(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f'{text}: expected {least:g} or more')
        return value
    return number


def _count(least: int) -> Any:
    def count(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text}: expected {least} or more')
        return value
    return count


if __name__ == '__main__':
    sys.exit(main())
