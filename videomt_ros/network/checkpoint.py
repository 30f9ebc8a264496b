"""From the name of a checkpoint to a network with its weights in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
import re

import torch
from torch import Tensor

from . import registry
from .config import NetworkConfig
from .device import find_device
from .errors import CheckpointError
from .folder import read_folder
from .original import read_original
from .videomt import VideoMT

EMBEDDED = Path(__file__).parent / 'embedded'
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
# What 'owner/name' ends with where a file is meant that is not there; versions have dots as well.
_FILES = ('.pth', '.pt', '.bin', '.ckpt', '.safetensors', '.onnx', '.xml', '.json', '.yaml')


def load_network(
        source: str | Path | None = None, device: str | torch.device = 'cpu',
        dtype: torch.dtype = torch.float32, *, norm_queries: bool | None = None,
        num_heads: int | None = None) -> VideoMT:
    """
    Load a network and its weights, ready for inference.

    :param source: a Hugging Face folder, an original ``.pth`` file, a short name of the registry
        (``videomt-l-ytvis2019``), a hub id (``owner/name``), or None for the embedded checkpoint.
    :param device: where the weights go.
    :param dtype: of the matrix products and the memory: float32, bfloat16 or float16. Norms and
        the residual stream are float32 in any case.
    :param norm_queries: overrides whether queries are propagated after the final norm, which
        original files do not say.
    :param num_heads: overrides the attention heads of an original file (one for 64 channels).
    :returns: the network in eval mode.
    :raises CheckpointError: when the source cannot be found, read or understood; the message
        names the file and what was expected.
    :raises ValueError: for another dtype, or a device that is not there.
    """
    place = find_device(device)
    if dtype not in PRECISIONS:
        raise ValueError(f'dtype {dtype}: expected one of {PRECISIONS}')
    config, tensors, where = _read(source, norm_queries, num_heads)
    if norm_queries is not None:
        config = replace(config, norm_queries=norm_queries)
    try:
        with torch.device('meta'):
            network = VideoMT(config)
    except ValueError as error:
        raise CheckpointError(f'{where}: {error}') from error
    _check(network.state_dict(), tensors, where)
    network.load_state_dict({name: t.float() for name, t in tensors.items()}, assign=True)
    return network.set_precision(dtype).to(place).eval()


def _read(
        source: str | Path | None, norm_queries: bool | None,
        num_heads: int | None) -> tuple[NetworkConfig, dict[str, Tensor], str]:
    """Find the source and read it; gives the record, the tensors and a name for messages."""
    entry = None
    if source is None:
        path = EMBEDDED
    else:
        path = Path(source)
        if not path.exists():
            entry = registry.find(source)
            path = _download(source, entry)
    if path.is_dir():
        config, tensors = read_folder(path, entry.dataset if entry else None)
    else:
        config, tensors = read_original(path, num_heads, norm_queries)
    if entry is not None:  # the published accuracy belongs to the paper's preprocessing
        config = replace(
            config, preprocessing=entry.preprocessing, norm_queries=entry.norm_queries)
    return config, tensors, str(path)


def _download(source: str | Path, entry: registry.RegistryEntry | None) -> Path:
    if entry is not None:
        return registry.fetch(entry)
    if (isinstance(source, str) and re.fullmatch(r'[\w.-]+/[\w.-]+', source)
            and Path(source).suffix not in _FILES):
        return registry.fetch_hub(source)
    raise CheckpointError(
        f'{source}: no such file or folder, and not a known checkpoint; expected a Hugging Face '
        f"folder, an original .pth file, a hub id 'owner/name', or one of "
        f'{", ".join(e.name for e in registry.ENTRIES)}')


def _check(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise CheckpointError unless names and shapes agree."""
    for name, parameter in expected.items():
        if name not in tensors:
            raise CheckpointError(f'{where}: tensor {name!r} is missing from the weights')
        if tensors[name].shape != parameter.shape:
            raise CheckpointError(
                f'{where}: tensor {name!r} has shape {tuple(tensors[name].shape)}; expected '
                f'{tuple(parameter.shape)} by the record')
    for name in tensors:
        if name not in expected:
            raise CheckpointError(f'{where}: tensor {name!r} has no place in the network')
