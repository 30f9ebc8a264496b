"""
Which of several masks gets which pixel: the rule of the paper's panoptic maps.

Follows ``inference_video_vps`` of the published file ``videomt/videomt.py``, with the areas of one
frame in place of those of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .bands import source_bands
from .resize import FrameGeometry


@dataclass(frozen=True, eq=False)
class Shares:
    """
    How the pixels of a frame are shared out among n masks.

    :param owner: (H, W) int16, the index of the mask that holds the pixel; n where none does.
    :param chances: (H, W) uint8, 255 times the probability of the strongest mask there.
    :param areas: (n,) pixels that each mask holds.
    :param passed: indices of the masks that keep what they hold, in ascending order.
    """

    owner: np.ndarray
    chances: np.ndarray
    areas: np.ndarray
    passed: list[int]


def share_out(
    logits: Tensor, scores: np.ndarray, geometry: FrameGeometry, overlap_threshold: float,
) -> Shares:
    """
    Let masks compete for the pixels of a frame.

    A pixel is won by the mask with the highest score times probability there, and held by it where
    that probability is 0.5 at least. A mask passes that holds a pixel, and wins at least so many
    pixels as are ``overlap_threshold`` of its own ones, those of 0.5 at least.

    :param logits: (n, h, w) float32 mask logits at the network's resolution.
    :param scores: (n,) float32, of the masks' classes.
    :param geometry: sizes of the frame.
    :param overlap_threshold: 0..1.
    :returns: the outcome.
    """
    count = len(logits)
    owner = np.full(geometry.source, count, dtype=np.int16)
    chances = np.zeros(geometry.source, dtype=np.uint8)
    if not count:
        return Shares(owner, chances, np.zeros(0, dtype=np.int64), [])
    weights = torch.from_numpy(scores).to(logits.device)[:, None, None]
    won = torch.zeros(count, dtype=torch.int64, device=logits.device)
    own = torch.zeros_like(won)
    bands = source_bands(geometry, tuple(logits.shape[1:]), logits.device)
    for rows in bands.split(count):
        masks = bands.probabilities(logits, rows)  # (n, rows, W)
        winner = (weights * masks).argmax(dim=0)
        chance = masks.gather(0, winner[None])[0]
        won += torch.bincount(winner.flatten(), minlength=count)
        own += (masks >= 0.5).sum(dim=(1, 2))
        owner[rows] = torch.where(chance >= 0.5, winner, count).to(torch.int16).cpu().numpy()
        chances[rows] = (255 * chance).round().to(torch.uint8).cpu().numpy()
    areas = np.bincount(owner.ravel(), minlength=count + 1)[:count]
    passed = [
        k for k, (win, area) in enumerate(zip(won.tolist(), own.tolist(), strict=True))
        if areas[k] and win / area >= overlap_threshold]
    return Shares(owner, chances, areas, passed)
