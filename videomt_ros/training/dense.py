"""
A head for the training alone: what each patch shows, read off the encoder's tokens.

Queries teach the encoder through the few masks of a frame. This head teaches it every patch as
well: the shares of the classes in it, and how far from it the object that fills it ends, as in
FCOS (Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", 2019), so that
neighbours of one kind differ. The network in use has no such head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn, Tensor
import torch.nn.functional as F
from videomt_ros.network import NetworkConfig
from videomt_ros.network.vit import LayerNorm

from .losses import class_balance, ClipTargets

_SIDES_WEIGHT = 5.0  # of the distances against the classes, as DETR weighs its boxes


@dataclass(frozen=True)
class PatchTargets:
    """
    What the patches of B clips of T frames show, row by row.

    :param shares: (B, T, Np, K + 1) float32 of the classes, the last is no object; their sum
        is 1, also where masks overlap.
    :param sides: (B, T, Np, 4) float32 distances from the patch's centre to the left, upper,
        right and lower side of what is seen of the object in it, in parts of the frame's width
        and height.
    :param filled: (B, T, Np) bool, where one object has more than half of the patch.
    """

    shares: Tensor
    sides: Tensor
    filled: Tensor


class DenseHead(nn.Module):
    """
    Class logits and sides of every patch, each from its token alone.

    :param config: of the network whose tokens it reads.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.classes = nn.Linear(config.hidden_size, config.num_classes + 1)
        self.sides = nn.Linear(config.hidden_size, 4)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """
        Read the patches.

        :param tokens: (..., C) patch tokens of the encoder.
        :returns: class logits (..., K + 1) and sides (..., 4) as in :class:`PatchTargets`.
        """
        y = self.norm(tokens)
        return self.classes(y).float(), self.sides(y).float()


def patch_targets(
        targets: ClipTargets, patch_size: int, num_classes: int, lead: int = 0) -> PatchTargets:
    """
    Read off the true masks what each patch shows.

    :param targets: the clips' objects; height and width are multiples of the patch size.
    :param patch_size: side of a patch in pixels.
    :param num_classes: K.
    :param lead: so many of the first frames are left out.
    :returns: the targets of the other frames.
    """
    masks = targets.masks[:, :, lead:].float()  # (B, N, T, H, W)
    B, N, T, H, W = masks.shape
    parts = F.avg_pool2d(masks.flatten(0, 2)[:, None], patch_size).view(B, N, T, -1)
    labels = targets.labels.clamp(min=0)[:, :, None, None].expand_as(parts)
    objects = parts.new_zeros(B, num_classes, T, parts.shape[3]).scatter_add(1, labels, parts)
    rest = (1 - objects.sum(1, keepdim=True)).clamp(min=0)
    largest, owner = parts.max(1)  # (B, T, Np)
    boxes = torch.cat((_extent(masks.amax(4)), _extent(masks.amax(3))), dim=3)
    boxes = boxes.transpose(1, 2).gather(2, owner[..., None].expand(-1, -1, -1, 4))
    upper, lower, left, right = boxes.unbind(3)
    y = (torch.arange(0, H, patch_size, device=masks.device) + patch_size / 2) / H
    x = (torch.arange(0, W, patch_size, device=masks.device) + patch_size / 2) / W
    y, x = (grid.flatten() for grid in torch.meshgrid(y, x, indexing='ij'))
    sides = torch.stack((x - left, y - upper, right - x, lower - y), dim=3)
    shares = F.normalize(torch.cat((objects, rest), dim=1), p=1, dim=1).permute(0, 2, 3, 1)
    return PatchTargets(shares, sides, largest > 0.5)


def _extent(lines: Tensor) -> Tensor:
    """Give where the ones of (B, N, T, length) begin and end: (B, N, T, 2) in 0..1."""
    length = lines.shape[3]
    begin, end = lines.argmax(3), length - lines.flip(3).argmax(3)
    return torch.stack((begin, end), dim=3) / length


def dense_loss(
        class_logits: Tensor, sides: Tensor, targets: PatchTargets, no_object: float) -> Tensor:
    """
    Compare what the head says with what the patches show.

    :param class_logits: (B, T, Np, K + 1).
    :param sides: (B, T, Np, 4).
    :param targets: of the same patches.
    :param no_object: weight of the no-object class within the cross entropy.
    :returns: a scalar.
    """
    shares = targets.shares.flatten(0, 2)
    balance = class_balance(shares.shape[1] - 1, no_object, shares.device)
    classes = F.cross_entropy(
        class_logits.flatten(0, 2), shares, weight=balance, reduction='sum')
    apart = (sides - targets.sides).abs().mean(3) * targets.filled
    return (classes / (shares * balance).sum()  # a product would be rounded under autocast
            + _SIDES_WEIGHT * apart.sum() / targets.filled.sum().clamp(min=1))
