"""
Where exported graphs live: a folder for each set of weights, below the user's cache folder.

Its name is a hash of the weights, of the record of the network and of the version of the graph.
So a graph that is found is the right one, and one that would be stale is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import hashlib
import logging
import os
from pathlib import Path
import shutil
import tempfile

import torch
from videomt_ros.network import VideoMT
from videomt_ros.network.step_graph import GRAPH_VERSION, write_onnx

from .engine import EngineError

_logger = logging.getLogger(__name__)
_NAMES = {torch.float32: 'fp32', torch.bfloat16: 'bf16', torch.float16: 'fp16'}


def cache_root() -> Path:
    """Give the folder of all graphs: ``videomt_ros`` in $XDG_CACHE_HOME or ``~/.cache``."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'videomt_ros'


def graph_folder(network: VideoMT) -> Path:
    """
    Give the folder of the graphs of one network; it may not exist.

    :param network: its weights are read, at about 1 GB/s.
    :returns: the folder.
    """
    digest = hashlib.sha256(
        f'{GRAPH_VERSION} {network.config}'.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f'{name} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.float().cpu().contiguous().numpy())
    return cache_root() / digest.hexdigest()[:20]


def step_onnx(network: VideoMT, dtype: torch.dtype, check: Callable[[Path], None]) -> Path:
    """
    Find the step graph of a network, or export and check it.

    :param network: weights and record.
    :param dtype: of the matrix products in the graph.
    :param check: raises EngineError when a new graph does not do what the network does; nothing is
        kept then.
    :returns: the ONNX file.
    :raises EngineError: when it cannot be exported or written.
    """
    path = graph_folder(network) / f'step_{_NAMES[dtype]}.onnx'
    if not path.exists():
        with new_files(path.parent) as folder:
            # A warning, because a node says nothing else for up to a minute.
            _logger.warning('Making the graph %s, once for these weights...', path)
            try:
                write_onnx(network, folder / path.name, dtype)
            except ImportError as error:
                raise EngineError(
                    f'exporting a graph needs a package that is missing ({error}): expected '
                    f'pip install onnx onnxscript') from error
            except Exception as error:  # the exporter's own have no common base
                raise EngineError(
                    f'PyTorch {torch.__version__} cannot export the graph of this network: '
                    f'{type(error).__name__}: {" ".join(str(error).split())}') from error
            check(folder / path.name)
    return path


@contextmanager
def new_files(target: Path) -> Iterator[Path]:
    """
    Let files be written that come into their place together and whole, or not at all.

    :param target: the folder that they are meant for, made where missing.
    :returns: a folder to write them in.
    :raises EngineError: when it cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix='.new_', dir=target))
    except OSError as error:
        raise EngineError(
            f'{target}: cannot keep exported graphs there ({error.strerror}): expected a folder '
            f'that can be written, below $XDG_CACHE_HOME or ~/.cache') from error
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            path.replace(target / path.name)
    finally:
        shutil.rmtree(folder)
