"""The original authors' ``.pth`` files: read as data, sizes taken from the tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
import math
from pathlib import Path
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import registry
from .class_lists import names_for
from .config import NetworkConfig, Preprocessing
from .damage import what_it_is
from .errors import CheckpointError
from .layouts import from_original

# The side of the paper's test images by number of classes; DINOv3 models of 40 classes differ.
_SHORT_SIDE = {40: 448, 25: 544, 124: 720}
_SHORT_SIDE_DINOV3 = {**_SHORT_SIDE, 40: 480}
# The blocks that see queries, by depth, of all published networks.
_QUERY_BLOCKS = {12: 3, 24: 4}
# Under these names, training programs store the weights beside other things.
_WRAPPERS = ('model', 'state_dict')
# Of what NumPy arrays and numbers are made again, without running code; NumPy 2 has moved two.
_NUMPY_PARTS: list[Any] = [
    np.ndarray, np.dtype,
    *{type(np.dtype(kind)) for kind in ('bool', 'f2', 'f4', 'f8', 'i4', 'i8', 'u1')},
    *((made.__reduce__()[0], f'numpy.{core}.multiarray.{name}')
      for made, name in ((np.empty(0), '_reconstruct'), (np.float64(0), 'scalar'))
      for core in ('core', '_core'))]


def read_original(
        path: Path, num_heads: int | None = None,
        norm_queries: bool | None = None) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """
    Read an original checkpoint; optimizer states and the like in it are ignored.

    :param path: a ``.pth`` file that detectron2's checkpointer wrote.
    :param num_heads: attention heads; None is one for each 64 channels, as published.
    :param norm_queries: whether queries are propagated after the final norm, which the file does
        not say; None asks the table of published checkpoints.
    :returns: the record, and the tensors under the names of :class:`VideoMT`.
    :raises CheckpointError: when the file is missing, damaged, or not of a VidEoMT.
    """
    stored = _read_tensors(path)
    tensors = from_original(stored, str(path))
    try:
        tensors.setdefault(  # files of networks without registers hold none
            'embed.register_tokens', torch.zeros_like(tensors['embed.cls_token'])[:, :0])
        return _infer_config(path, stored, tensors, num_heads, norm_queries), tensors
    except KeyError as error:
        raise CheckpointError(
            f'{path}: tensor {error.args[0]!r} is missing; expected a whole VidEoMT '
            f'checkpoint') from error


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        with _numpy_allowed():
            content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # foreign bytes make the unpickler raise anything
        raise CheckpointError(
            f'{path}: cannot be read as a PyTorch file of plain tensors; '
            f'{_reason(path, error)}') from error
    while isinstance(content, Mapping):
        wrapped = [content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)]
        if not wrapped:
            break
        content = wrapped[0]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{path}: holds {type(content).__name__}; expected a dict of tensors, or one under '
            f"'model'")
    tensors = {name: _tensor(value) for name, value in content.items()}
    foreign = [name for name, value in tensors.items()
               if not isinstance(name, str) or not isinstance(value, Tensor)]
    if foreign or not tensors:
        raise CheckpointError(
            f'{path}: {foreign[0] if foreign else "nothing"!r} in it is not a tensor; expected '
            f"a dict of tensors, or one under 'model'")
    return tensors


def _numpy_allowed() -> AbstractContextManager[Any]:
    """Let torch read NumPy arrays beside tensors, where it can be told so by name."""
    if torch.__version__ < '2.6':
        return nullcontext()
    return torch.serialization.safe_globals(_NUMPY_PARTS)


def _reason(path: Path, error: Exception) -> str:
    """Say why PyTorch refused a file, without its advice to trust the file all the same."""
    foreign = re.search(r'GLOBAL (\S+)', str(error))
    if foreign is not None:
        return f'it holds {foreign[1]}, which is no tensor'
    return what_it_is(path) or 'it is damaged, or something else'


def _tensor(value: Any) -> Any:
    """Make a tensor of an array of numbers; anything else is given back."""
    is_array = isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in 'bfiu'
    return torch.from_numpy(np.array(value)) if is_array else value


def _infer_config(
        path: Path, stored: Mapping[str, Tensor], tensors: Mapping[str, Tensor],
        num_heads: int | None, norm_queries: bool | None) -> NetworkConfig:
    backbone = 'dinov2' if 'embed.positions' in tensors else 'dinov3'
    C = tensors['embed.cls_token'].shape[-1]
    K = tensors['class_head.weight'].shape[0] - 1
    patch_size = tensors['embed.projection.weight'].shape[-1]
    if num_heads is None:
        if C % 64:
            raise CheckpointError(
                f'{path}: {C} channels; expected a multiple of 64, or num_heads to be given')
        num_heads = C // 64
    num_layers = _count(tensors, 'blocks')
    marks = [tensor for name, tensor in stored.items() if name.endswith('attn_mask_probs')]
    num_query_blocks = len(marks[0]) if marks else _QUERY_BLOCKS.get(num_layers)
    if num_query_blocks is None:
        raise CheckpointError(
            f'{path}: no attn_mask_probs, whose length tells how many blocks see the queries; '
            f'expected it, or {" or ".join(map(str, _QUERY_BLOCKS))} blocks as published')
    entry = registry.find(path)
    names, things = names_for(K, dataset=entry.dataset if entry else None, source=str(path))
    if backbone == 'dinov2':
        positions = tensors['embed.positions'].shape[0]
        grid_size = math.isqrt(positions)
        if grid_size ** 2 != positions:
            raise CheckpointError(
                f'{path}: {positions} positions; expected a square grid of them')
    else:
        grid_size = (1280 if K == 124 else 640) // patch_size
    if norm_queries is None:
        norm_queries = registry.guess_norm_queries(path, backbone, K)
    sides = _SHORT_SIDE if backbone == 'dinov2' else _SHORT_SIDE_DINOV3
    return NetworkConfig(
        hidden_size=C,
        num_layers=num_layers,
        num_heads=num_heads,
        mlp_size=tensors['blocks.0.mlp.fc1.weight'].shape[0],
        patch_size=patch_size,
        num_registers=tensors['embed.register_tokens'].shape[1],
        num_queries=tensors['queries'].shape[0],
        num_query_blocks=num_query_blocks,
        num_upscale_blocks=_count(tensors, 'upscale'),
        grid_size=grid_size,
        layer_norm_eps=1e-6 if backbone == 'dinov2' else 1e-5,
        backbone=backbone,
        norm_queries=norm_queries,
        class_names=names,
        thing_classes=things,
        # Files trained elsewhere: the paper's YouTube-VIS ratio of test side to training side.
        preprocessing=Preprocessing(
            'short_side', sides.get(K, round(0.7 * grid_size) * patch_size)),
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {int(n.split('.')[1]) for n in tensors if n.startswith(prefix + '.')}
    return max(numbers, default=-1) + 1
