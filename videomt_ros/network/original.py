"""The original authors' ``.pth`` files: read as data, sizes taken from the tensors alone."""

from __future__ import annotations

from collections.abc import Mapping
import math
from pathlib import Path

import torch
from torch import Tensor

from . import registry
from .class_lists import names_for
from .config import NetworkConfig, Preprocessing
from .errors import CheckpointError
from .layouts import from_original

# The side of the paper's test images by number of classes; DINOv3 models of 40 classes differ.
_SHORT_SIDE = {40: 448, 25: 544, 124: 720}
_SHORT_SIDE_DINOV3 = {**_SHORT_SIDE, 40: 480}


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
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # foreign bytes make the unpickler raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CheckpointError(
            f'{path}: cannot be read as a PyTorch file of plain tensors ({reason})') from error
    if isinstance(content, Mapping) and isinstance(content.get('model'), Mapping):
        content = content['model']
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{path}: holds {type(content).__name__}; expected a dict of tensors, or one under '
            f"'model'")
    foreign = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if foreign or not content:
        raise CheckpointError(
            f'{path}: {foreign[0] if foreign else "nothing"!r} in it is not a tensor; expected '
            f"a dict of tensors, or one under 'model'")
    return content


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
        num_layers=_count(tensors, 'blocks'),
        num_heads=num_heads,
        mlp_size=tensors['blocks.0.mlp.fc1.weight'].shape[0],
        patch_size=patch_size,
        num_registers=tensors['embed.register_tokens'].shape[1],
        num_queries=tensors['queries'].shape[0],
        num_query_blocks=stored['backbone.attn_mask_probs'].shape[0],
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
