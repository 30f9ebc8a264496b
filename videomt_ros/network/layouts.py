"""
The names under which VidEoMT weights are stored, and the way from each to ours and back.

Three layouts are read (MODEL: original DINOv2 ``.pth``, original DINOv3 ``.pth``, Hugging Face),
one is written (Hugging Face). Each is a table of patterns, tried in order; the first hit names
the tensor. q, k and v, stored apart by all but the original DINOv2 files, are one ``qkv`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
import re

import torch
from torch import Tensor

from .errors import CheckpointError

_HEADS = (
    (r'q\.weight', r'queries'),
    (r'query_updater\.(.*)', r'query_updater.\1'),
    (r'class_head\.(.*)', r'class_head.\1'),
    (r'mask_head\.0\.(.*)', r'mask_head.fc1.\1'),
    (r'mask_head\.2\.(.*)', r'mask_head.fc2.\1'),
    (r'mask_head\.4\.(.*)', r'mask_head.fc3.\1'),
    (r'upscale\.(\d+\..*)', r'upscale.\1'),
)
_BLOCK = r'encoder\.backbone\.blocks\.(\d+)\.'
_ORIGINAL_DINOV2 = (
    *_HEADS,
    (r'encoder\.backbone\.cls_token', r'embed.cls_token'),
    (r'encoder\.backbone\.reg_token', r'embed.register_tokens'),
    (r'encoder\.backbone\.pos_embed', r'embed.positions'),
    (r'encoder\.backbone\.patch_embed\.proj\.(.*)', r'embed.projection.\1'),
    (_BLOCK + r'attn\.qkv\.(.*)', r'blocks.\1.attention.qkv.\2'),
    (_BLOCK + r'attn\.proj\.(.*)', r'blocks.\1.attention.out.\2'),
    (_BLOCK + r'ls(\d)\.gamma', r'blocks.\1.scale\2'),
    (_BLOCK + r'(norm\d|mlp)\.(.*)', r'blocks.\1.\2.\3'),
    (r'encoder\.backbone\.norm\.(.*)', r'norm.\1'),
)
# The authors rename parts of transformers' DINOv3; where that was left out, its own names stand.
_EMBED_DINOV3 = r'encoder\.backbone\.(?:patch_embed|embeddings)\.'
_BLOCK_DINOV3 = r'encoder\.backbone\.(?:blocks|layer|model\.layer)\.(\d+)\.'
_ORIGINAL_DINOV3 = (
    *_HEADS,
    (_EMBED_DINOV3 + r'(cls_token|register_tokens)', r'embed.\1'),
    (_EMBED_DINOV3 + r'patch_embeddings\.(.*)', r'embed.projection.\1'),
    (_BLOCK_DINOV3 + r'attention\.o_proj\.(.*)', r'blocks.\1.attention.out.\2'),
    (_BLOCK_DINOV3 + r'attention\.qkv_proj\.(.*)', r'blocks.\1.attention.qkv.\2'),
    (_BLOCK_DINOV3 + r'attention\.([qkv])_proj\.(.*)', r'blocks.\1.attention.\2.\3'),
    (_BLOCK_DINOV3 + r'layer_scale(\d)\.lambda1', r'blocks.\1.scale\2'),
    (_BLOCK_DINOV3 + r'mlp\.up_proj\.(.*)', r'blocks.\1.mlp.fc1.\2'),
    (_BLOCK_DINOV3 + r'mlp\.down_proj\.(.*)', r'blocks.\1.mlp.fc2.\2'),
    (_BLOCK_DINOV3 + r'(norm\d)\.(.*)', r'blocks.\1.\2.\3'),
    (r'encoder\.backbone\.norm\.(.*)', r'norm.\1'),
)
_HUGGING_FACE = (
    (r'embeddings\.(cls_token|register_tokens)', r'embed.\1'),
    (r'embeddings\.patch_embeddings\.projection\.(.*)', r'embed.projection.\1'),
    (r'embeddings\.position_embeddings\.weight', r'embed.positions'),
    (r'layers\.(\d+)\.attention\.out_proj\.(.*)', r'blocks.\1.attention.out.\2'),
    (r'layers\.(\d+)\.attention\.([qkv])_proj\.(.*)', r'blocks.\1.attention.\2.\3'),
    (r'layers\.(\d+)\.layer_scale(\d)\.lambda1', r'blocks.\1.scale\2'),
    (r'layers\.(\d+)\.(norm\d|mlp)\.(.*)', r'blocks.\1.\2.\3'),
    (r'layernorm\.(.*)', r'norm.\1'),
    (r'query\.weight', r'queries'),
    (r'query_updater\.(.*)', r'query_updater.\1'),
    (r'class_predictor\.(.*)', r'class_head.\1'),
    (r'mask_head\.(.*)', r'mask_head.\1'),
    (r'upscale_block\.block\.(\d+)\.layernorm2d\.(.*)', r'upscale.\1.norm.\2'),
    (r'upscale_block\.block\.(\d+)\.(.*)', r'upscale.\1.\2'),
)
# Stored beside the weights, and of no use here: loss weights, annealing marks, a training token.
_UNUSED = re.compile(
    r'(.*\.)?(attn_mask_probs|criterion\.[^.]*|embeddings\.mask_token|'
    r'encoder\.backbone\..*(mask_token|inv_freq)|pixel_mean|pixel_std)')

_TO_HUGGING_FACE = (
    (r'embed\.(cls_token|register_tokens)', r'embeddings.\1'),
    (r'embed\.projection\.(.*)', r'embeddings.patch_embeddings.projection.\1'),
    (r'embed\.positions', r'embeddings.position_embeddings.weight'),
    (r'blocks\.(\d+)\.attention\.out\.(.*)', r'layers.\1.attention.out_proj.\2'),
    (r'blocks\.(\d+)\.scale(\d)', r'layers.\1.layer_scale\2.lambda1'),
    (r'blocks\.(\d+)\.(norm\d|mlp)\.(.*)', r'layers.\1.\2.\3'),
    (r'norm\.(.*)', r'layernorm.\1'),
    (r'queries', r'query.weight'),
    (r'query_updater\.(.*)', r'query_updater.\1'),
    (r'class_head\.(.*)', r'class_predictor.\1'),
    (r'mask_head\.(.*)', r'mask_head.\1'),
    (r'upscale\.(\d+)\.norm\.(.*)', r'upscale_block.block.\1.layernorm2d.\2'),
    (r'upscale\.(\d+)\.(.*)', r'upscale_block.block.\1.\2'),
)


def from_original(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """
    Rename the tensors of an original ``.pth`` file, DINOv2 or DINOv3.

    :param tensors: name -> tensor as stored; the names may have a prefix, which is ``backbone.``
        in the authors' files, and more or nothing where others have saved them.
    :param where: the file, for messages.
    :returns: name -> tensor as :class:`VideoMT` names them.
    :raises CheckpointError: when a name is foreign or q, k, v are incomplete.
    """
    dinov3 = any('.layer_scale1.' in name for name in tensors)
    table = _ORIGINAL_DINOV3 if dinov3 else _ORIGINAL_DINOV2
    encoder = next((name for name in tensors if 'encoder.backbone.' in name), '')
    prefix = encoder[:max(0, encoder.find('encoder.backbone.'))]
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    renamed = _fuse_qkv(_rename(named, table, where), where)
    if 'embed.positions' in renamed:
        renamed['embed.positions'] = renamed['embed.positions'].flatten(0, 1)
    return renamed


def from_hugging_face(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """
    Rename the tensors of a Hugging Face folder.

    :param tensors: name -> tensor as stored.
    :param where: the file, for messages.
    :returns: name -> tensor as :class:`VideoMT` names them.
    :raises CheckpointError: when a name is foreign or q, k, v are incomplete.
    """
    return _fuse_qkv(_rename(tensors, _HUGGING_FACE, where), where)


def to_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Rename our tensors for a Hugging Face folder, q, k and v apart.

    :param tensors: the state dict of a :class:`VideoMT`.
    :returns: name -> contiguous tensor, with the mask token (zeros, unused) that transformers
        expects.
    """
    split: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r'blocks\.(\d+)\.attention\.qkv\.(.*)', name)
        if match:
            for letter, part in zip('qkv', tensor.chunk(3), strict=True):
                split[f'layers.{match[1]}.attention.{letter}_proj.{match[2]}'] = part
        else:
            split.update(_rename({name: tensor}, _TO_HUGGING_FACE, 'state dict'))
    split['embeddings.mask_token'] = torch.zeros_like(tensors['embed.cls_token'])
    return {name: tensor.contiguous() for name, tensor in split.items()}


