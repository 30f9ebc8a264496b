"""
``videomt_eval``: measure a network, or anybody's predictions, on a data set.

``videomt_eval DATASET --checkpoint X`` plays each video to the network as a camera would, out of
picture files or out of a recording with annotations;
``videomt_eval DATASET --predictions results.json`` scores a file in YouTube-VIS results format.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
import json
from pathlib import Path
import platform
import sys
from typing import Any, Protocol, TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
import torch

from .bags.errors import BagError
from .. import __version__
from ..network.config import MASK_PARTS
from ..perception import VideoSegmenter
from ..perception.engines import EngineError

if TYPE_CHECKING:
    from ..training.metrics import AnnotatedVideo, GroundTruth, Prediction

_DEFAULT_FPS = 10.0
_DEFAULT_MIN_SCORE = 0.3
_WIDTH_OF_A_FILE = 160  # columns, where the tables go to no terminal that would have its own


class _Predictor(Protocol):
    """Where predictions come from."""

    def __call__(self, video: AnnotatedVideo, tick: Callable[[], None]) -> Prediction:
        """Tell what was found in a video; tick is called after each frame that is played."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line, or 130 after Ctrl-C.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.predictions is not None and (arguments.checkpoint or arguments.save_predictions):
        parser.error('--checkpoint and --save-predictions belong to a network; --predictions runs '
                     'none')
    torch.set_num_threads(arguments.threads)
    try:
        for path in (arguments.json, arguments.save_predictions):
            if path is not None and not path.absolute().parent.is_dir():
                raise OSError(f'{path}: its folder does not exist')  # rather now than at the end
        report, truth, found = _evaluate(arguments)
        _print_report(report)  # whatever becomes of the files
        if arguments.save_predictions is not None:
            from ..training.metrics import write_results
            write_results(arguments.save_predictions, truth, found)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    except ModuleNotFoundError as error:
        print(f"videomt_eval: {error}; pip install 'videomt_ros[eval]'", file=sys.stderr)
        return 1
    except (OSError, ValueError, FloatingPointError, BagError, EngineError) as error:
        print(f'videomt_eval: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('videomt_eval: stopped', file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='videomt_eval',
        description='Measure a network, or predictions from a file, on a data set in YouTube-VIS '
                    'JSON: track AP, HOTA, IDF1, id switches, VPQ, STQ, mIoU, VC.')
    parser.add_argument('dataset', metavar='DATASET',
                        help='folder with annotations.json, or a JSON file; the folder may be a '
                             'recording (rosbag2), whose images are the frames then')
    parser.add_argument('--images', default='', metavar='FOLDER',
                        help='folder of the frames (default: that of the JSON file)')
    parser.add_argument('--bag', type=Path, metavar='PATH',
                        help='recording that holds the frames of the one video (default: DATASET, '
                             'where that is one)')
    parser.add_argument('--topic', help='of the images in the recording (default: the first)')
    parser.add_argument('--checkpoint', metavar='X',
                        help='folder, .pth file or hub id (default: the embedded checkpoint)')
    parser.add_argument('--protocol', choices=('online', 'offline'), default='online',
                        help='online: frame by frame, as a robot sees it; offline: the protocol '
                             'of the paper, which decides at the end of a video (default: online)')
    parser.add_argument('--start-score', type=_share, default=0.5, metavar='S',
                        help='online: score with which a track begins (default: %(default)s)')
    parser.add_argument('--keep-score', type=_share, default=0.3, metavar='S',
                        help='online: score with which a track goes on (default: %(default)s)')
    parser.add_argument('--mask-parts', choices=('auto', *MASK_PARTS), default='auto',
                        help='online: all of a mask is the object, or its main part is, which '
                        'does not leap to another place either, nor is another in its place '
                        '(default: as the weights want it)')
    parser.add_argument('--top-k', type=_whole, default=10, metavar='N',
                        help='offline: predictions of a video (default: %(default)s)')
    parser.add_argument('--predictions', type=Path, metavar='FILE',
                        help='score this file in YouTube-VIS results format; no network is run')
    parser.add_argument('--save-predictions', type=Path, metavar='FILE',
                        help='write what the network finds in that format; scored with '
                             '--min-score 0, such a file gives the figures of the online run')
    parser.add_argument('--min-score', type=_share, metavar='S',
                        help='predictions below it count for AP alone (default: 0 online, where '
                             'all that the segmenter shows counts, otherwise '
                             f'{_DEFAULT_MIN_SCORE})')
    parser.add_argument('--fps', type=_rate, metavar='HZ',
                        help='frames of a second (default: what the data set says, else '
                             f'{_DEFAULT_FPS:g})')
    parser.add_argument('--limit', type=_whole, metavar='N', help='only the first N videos')
    parser.add_argument('--device', default='auto', help='as torch names it (default: auto)')
    parser.add_argument('--threads', type=_whole, default=1,
                        help='of torch on the CPU (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all numbers there')
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not more than 0')
    return value


