"""
One step of the network as a graph of plain tensors, for runtimes other than PyTorch.

It gives what :meth:`VideoMT.forward` gives, in an order of operations that runtimes fuse well:
LayerScale is folded into the layer in front of it, queries, keys and values have a projection
each, the features of the masks are enlarged by a convolution that runtimes can quantise, and are
normalised as they lie in memory and come out with their channels last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import copy
import logging
from pathlib import Path
from typing import cast
import warnings

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from .heads import UpscaleBlock
from .videomt import fuse, QueryState, VideoMT, VideoMTOutput
from .vit import _rotate_last as rotate_last
from .vit import Attention, Block, resize_positions, rotary_embedding

# To be counted up whenever the graph changes, so that graphs on disk are made anew.
GRAPH_VERSION = 4
INPUTS = ('pixels', 'queries', 'positions')
OUTPUTS = ('class_logits', 'mask_embeddings', 'mask_features', 'next_queries')
Answer = tuple[Tensor, Tensor, Tensor, Tensor]  # the outputs
_OPSET = 18  # what TensorRT has known for longest


class StepGraph(nn.Module):
    """
    A network as ``(pixels, queries, positions) -> (logits, embeddings, features, queries)``.

    :param network: its weights are copied.
    :param dtype: of the matrix products; norms and the residual stream are float32.
    """

    def __init__(self, network: VideoMT, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network = copy.deepcopy(network).float()
        self.blocks = nn.ModuleList(
            _Block(cast(Block, block)) for block in network.blocks)
        self.upscale = nn.ModuleList(
            _Upscale(cast(UpscaleBlock, block)) for block in network.upscale)
        network.blocks = nn.ModuleList()  # folded into ours
        network.upscale = nn.Sequential()
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                module.to(dtype)
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor, queries: Tensor, positions: Tensor) -> Answer:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32, normalised RGB.
        :param queries: (B, Q, C) float32, with which the frames begin.
        :param positions: what :func:`grid_positions` gives for the grid of these frames.
        :returns: class logits (B, Q, K + 1) float32, mask embeddings (B, Q, C) and mask features
            (B, h, w, C) in the dtype of the matrix products, and the queries (B, Q, C) float32
            with which the next frames begin.
        """
        network = self.network
        Q, dtype = network.config.num_queries, network.dtype
        x = network.embed.projection(pixels.to(dtype)).float()
        B, gh, gw = x.shape[0], x.shape[2], x.shape[3]
        x = x.flatten(2).transpose(1, 2)  # (B, gh * gw, C)
        rotation = None
        if network.config.backbone == 'dinov3':
            rotation = (positions[0], positions[1])
        else:
            x = x + positions
        prefix = torch.cat((network.embed.cls_token, network.embed.register_tokens), dim=1)
        x = torch.cat((prefix.expand(B, -1, -1), x), dim=1)
        first = len(self.blocks) - network.config.num_query_blocks
        for i, block in enumerate(self.blocks):
            if i == first:
                x = torch.cat((queries, x), dim=1)
            x = block(x, rotation)
        y = network.norm(x)
        seen = y[:, :Q].to(dtype)
        features = y[:, Q + prefix.shape[1]:].to(dtype)
        features = features.transpose(1, 2).unflatten(2, (gh, gw))  # (B, C, gh, gw)
        for upscale in self.upscale:
            features = upscale(features)
        carried = (y if network.config.norm_queries else x)[:, :Q].to(dtype)
        class_logits = network.class_head(seen).float()
        next_queries = fuse(
            network.query_updater(carried).float(), network.queries, class_logits,
            network.config.renew_below)
        return (
            class_logits, network.mask_head(seen), features.permute(0, 2, 3, 1), next_queries)


