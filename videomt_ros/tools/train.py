"""
``videomt_train config.yaml``: train a network, or go on with a training.

Several GPUs: ``torchrun --nproc-per-node N -m videomt_ros.tools.train config.yaml``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import os
import sys

import torch
import torch.distributed as dist

from ..network import CheckpointError


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog='videomt_train', description='Train a VidEoMT network by a YAML configuration.')
    parser.add_argument('config', help='YAML file; see docs/training.md')
    parser.add_argument(
        '--resume', action='store_true', help='go on from the checkpoint in the output folder')
    parser.add_argument('--output', help='folder for logs and checkpoints, in place of config')
    arguments = parser.parse_args(argv)
    try:  # imported late, so that --help works without the optional packages
        from ..training.config import ConfigError, read_config
        from ..training.trainer import Trainer
    except ModuleNotFoundError as error:
        print(f"videomt_train: {error}; pip install 'videomt_ros[train]'", file=sys.stderr)
        return 1
    distributed = 'RANK' in os.environ and 'WORLD_SIZE' in os.environ
    if distributed:
        dist.init_process_group(
            'cpu:gloo,cuda:nccl' if torch.cuda.is_available() else 'gloo')
    try:
        config = read_config(arguments.config)
        if arguments.output:
            config = replace(config, output=arguments.output)
        Trainer(config).run(arguments.resume)
    except (ConfigError, CheckpointError, FloatingPointError, OSError) as error:
        print(f'videomt_train: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('videomt_train: stopped; --resume goes on from the last checkpoint',
              file=sys.stderr)
        return 130
    finally:
        if distributed:
            dist.destroy_process_group()
    return 0


if __name__ == '__main__':
    sys.exit(main())
