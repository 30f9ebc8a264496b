"""`videomt_checkpoints`: what has been published, what is cached, and conversion of a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import math
from pathlib import Path
import sys

from rich.console import Console
from rich.table import Table
import torch

from ..network import CheckpointError, load_network, VideoMT
from ..network.class_lists import CLASS_LISTS, load_class_list
from ..network.registry import by_hand_folder, cached, ENTRIES

_WIDTH_OF_A_FILE = 160  # columns, where the table goes to no terminal that would have its own


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param argv: its arguments; None = those of the process.
    :returns: the exit status: 0, or 1 after one line on stderr that says what is wrong.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.convert is None:
        if any((args.norm_queries, args.classes, args.average, args.mask_bias, args.half)):
            parser.error(
                '--norm-queries, --classes, --average, --mask-bias and --half belong to --convert')
        _print_table()
        return 0
    if not math.isfinite(args.mask_bias):
        parser.error(f'--mask-bias is {args.mask_bias}; expected a finite number')
    source, folder = args.convert
    try:
        _convert(
            source, Path(folder), args.norm_queries, args.classes, args.average, args.mask_bias,
            args.half)
    except (CheckpointError, OSError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='videomt_checkpoints',
        description='List the published VidEoMT checkpoints, or convert one to the layout of '
                    'Hugging Face.')
    parser.add_argument(
        '--convert', nargs=2, metavar=('IN', 'FOLDER'),
        help='read IN (an original .pth file, or whatever else a checkpoint may be) and write '
             'FOLDER in the layout of Hugging Face, with a record beside it of what that lacks')
    parser.add_argument(
        '--norm-queries', choices=('true', 'false'),
        help='whether IN propagates its queries after the final norm; no .pth file says so '
             '(default: known of the published ones)')
    parser.add_argument(
        '--classes', choices=CLASS_LISTS,
        help='the data set that IN was trained on, for the names of its classes')
    parser.add_argument(
        '--average', nargs='+', default=(), metavar='OTHER',
        help='write the mean of the weights of IN and of these, which must be trainings of one '
             'network that went on from each other')
    parser.add_argument(
        '--mask-bias', type=float, default=0., metavar='LOGITS',
        help='add this to every mask logit: with 0.7, a mask reaches to where the network gives '
             'it a probability of a third, in place of a half (default: 0)')
    parser.add_argument(
        '--half', action='store_true', help='store the weights in half the space, as fp16')
    return parser


def _print_table() -> None:
    terms = list(dict.fromkeys(term for entry in ENTRIES for term in entry.licence))
    table = Table(box=None, pad_edge=False)
    for title in ('name', 'accuracy', 'FPS', 'cached', 'licence'):
        table.add_column(title, no_wrap=True, justify='right' if title == 'FPS' else 'left')
    for entry in ENTRIES:
        table.add_row(
            entry.name,
            ', '.join(f'{measure} {value:.1f}' for measure, value in entry.accuracy),
            f'{entry.fps} (?)' if entry.fps_doubtful else str(entry.fps),
            'yes' if cached(entry) else 'no',
            ' '.join(sorted(str(terms.index(term) + 1) for term in entry.licence)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    console.print(table)
    console.print()
    for line in (
        *(f'Licence {number}: {term}.' for number, term in enumerate(terms, 1)),
        'Accuracy and FPS are as published; FPS on an H100, the network alone. (?): the same is '
        'printed for smaller images, so hardly right.',
        f'load_network, videomt_node and videomt_demo take a name and download what is not '
        f'cached. Files fetched by hand belong in {by_hand_folder()}.',
    ):
        console.print(line, markup=False, highlight=False)


def _convert(source: str, folder: Path, norm_queries: str | None, classes: str | None,
             others: Sequence[str], mask_bias: float, half: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f'{folder} is a file; expected a folder to write into')
    network = load_network(
        source, norm_queries=None if norm_queries is None else norm_queries == 'true')
    if others:  # before the classes are named: the others have the names of their files
        _average(network, source, others)
    if mask_bias:
        try:
            network.raise_mask_logits(mask_bias)
        except ValueError as error:
            raise CheckpointError(f'{source}: {error}') from error
    if classes is not None:
        listed = load_class_list(classes)
        if len(listed.names) != network.config.num_classes:
            raise CheckpointError(
                f'{source} has {network.config.num_classes} classes; {listed.title} has '
                f'{len(listed.names)}')
        network.config = replace(
            network.config, class_names=listed.names, thing_classes=listed.thing_classes)
    network.save_pretrained(folder, torch.float16 if half else None)
    config = network.config
    print(f'{folder}: {config.num_layers} blocks of {config.hidden_size} channels, '
          f'{config.backbone}, norm_queries {str(config.norm_queries).lower()}, '
          f'{config.num_classes} classes ({", ".join(config.class_names[:3])}, ...)')
    if config.backbone == 'dinov3' or config.norm_queries:
        print('transformers has no VidEoMT of this kind; this package reads the folder.')


def _average(network: VideoMT, source: str, others: Sequence[str]) -> None:
    """Give a network the mean weights of several ("model soups", Wortsman et al., ICML 2022)."""
    mean = {name: tensor / (1 + len(others)) for name, tensor in network.state_dict().items()}
    for other in others:
        loaded = load_network(other)
        weights = loaded.state_dict()
        if ({name: tensor.shape for name, tensor in weights.items()}
                != {name: tensor.shape for name, tensor in mean.items()}
                or loaded.config.class_names != network.config.class_names):
            raise CheckpointError(
                f'{other} is another network than {source}; expected the same sizes and classes')
        for name, tensor in weights.items():
            mean[name] += tensor / (1 + len(others))
    network.load_state_dict(mean)


if __name__ == '__main__':
    sys.exit(main())