class _Block(nn.Module):
    """A transformer block with its LayerScale inside the linear layers."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.attention = _Attention(block.attention, block.scale1)
        self.mlp = block.mlp
        self.mlp.fc2 = _scaled(block.mlp.fc2, block.scale2)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        dtype = self.mlp.fc1.weight.dtype
        x = x + self.attention(self.norm1(x).to(dtype), rotation)
        return x + self.mlp(self.norm2(x).to(dtype))


class _Attention(nn.Module):
    """Attention with three projections: the fused one would have to be cut up again."""

    def __init__(self, attention: Attention, scale: Tensor) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.projections = nn.ModuleList(
            _linear(weight, bias) for weight, bias in zip(
                attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True))
        self.out = _scaled(attention.out, scale)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        B, N, C = x.shape
        q, k, v = (
            projection(x).view(B, N, self.num_heads, C // self.num_heads).transpose(1, 2)
            for projection in self.projections)  # (B, heads, N, head size)
        if rotation is not None:
            q, k = rotate_last(q, rotation), rotate_last(k, rotation)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.out(x.transpose(1, 2).reshape(B, N, C))


class _Upscale(nn.Module):
    """
    :class:`UpscaleBlock` with its norm over axis 1, and its transposed convolution in two steps.

    Behind a convolution the channels lie last in memory anyway, whatever the order of the axes
    says. Told to bring them there, a runtime makes copies. A transposed convolution whose windows
    do not overlap makes four pixels of each, and none of several: that is a plain one to four
    times the channels, which are then laid side by side (DepthToSpace).
    """

    def __init__(self, block: UpscaleBlock) -> None:
        super().__init__()
        C = block.conv1.out_channels
        weight = block.conv1.weight.detach().permute(2, 3, 1, 0)  # (rows, columns, C, C in)
        self.conv1 = nn.Conv2d(C, 4 * C, kernel_size=1, device='meta')
        self.conv1.weight = nn.Parameter(weight.reshape(4 * C, C, 1, 1).clone())
        self.conv1.bias = nn.Parameter(cast(Tensor, block.conv1.bias).detach().repeat(4))
        self.conv2, self.eps = block.conv2, block.norm.eps
        self.weight = nn.Parameter(block.norm.weight[:, None, None].clone())
        self.bias = nn.Parameter(block.norm.bias[:, None, None].clone())

    def forward(self, features: Tensor) -> Tensor:
        B, C, h, w = features.shape
        x = F.gelu(self.conv1(features)).view(B, 2, 2, C, h, w)
        x = x.permute(0, 3, 4, 1, 5, 2).reshape(B, C, 2 * h, 2 * w)
        x = self.conv2(x).float()
        x = x - x.mean(dim=1, keepdim=True)
        x = x * torch.rsqrt((x * x).mean(dim=1, keepdim=True) + self.eps)
        return (x * self.weight + self.bias).to(features.dtype)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device='meta')
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer


def _scaled(layer: nn.Linear, scale: Tensor) -> nn.Linear:
    """Fold a factor for each channel of its result into a linear layer."""
    return _linear(layer.weight.detach() * scale.detach()[:, None],
                   layer.bias.detach() * scale.detach())


def grid_positions(network: VideoMT, height: int, width: int) -> Tensor:
    """
    Make the third input of a :class:`StepGraph`, which is the same for all frames of a size.

    :param network: whose graph it is.
    :param height: of the frames in pixels, a multiple of the patch size.
    :param width: of the frames in pixels, a multiple of the patch size.
    :returns: float32 on the device of the network; with dinov2 the position table (gh * gw, C),
        with dinov3 cosine and sine of the rotary embedding (2, gh * gw, head size).
    """
    config = network.config
    gh, gw = height // config.patch_size, width // config.patch_size
    if config.backbone == 'dinov3':
        return torch.stack(rotary_embedding(gh, gw, config.head_size, network.device))
    positions = network.embed.positions
    assert positions is not None
    if gh == gw == config.grid_size:
        return positions.detach()
    return resize_positions(positions.detach(), gh, gw)


def as_output(network: VideoMT, answer: Answer) -> VideoMTOutput:
    """
    Give the answer of a graph the form of the network's.

    :param network: whose graph it is.
    :param answer: as :meth:`StepGraph.forward` returns it.
    :returns: the same memory, no copies.
    """
    class_logits, embeddings, features, queries = answer
    return VideoMTOutput(
        class_logits, embeddings, features.permute(0, 3, 1, 2),
        QueryState(queries, network.queries.detach()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what PyTorch's exporter says of its own insides."""
    loggers = [logging.getLogger(name) for name in ('torch', 'onnxscript', 'onnx_ir')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def write_onnx(network: VideoMT, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """
    Write a network's step graph as ONNX, for any batch and any size.

    :param network: its weights are copied.
    :param path: of the file; a folder has to exist.
    :param dtype: of the matrix products.
    :raises ImportError: when the package onnxscript is missing.
    """
    network = copy.deepcopy(network).cpu()
    config = network.config
    height, width = 4 * config.patch_size, 6 * config.patch_size  # axes all of different length
    example = (
        torch.zeros(2, 3, height, width), network.initial_state(2).queries.float().contiguous(),
        grid_positions(network, height, width))
    tokens = 1 if config.backbone == 'dinov3' else 0
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            StepGraph(network, dtype), example, dynamo=True, opset_version=_OPSET, verbose=False,
            input_names=INPUTS, output_names=OUTPUTS, dynamic_shapes={
                'pixels': {0: 'batch', 2: 'height', 3: 'width'}, 'queries': {0: 'batch'},
                'positions': {tokens: 'patches'}})
    assert program is not None
    for node in program.model.graph:  # of where it came from on this machine: a third of the file
        node.metadata_props.clear()
    program.save(path)
