"""
A checkpoint folder in Hugging Face's layout: what is in it, read and written.

``config.json`` and ``model.safetensors`` are transformers' own. ``videomt_ros.json`` beside them
is ours and says what its record cannot: backbone, norm_queries, thing classes, preprocessing,
mask_parts.
``video_preprocessor_config.json`` is read where ours is missing, and written with square rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import Tensor

from .class_lists import names_for
from .config import Channels, NetworkConfig, Preprocessing
from .damage import what_it_is
from .errors import CheckpointError
from .layouts import from_hugging_face, to_hugging_face

CONFIG_FILE = 'config.json'
WEIGHTS_FILE = 'model.safetensors'
RECORD_FILE = 'videomt_ros.json'
PREPROCESSOR_FILE = 'video_preprocessor_config.json'


def write_folder(
        folder: Path, config: NetworkConfig, tensors: Mapping[str, Tensor],
        dtype: torch.dtype | None = None) -> None:
    """
    Write a checkpoint folder.

    :param folder: made where missing; files of the same name are replaced.
    :param config: the network's record.
    :param tensors: the state dict of a :class:`VideoMT`.
    :param dtype: in which the tensors are stored; None keeps theirs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: tensor.detach().cpu().to(dtype or tensor.dtype)
        for name, tensor in to_hugging_face(tensors).items()}
    stored['attn_mask_probs'] = torch.zeros(config.num_query_blocks)
    stored['criterion.empty_weight'] = torch.ones(config.num_classes + 1)
    stored['criterion.empty_weight'][-1] = 0.1
    save_file(stored, folder / WEIGHTS_FILE, metadata={'format': 'pt'})
    _write_json(folder / CONFIG_FILE, _hugging_face_config(config))
    _write_json(folder / RECORD_FILE, {
        'backbone': config.backbone,
        'norm_queries': config.norm_queries,
        'mlp_size': config.mlp_size,
        'thing_classes': sorted(config.thing_classes),
        'preprocessing': asdict(config.preprocessing),
        'mask_parts': config.mask_parts,
        'renew_below': config.renew_below,
    })
    rule = config.preprocessing
    if rule.rule == 'square':
        _write_json(folder / PREPROCESSOR_FILE, {
            'video_processor_type': 'VideomtVideoProcessor',
            'size': {'height': rule.size, 'width': rule.size},
            'image_mean': [value / 255 for value in rule.mean],
            'image_std': [value / 255 for value in rule.std],
        })


def read_folder(
        folder: Path, dataset: str | None = None) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """
    Read a checkpoint folder.

    :param folder: holds ``config.json`` and ``model.safetensors``.
    :param dataset: key of the class list that names the classes where the folder does not.
    :returns: the record, and the tensors under the names of :class:`VideoMT`.
    :raises CheckpointError: when a file is missing, damaged, or not of a VidEoMT.
    """
    record = _read_json(folder / CONFIG_FILE)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f'{folder}: no {WEIGHTS_FILE} in it; expected the weights there')
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f'{path}: cannot be read as safetensors; {what_it_is(path) or error}') from error
    tensors = from_hugging_face(stored, str(path))
    try:
        config = _read_config(folder, record, dataset, _grid_size(tensors, record))
    except CheckpointError:
        raise
    except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f'{folder / CONFIG_FILE}: not the record of a VidEoMT ({error})') from error
    marks = stored.get('attn_mask_probs')  # one for each block that sees queries, otherwise unused
    if marks is not None and len(marks) != config.num_query_blocks:
        raise CheckpointError(
            f'{folder / CONFIG_FILE}: num_blocks is {config.num_query_blocks}; expected '
            f'{len(marks)} by the weights')
    return config, tensors