def _rename(
        tensors: Mapping[str, Tensor], table: tuple[tuple[str, str], ...],
        where: str) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, ours in table:
            match = re.fullmatch(pattern, name)
            if match:
                renamed[match.expand(ours)] = tensor
                break
        else:
            if not _UNUSED.fullmatch(name):
                raise CheckpointError(
                    f'{where}: tensor {name!r} is not one of a VidEoMT checkpoint; expected the '
                    f'original or the Hugging Face layout')
    return renamed


def _fuse_qkv(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Join q, k, v stored apart; DINOv3's keys have no bias, which is a bias of zeros."""
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    fused = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r'(blocks\.\d+\.attention)\.([qkv])\.(weight|bias)', name)
        if match:
            parts.setdefault((match[1], match[3]), {})[match[2]] = tensor
        else:
            fused[name] = tensor
    for (prefix, kind), stored in parts.items():
        if kind == 'bias' and 'k' not in stored and 'q' in stored:
            stored['k'] = torch.zeros_like(stored['q'])
        if len(stored) != 3:
            raise CheckpointError(
                f'{where}: {prefix} has {kind} of {"".join(sorted(stored))} only; expected those '
                f'of q, k and v')
        fused[f'{prefix}.qkv.{kind}'] = torch.cat([stored[letter] for letter in 'qkv'])
    return fused
