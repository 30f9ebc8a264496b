"""
VidEoMT: a plain ViT whose last blocks also see object queries, carried from frame to frame.

Follows "VidEoMT: Your ViT is Secretly Also a Video Segmentation Model" (CVPR 2026). For frame t::

    tokens  = early blocks(embed(frame))                    # no memory, frames can be batched
    queries = learnt queries                                # first frame
            = query_updater(propagated) + learnt queries    # later frames; less of what was
                                                            # propagated with renew_below
    x       = query blocks([queries, tokens])
    y       = LayerNorm(x)
    class logits, masks = heads(y)
    propagated = queries of x (of y where the checkpoint says norm_queries)

The memory never lives inside the module: :class:`QueryState` goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from .config import NetworkConfig
from .folder import write_folder
from .heads import MaskHead, UpscaleBlock
from .vit import Block, LayerNorm, PatchEmbedding, rotary_embedding, Rotation


@dataclass(frozen=True)
class QueryState:
    """
    The memory of B streams: the queries with which their next frames begin.

    :param queries: (B, Q, C) in the dtype of the network.
    :param initial: (Q, C) learnt queries, with which a stream without memory begins.
    """

    queries: Tensor
    initial: Tensor

    def reset(self, rows: int | Sequence[int]) -> QueryState:
        """
        Take the memory away from some rows; the others keep theirs.

        :param rows: one row index or several.
        :returns: a new state; this one is unchanged.
        """
        queries = self.queries.clone()
        queries[rows] = self.initial.to(queries.dtype)
        return QueryState(queries, self.initial)

    def row(self, index: int) -> QueryState:
        """
        Take one stream out of the batch.

        :param index: its row, 0..B-1.
        :returns: the state of that stream alone, queries (1, Q, C).
        """
        return QueryState(self.queries[index:index + 1], self.initial)

    @staticmethod
    def cat(states: Sequence[QueryState]) -> QueryState:
        """
        Put streams together into one batch.

        :param states: at least one state, of the same network.
        :returns: their rows in order.
        """
        return QueryState(torch.cat([state.queries for state in states]), states[0].initial)


@dataclass(frozen=True)
class FrameTokens:
    """
    What the early blocks make of B frames, before any memory comes in.

    :param tokens: (B, 1 + registers + gh * gw, C) float32.
    :param grid: rows and columns (gh, gw) of patches.
    :param rotation: rotary embedding of the patches; None for dinov2.
    """

    tokens: Tensor
    grid: tuple[int, int]
    rotation: Rotation | None

    def row(self, index: int) -> FrameTokens:
        """
        Take one frame out of the batch.

        :param index: its row, 0..B-1.
        :returns: that frame alone, a batch of one.
        """
        return FrameTokens(self.tokens[index:index + 1], self.grid, self.rotation)


@dataclass(frozen=True)
class VideoMTOutput:
    """
    What the network says of B frames; masks are made only when they are asked for.

    :param class_logits: (B, Q, K + 1) float32, last column is no object.
    :param mask_embeddings: (B, Q, C).
    :param mask_features: (B, C, h, w), h and w a quarter of the input's for published networks.
    :param state: the memory for the next frames.
    """

    class_logits: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    state: QueryState

    @cached_property
    def mask_logits(self) -> Tensor:
        """Give all mask logits (B, Q, h, w) float32; a mask is where they are > 0."""
        return torch.einsum('bqc,bchw->bqhw', self.mask_embeddings, self.mask_features).float()

    def mask_logits_of(self, row: int, slots: Sequence[int] | Tensor) -> Tensor:
        """
        Compute the mask logits of some queries of one frame, at the cost of those alone.

        :param row: the frame's row in the batch.
        :param slots: n query indices.
        :returns: (n, h, w) float32.
        """
        features = self.mask_features[row:row + 1]  # (1, C, h, w)
        embeddings = self.mask_embeddings[row, slots]
        if features.is_cuda or not len(embeddings):
            masks = (embeddings @ features[0].flatten(1)).view(-1, *features.shape[2:])
        else:  # channels lie last, and a CPU is three times as fast with it as a convolution then
            masks = F.conv2d(features, embeddings[:, :, None, None])[0]
        return masks.float().contiguous()


def fuse(updated: Tensor, initial: Tensor, class_logits: Tensor, renew_below: float) -> Tensor:
    """
    Add what the queries of a frame carry on to the learnt ones.

    A query that shows nothing, carried on, looks where it looked in vain. The learnt ones are
    taught to find what is there, as all have to in a first frame. With ``renew_below`` a query
    carries on in proportion to its surest class, and all of it from that probability on.
    Without a step in between, rounding does not decide what is forgotten.

    :param updated: (B, Q, C) float32 that the queries of this frame have become.
    :param initial: (Q, C) learnt queries.
    :param class_logits: (B, Q, K + 1) float32 of this frame, last column is no object; they get
        no gradient.
    :param renew_below: probability 0..1; 0 carries all on.
    :returns: (B, Q, C) float32 queries for the next frame.
    """
    if renew_below > 0:
        chances = class_logits.detach().softmax(2)[..., :-1].amax(2, keepdim=True)
        updated = updated * (chances / renew_below).clamp(max=1)
    return updated + initial


class VideoMT(nn.Module):
    """
    The network with random weights; :func:`load_network` gives trained ones.

    :param config: architecture, classes and preprocessing.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        C = config.hidden_size
        self.embed = PatchEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = LayerNorm(C, eps=config.layer_norm_eps)
        self.queries = nn.Parameter(torch.empty(config.num_queries, C))
        self.query_updater = nn.Linear(C, C)
        self.class_head = nn.Linear(C, config.num_classes + 1)
        self.mask_head = MaskHead(C)
        self.upscale = nn.Sequential(*(UpscaleBlock(C) for _ in range(config.num_upscale_blocks)))
        self._rotations: dict[tuple[int, int, torch.device], Rotation] = {}
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for tokens in (self.embed.cls_token, self.embed.register_tokens, self.embed.positions):
            if tokens is not None and tokens.numel():
                nn.init.trunc_normal_(tokens, std=0.02)
        nn.init.normal_(self.queries)

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype of the matrix products and of the memory."""
        return self.class_head.weight.dtype

    @property
    def device(self) -> torch.device:
        """Give the device of the weights."""
        return self.queries.device

    def set_precision(self, dtype: torch.dtype) -> VideoMT:
        """
        Convert linear and convolution layers; tokens, norms and layer scales stay float32.

        :param dtype: torch.float32, torch.bfloat16 or torch.float16.
        :returns: self.
        """
        self.float()
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                module.to(dtype)
        return self

    def initial_state(self, batch: int) -> QueryState:
        """
        Give the memory of streams that have seen nothing.

        :param batch: number of streams B.
        :returns: a state whose queries are the learnt ones.
        """
        queries = self.queries.to(self.dtype).expand(batch, -1, -1)
        return QueryState(queries, self.queries)

    def encode(self, pixels: Tensor) -> FrameTokens:
        """
        Run the early blocks, which need no memory: frames of one stream can be a batch.

        :param pixels: (B, 3, H, W) normalised RGB; H and W multiples of the patch size.
        :returns: the tokens with which :meth:`step` goes on.
        :raises ValueError: when the shape does not fit the network.
        """
        P = self.config.patch_size
        if pixels.dim() != 4 or pixels.shape[1] != 3 or any(
                side == 0 or side % P for side in pixels.shape[2:]):
            raise ValueError(
                f'pixels have shape {tuple(pixels.shape)}: expected (B, 3, H, W) with H and W '
                f'multiples of the patch size {P}')
        grid = (pixels.shape[2] // P, pixels.shape[3] // P)
        rotation = self._rotation(grid) if self.config.backbone == 'dinov3' else None
        x = self.embed(pixels)
        for block in self.blocks[:-self.config.num_query_blocks]:
            x = block(x, rotation)
        return FrameTokens(x, grid, rotation)

    def step(self, frame: FrameTokens, state: QueryState | None = None) -> VideoMTOutput:
        """
        Run the query blocks and the heads, and carry the memory on.

        :param frame: tokens of B frames, one of each stream.
        :param state: the memory of the B streams; None where they begin.
        :returns: logits, masks and the new memory.
        :raises ValueError: when the memory is not that of B streams of this network.
        """
        B = frame.tokens.shape[0]
        state = state or self.initial_state(B)
        expected = (B, self.config.num_queries, self.config.hidden_size)
        if tuple(state.queries.shape) != expected:
            raise ValueError(
                f'state.queries have shape {tuple(state.queries.shape)}: expected {expected} for '
                f'{B} frames of this network')
        x = torch.cat((state.queries.float(), frame.tokens), dim=1)  # (B, Q + prefix + Np, C)
        for block in self.blocks[-self.config.num_query_blocks:]:
            x = block(x, frame.rotation)
        y = self.norm(x)
        class_logits, mask_embeddings, mask_features = self.predict(y, frame.grid)
        return VideoMTOutput(
            class_logits, mask_embeddings, mask_features,
            self.propagate(y if self.config.norm_queries else x, class_logits))

    def forward(self, pixels: Tensor, state: QueryState | None = None) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) normalised RGB; H and W multiples of the patch size.
        :param state: the memory that the previous call returned; None where the streams begin.
        :returns: logits, masks and the memory for the next call.
        :raises ValueError: when a shape does not fit the network.
        """
        return self.step(self.encode(pixels), state)

    def predict(self, y: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """
        Apply the heads to normalised tokens.

        :param y: (B, Q + prefix + gh * gw, C).
        :param grid: (gh, gw).
        :returns: class logits (B, Q, K + 1) float32, mask embeddings (B, Q, C) and mask features
            (B, C, h, w), whose product gives the mask logits.
        """
        y = y.to(self.dtype)
        queries, patches = y[:, :self.config.num_queries], y[:, -grid[0] * grid[1]:]
        patches = patches.transpose(1, 2).unflatten(2, grid)  # (B, C, gh, gw)
        return self.classify(y), self.mask_head(queries), self.upscale(patches)

    def classify(self, y: Tensor) -> Tensor:
        """
        Apply the class head to normalised tokens.

        :param y: (B, >= Q, C), queries first.
        :returns: class logits (B, Q, K + 1) float32.
        """
        return self.class_head(y[:, :self.config.num_queries].to(self.dtype)).float()

    @torch.no_grad()
    def raise_mask_logits(self, amount: float) -> None:
        """
        Add a constant to every mask logit, by a change of the weights alone.

        What a LayerNorm gives, each channel divided by its weight, has the same sum at every
        place: that of its biases, divided likewise. So there is an embedding whose product with
        the mask features is 1 everywhere, and a multiple of it can be part of every query's.

        :param amount: what is added; > 0 makes the masks larger.
        :raises ValueError: when that sum is 0, as in a network that nobody trained, or one of
            the weights is.
        """
        norm = cast(UpscaleBlock, self.upscale[-1]).norm if len(self.upscale) else self.norm
        weight, bias = norm.weight.double(), norm.bias.double()
        one = 1 / (weight * (bias / weight).sum())
        if not one.isfinite().all():
            raise ValueError(
                'nothing can be added to the mask logits: in the norm before the mask features a '
                'weight is 0, or the sum of the biases, each divided by its weight; expected a '
                'trained network')
        self.mask_head.fc3.bias.add_(amount * one)

    def propagate(self, x: Tensor, class_logits: Tensor) -> QueryState:
        """
        Fuse the queries of a frame with the learnt ones, for the next frame.

        :param x: (B, >= Q, C) tokens after the query blocks, queries first.
        :param class_logits: (B, Q, K + 1) of this frame.
        :returns: the memory for the next frame.
        """
        updated = self.query_updater(x[:, :self.config.num_queries].to(self.dtype))
        queries = fuse(updated.float(), self.queries, class_logits, self.config.renew_below)
        return QueryState(queries.to(self.dtype), self.queries)

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """
        Write the weights and their record in Hugging Face's layout.

        :param folder: made where missing. ``config.json`` and ``model.safetensors`` are what
            transformers' VideomtForUniversalSegmentation loads (DINOv2); ``videomt_ros.json``
            beside them holds what its record cannot say.
        :param dtype: in which the weights are stored; None keeps theirs.
        """
        write_folder(Path(folder), self.config, self.state_dict(), dtype)

    def _rotation(self, grid: tuple[int, int]) -> Rotation:
        key = (*grid, self.device)
        if key not in self._rotations:
            self._rotations[key] = rotary_embedding(*grid, self.config.head_size, self.device)
        return self._rotations[key]