def _evaluate(
        arguments: argparse.Namespace) -> tuple[dict[str, Any], GroundTruth, dict[int, Any]]:
    """Do the work; gives what goes into the JSON file, the truth, and the tracks by video."""
    # Imported late, so that --help works without the optional packages.
    from .recorded_truth import is_recording, of_recording
    from ..training import metrics

    truth = metrics.read_ground_truth(arguments.dataset, arguments.images)
    bag = arguments.bag
    if bag is None and is_recording(Path(arguments.dataset)):
        bag = Path(arguments.dataset)
    if bag is not None:
        truth = of_recording(truth, bag, arguments.topic)
    fps = arguments.fps or truth.fps or _DEFAULT_FPS
    videos = truth.videos[:arguments.limit]
    classes = len(truth.class_names)
    predict = (_of_network if arguments.predictions is None else _of_file)(arguments, truth, fps)
    min_score = arguments.min_score
    if min_score is None:
        online = arguments.predictions is None and arguments.protocol == 'online'
        min_score = 0.0 if online else _DEFAULT_MIN_SCORE
    measures, found = [], {}
    seconds, played = 0.0, 0
    with Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('frames', total=sum(len(video.files) for video in videos))
        for number, video in enumerate(videos, start=1):
            prediction = predict(video, partial(progress.advance, task))
            found[video.video_id] = prediction.tracks
            seconds += prediction.seconds
            played += prediction.frames
            measures.append(metrics.measure(
                video, prediction.tracks, classes, min_score))
            progress.update(task, completed=sum(len(each.files) for each in videos[:number]))
    return {
        **metrics.as_json(metrics.summarise(measures, classes, fps), truth.class_names),
        **_origin(arguments),
        'min_score': min_score,
        'data': {
            'path': str(truth.path), 'videos': len(videos),
            'frames': sum(len(video.files) for video in videos),
            'objects': sum(len(video.tracks) for video in videos), 'fps': fps},
        'seconds_per_frame': seconds / played if played else None,
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'versions': {
            'videomt_ros': __version__, 'python': platform.python_version(),
            **{name: version(name) for name in ('torch', 'numpy', 'trackeval', 'pycocotools')}},
    }, truth, found


def _of_network(arguments: argparse.Namespace, truth: GroundTruth, fps: float) -> _Predictor:
    """Load a network; gives what plays a video to it."""
    from ..training import metrics

    segmenter = VideoSegmenter.from_pretrained(
        arguments.checkpoint, device=arguments.device, precision='fp32',
        start_score=arguments.start_score, keep_score=arguments.keep_score,
        mask_parts=arguments.mask_parts)
    network = segmenter.network
    classes = metrics.match_classes(network.config.class_names, truth.class_names)
    segmenter.configure(classes=list(classes))
    if arguments.protocol == 'offline':
        return lambda video, tick: metrics.track_offline(
            network, _ticking(video.frames(), tick), classes, arguments.top_k)
    return lambda video, tick: metrics.track_online(
        segmenter, _ticking(video.frames(), tick), fps, classes)