def _read_config(
        folder: Path, record: dict[str, Any], dataset: str | None,
        grid_size: int) -> NetworkConfig:
    if record.get('model_type') != 'videomt':
        raise CheckpointError(
            f'{folder / CONFIG_FILE}: model_type is {record.get("model_type")!r}; expected '
            f"'videomt'")
    if record.get('use_swiglu_ffn') or record.get('hidden_act', 'gelu') != 'gelu':
        raise CheckpointError(
            f'{folder / CONFIG_FILE}: gated MLP or hidden_act {record.get("hidden_act")!r}; '
            f'expected a plain MLP with gelu, as in every published VidEoMT')
    extra = _read_json(folder / RECORD_FILE) if (folder / RECORD_FILE).is_file() else {}
    labels = record.get('id2label') or {'0': 'LABEL_0', '1': 'LABEL_1'}  # transformers' default
    if not isinstance(labels, dict):
        raise ValueError(f'id2label is {labels!r}; expected names by index')
    own_names = tuple(labels[key] for key in sorted(labels, key=int))
    things = extra.get('thing_classes')
    names, thing_classes = names_for(
        len(own_names), own_names, frozenset(things) if things is not None else None,
        dataset, str(folder))
    C = record.get('hidden_size', 1024)
    P = _side(record.get('patch_size', 16), 'patch_size')
    return NetworkConfig(
        hidden_size=C,
        num_layers=record.get('num_hidden_layers', 24),
        num_heads=record.get('num_attention_heads', 16),
        mlp_size=extra.get('mlp_size', int(C * record.get('mlp_ratio', 4))),
        patch_size=P,
        num_registers=record.get('num_register_tokens', 4),
        num_queries=record.get('num_queries', 200),
        num_query_blocks=record.get('num_blocks', 4),
        num_upscale_blocks=record.get('num_upscale_blocks', 2),
        grid_size=grid_size,
        layer_norm_eps=record.get('layer_norm_eps', 1e-6),
        backbone=extra.get('backbone', 'dinov2'),
        norm_queries=extra.get('norm_queries', False),
        class_names=names,
        thing_classes=thing_classes,
        preprocessing=_read_preprocessing(folder, extra, grid_size * P),
        mask_parts=extra.get('mask_parts', 'all'),
        renew_below=extra.get('renew_below', 0.0),
    )


def _read_preprocessing(
        folder: Path, extra: dict[str, Any], image_size: int) -> Preprocessing:
    if 'preprocessing' in extra:
        fields = dict(extra['preprocessing'])
        return Preprocessing(
            **{**fields, 'mean': tuple(fields['mean']), 'std': tuple(fields['std'])})
    square = Preprocessing('square', image_size)
    path = folder / PREPROCESSOR_FILE
    if not path.is_file():
        return square
    record = _read_json(path)
    size = record.get('size', {})
    height, width = size.get('height', image_size), size.get('width', image_size)
    if height != width:
        raise CheckpointError(f'{path}: size {height}x{width}; expected a square')
    scale = 1 / record.get('rescale_factor', 1 / 255)

    def channels(name: str, default: Channels) -> Channels:
        red, green, blue = record.get(name) or [value / scale for value in default]
        return red * scale, green * scale, blue * scale

    return replace(
        square, size=height, mean=channels('image_mean', square.mean),
        std=channels('image_std', square.std))


def _hugging_face_config(config: NetworkConfig) -> dict[str, Any]:
    names = {str(i): name for i, name in enumerate(config.class_names)}
    ratio = config.mlp_size / config.hidden_size
    return {
        'architectures': ['VideomtForUniversalSegmentation'],
        'model_type': 'videomt',
        'hidden_size': config.hidden_size,
        'num_hidden_layers': config.num_layers,
        'num_attention_heads': config.num_heads,
        'mlp_ratio': int(ratio) if ratio == int(ratio) else ratio,
        'hidden_act': 'gelu',
        'layer_norm_eps': config.layer_norm_eps,
        'image_size': config.image_size,
        'patch_size': config.patch_size,
        'num_channels': 3,
        'num_register_tokens': config.num_registers,
        'num_queries': config.num_queries,
        'num_blocks': config.num_query_blocks,
        'num_upscale_blocks': config.num_upscale_blocks,
        'use_swiglu_ffn': False,
        'id2label': names,
        'label2id': {name: int(i) for i, name in names.items()},
    }


def _grid_size(tensors: Mapping[str, Tensor], record: dict[str, Any]) -> int:
    """Take the side of the position table from the table: records have named another."""
    if 'embed.positions' in tensors:
        return math.isqrt(tensors['embed.positions'].shape[0])
    return _side(record.get('image_size', 640), 'image_size') // _side(
        record.get('patch_size', 16), 'patch_size')


def _side(value: Any, name: str) -> int:
    sides = value if isinstance(value, list) else [value]
    if not sides or any(side != sides[0] or type(side) is not int or side < 1 for side in sides):
        raise ValueError(f'{name} is {value!r}; expected a number of pixels, or the same twice')
    return int(sides[0])


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise CheckpointError(
            f'{path.parent}: no {path.name} in it; expected a folder with {CONFIG_FILE} and '
            f'{WEIGHTS_FILE}') from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f'{path}: cannot be read as JSON ({error})') from error
    if not isinstance(record, dict):
        raise CheckpointError(f'{path}: holds {type(record).__name__}; expected a JSON object')
    return record
