"""
The plain vision transformer of VidEoMT: patch embedding, positions, blocks.

Follows timm's ``vit_*_patch14_reg4_dinov2`` (patch 16) and transformers' DINOv3ViT as the original
VidEoMT uses them. The residual stream, LayerNorm and LayerScale stay in float32 whatever the
precision of the matrix products: under autocast the original does the same.
"""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from .config import NetworkConfig

Rotation = tuple[Tensor, Tensor]


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the last axis, computed and returned in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """
        Normalise the last axis.

        :param x: (..., C) of any floating dtype.
        :returns: (..., C) float32.
        """
        return F.layer_norm(
            x.float(), self.normalized_shape, self.weight, self.bias, self.eps)


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection; rows of ``qkv`` are q, k, v."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
            self, x: Tensor, rotation: Rotation | None = None,
            mask: Tensor | None = None) -> Tensor:
        """
        Let every token attend to every other.

        :param x: (B, N, C) normalised tokens in the dtype of the weights.
        :param rotation: cos and sin (Np, head size) of the last Np tokens, which are rotated.
        :param mask: bool (B, N, N) or (B, 1, N, N), True where attention is allowed; None is all.
        :returns: (B, N, C).
        """
        B, N, C = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q, k = _rotate_last(q, rotation), _rotate_last(k, rotation)
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]
        if self.training and mask is None and q.device.type == 'cpu' and q.dtype == torch.bfloat16:
            x = _attend_by_head(q, k, v)  # (B, heads, N, head size)
        else:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(x.transpose(1, 2).reshape(B, N, C))


def _attend_by_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """
    Attend one head after the other, so that its N x N scores stay in the processor's cache.

    PyTorch's fused kernel takes 1.6 times as long in bf16 (forward and backward, 800 tokens, heads
    of 64 channels). Scores are rounded to bf16 here, which training bears; inference need not.

    :param q: (B, heads, N, head size) bfloat16; also k and v.
    :returns: (B, heads, N, head size) bfloat16.
    """
    with torch.autocast(q.device.type, enabled=False):  # its softmax would be in float32
        q = q * q.shape[-1] ** -0.5
        heads = [
            torch.softmax(one_q @ one_k.T, dim=-1) @ one_v
            for one_q, one_k, one_v in zip(
                q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), strict=True)]
    return torch.stack(heads).view_as(q)


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.mlp_size)
        self.fc2 = nn.Linear(config.mlp_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """
        Transform each token by itself.

        :param x: (B, N, C).
        :returns: (B, N, C).
        """
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer block whose two branches are scaled by channel (LayerScale)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = Attention(config)
        self.scale1 = nn.Parameter(torch.ones(config.hidden_size))
        self.norm2 = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)
        self.scale2 = nn.Parameter(torch.ones(config.hidden_size))

    def forward(
            self, x: Tensor, rotation: Rotation | None = None,
            mask: Tensor | None = None) -> Tensor:
        """
        Apply attention and MLP to the residual stream.

        :param x: (B, N, C) float32.
        :param rotation: as for :class:`Attention`.
        :param mask: as for :class:`Attention`.
        :returns: (B, N, C) float32.
        """
        dtype = self.mlp.fc1.weight.dtype
        x = x + self.scale1 * self.attention(self.norm1(x).to(dtype), rotation, mask)
        return x + self.scale2 * self.mlp(self.norm2(x).to(dtype))


