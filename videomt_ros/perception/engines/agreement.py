"""Whether another engine says what PyTorch says."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch
from torch import Tensor
from videomt_ros.network import VideoMT

from .engine import Engine, EngineError

_FRAMES = 3  # each begins with the queries that the one before has left
# Batch, rows and columns of patches: the position table is resized, and no two axes are alike.
_SIZES = ((2, 4, 6), (1, 7, 3))


@dataclass(frozen=True)
class Difference:
    """
    Largest differences, each as a share of the largest value that PyTorch gives.

    :param class_logits: of the class logits.
    :param mask_logits: of the mask logits.
    :param queries: of the queries for the next frame.
    """

    class_logits: float
    mask_logits: float
    queries: float


@torch.inference_mode()
def difference(network: VideoMT, engine: Engine) -> Difference:
    """
    Run an engine and the network on the same noise, a few frames of several sizes.

    Each carries its own queries on, so that errors add up as they would on a camera's frames.

    :param network: in float32.
    :param engine: of the same weights.
    :returns: the differences over all frames.
    """
    noise = torch.Generator().manual_seed(0)
    patch = network.config.patch_size
    worst = torch.zeros(3)
    for batch, rows, columns in _SIZES:
        theirs = ours = network.initial_state(batch)
        for _ in range(_FRAMES):
            pixels = torch.randn(
                (batch, 3, rows * patch, columns * patch), generator=noise).to(network.device)
            expected, answer = network(pixels, theirs), engine(pixels, ours)
            worst = torch.maximum(worst, torch.stack([  # keeps what is not a number
                _share(expected.class_logits, answer.class_logits),
                _share(expected.mask_logits, answer.mask_logits),
                _share(expected.state.queries, answer.state.queries)]))
            theirs, ours = expected.state, answer.state
    return Difference(*worst.tolist())


def check(network: VideoMT, engine: Engine, tolerance: float, name: str) -> None:
    """
    Refuse an engine that does not do what the network does.

    :param network: as for :func:`difference`.
    :param engine: of the same weights.
    :param tolerance: largest difference allowed, as a share.
    :param name: of the engine, for the message.
    :raises EngineError: when it differs by more.
    """
    found = difference(network, engine)
    # Written so that what is not a number fails.
    if not all(each <= tolerance for each in astuple(found)):
        raise EngineError(
            f'{name} does not do what PyTorch does: {found}, expected {tolerance} at most')


def _share(expected: Tensor, answer: Tensor) -> Tensor:
    return ((expected - answer.float()).abs().max() / expected.abs().max()).cpu()