def _of_file(arguments: argparse.Namespace, truth: GroundTruth, fps: float) -> _Predictor:
    """Read predictions; gives what picks out those of a video."""
    from ..training import metrics

    found = metrics.read_results(arguments.predictions, truth)
    return lambda video, tick: metrics.Prediction(tuple(found[video.video_id]), 0, 0.0)


def _ticking(frames: Iterable[np.ndarray], tick: Callable[[], None]) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        tick()


def _origin(arguments: argparse.Namespace) -> dict[str, Any]:
    """Tell where the predictions come from."""
    if arguments.predictions is not None:
        return {'predictions': str(arguments.predictions)}
    online = arguments.protocol == 'online'
    settings = ('start_score', 'keep_score', 'mask_parts') if online else ('top_k',)
    return {
        'checkpoint': arguments.checkpoint or 'embedded', 'protocol': arguments.protocol,
        **{name: getattr(arguments, name) for name in settings}}


def _print_report(report: dict[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    data, origin = report['data'], report.get('predictions')
    if origin is None:
        origin = f'{report["checkpoint"]}, {report["protocol"]}'
    console.print(
        f'{data["path"]}: {data["videos"]} videos, {data["frames"]} frames, '
        f'{data["objects"]} objects. {origin}.', markup=False, highlight=False)
    console.print(_summary(report))
    console.print(_classes(report['per_class']))
    if report['seconds_per_frame'] is not None:
        console.print(
            f'{report["seconds_per_frame"] * 1e3:.1f} ms a frame', markup=False, highlight=False)


def _summary(report: dict[str, Any]) -> Table:
    metrics = report['metrics']
    ap, switches, vpq, stq = (
        metrics[name] for name in ('track_ap', 'id_switches', 'vpq', 'stq'))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row('track AP', *_pairs({
        'AP': ap['ap'], 'AP50': ap['ap50'], 'AP75': ap['ap75'], 'AR1': ap['ar1'],
        'AR10': ap['ar10']}))
    for name, scores in metrics['tracking'].items():
        table.add_row(f'tracking, {name.replace("_", " ")}', *_pairs({
            'HOTA': scores['hota'], 'DetA': scores['det_a'], 'AssA': scores['ass_a'],
            'IDF1': scores['idf1'], 'switches': scores['id_switches']}))
    table.add_row('id switches', *_pairs({
        'all': switches['total'], 'objects': switches['objects'],
        'per object': switches['per_object'], 'per object in 10 s': switches['per_object_10s'],
        'worst object': switches['worst_object']}))
    table.add_row('panoptic, with background', *_pairs({
        'VPQ': vpq['vpq'], 'things': vpq['things'], 'STQ': stq['stq'], 'AQ': stq['aq'],
        'SQ': stq['sq']}))
    table.add_row('semantic, with background', *_pairs({
        'mIoU': metrics['miou'], **{f'VC{n}': value for n, value in metrics['vc'].items()}}))
    return table


def _classes(per_class: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column('class')
    columns = {
        'AP': 'ap', 'AP50': 'ap50', 'HOTA': 'hota', 'AssA': 'ass_a', 'IDF1': 'idf1',
        'switches': 'id_switches', 'VPQ': 'vpq', 'IoU': 'iou'}
    for title in columns:
        table.add_column(title, justify='right')
    for name, scores in per_class.items():
        table.add_row(escape(name), *(_number(scores.get(key)) for key in columns.values()))
    return table


def _pairs(values: dict[str, float | None]) -> list[str]:
    return [f'{name} {_number(value)}' for name, value in values.items()]


def _number(value: float | None) -> str:
    if value is None:
        return '-'
    return str(value) if isinstance(value, int) else f'{value:.3f}'


if __name__ == '__main__':
    sys.exit(main())