class PatchEmbedding(nn.Module):
    """
    Pixels to tokens: [class token, registers, patches row by row].

    With dinov2, learnt positions are added to the patch tokens before the others are put in
    front; they are resized to the grid of the image and kept until weights or mode change.
    With dinov3 there are none: :func:`rotary_embedding` takes their place.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        C, P = config.hidden_size, config.patch_size
        self.patch_size = P
        self.projection = nn.Conv2d(3, C, kernel_size=P, stride=P)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, C))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_registers, C))
        if config.backbone == 'dinov2':
            self.positions = nn.Parameter(torch.zeros(config.grid_size ** 2, C))
        else:
            self.register_parameter('positions', None)
        self._resized: dict[tuple[int, int, int], Tensor] = {}

    def forward(self, pixels: Tensor) -> Tensor:
        """
        Embed normalised pixels.

        :param pixels: (B, 3, H, W), H and W multiples of the patch size.
        :returns: (B, 1 + registers + H/P * W/P, C) float32.
        """
        x = self.projection(pixels.to(self.projection.weight.dtype)).float()  # (B, C, gh, gw)
        B, _, gh, gw = x.shape
        x = x.flatten(2).transpose(1, 2)  # (B, gh * gw, C)
        if self.positions is not None:
            x = x + self._positions_for(gh, gw)
        prefix = torch.cat((self.cls_token, self.register_tokens), dim=1)
        return torch.cat((prefix.expand(B, -1, -1), x), dim=1)

    def _positions_for(self, gh: int, gw: int) -> Tensor:
        """Give the position table (gh * gw, C) of a grid, resized as timm does."""
        count = self.positions.shape[0]
        if gh == gw and gh * gw == count:
            return self.positions
        if self.training or torch.is_grad_enabled():
            return resize_positions(self.positions, gh, gw)
        # Tensors made in inference mode count no changes in place.
        version = 0 if self.positions.is_inference() else self.positions._version
        if (gh, gw, version) not in self._resized:
            self._resized[gh, gw, version] = resize_positions(self.positions, gh, gw)
        return self._resized[gh, gw, version]

    def train(self, mode: bool = True) -> PatchEmbedding:
        """
        Set the mode and forget resized positions, which training may have made stale.

        :param mode: True for training.
        :returns: self.
        """
        self._resized.clear()
        return super().train(mode)

    def _apply(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self._resized.clear()
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        self._resized.clear()
        super()._load_from_state_dict(*args, **kwargs)


def resize_positions(positions: Tensor, gh: int, gw: int) -> Tensor:
    """
    Resample a square position table to another grid, as timm's ``resample_abs_pos_embed`` does.

    :param positions: (G * G, C), row by row.
    :param gh: rows of the new grid.
    :param gw: columns of the new grid.
    :returns: (gh * gw, C) in the dtype of ``positions``; antialiased bicubic in float32.
    """
    side = math.isqrt(positions.shape[0])
    table = positions.float().view(1, side, side, -1).permute(0, 3, 1, 2)
    table = F.interpolate(
        table, size=(gh, gw), mode='bicubic', antialias=True, align_corners=False)
    return table[0].flatten(1).T.to(positions.dtype)


def rotary_embedding(
        gh: int, gw: int, head_size: int, device: torch.device) -> Rotation:
    """
    Compute DINOv3's axial rotary embedding of a patch grid (base 100).

    Patch centres run from -1 to 1 on each axis by itself, so that any aspect ratio works.

    :param gh: rows of the grid.
    :param gw: columns of the grid.
    :param head_size: channels of one attention head; the first half of the frequencies belongs
        to y, the second to x, and both are repeated for the rotated pairs.
    :param device: where the result is made.
    :returns: cos and sin, each (gh * gw, head_size) float32.
    """
    frequency = 100.0 ** -torch.arange(
        0, 1, 4 / head_size, dtype=torch.float32, device=device)  # (head size / 4,)
    y = 2 * (torch.arange(gh, dtype=torch.float32, device=device) + 0.5) / gh - 1
    x = 2 * (torch.arange(gw, dtype=torch.float32, device=device) + 0.5) / gw - 1
    centres = torch.stack(torch.meshgrid(y, x, indexing='ij'), dim=-1).view(-1, 2, 1)
    angles = (2 * math.pi * centres * frequency).flatten(1).tile(2)  # (gh * gw, head size)
    return angles.cos(), angles.sin()


def _rotate_last(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the last Np of (B, heads, N, head size) in float32; queries and prefix stay."""
    cos, sin = rotation
    fixed, turned = x.split((x.shape[2] - cos.shape[0], cos.shape[0]), dim=2)
    first, second = turned.chunk(2, dim=-1)
    turned = turned * cos + torch.cat((-second, first), dim=-1) * sin
    return torch.cat((fixed, turned.to(x.dtype)), dim=2)
