"""Ways to run the network, behind one small interface."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from videomt_ros.network import QueryState, VideoMT, VideoMTOutput

ENGINES = ('auto', 'eager', 'compile')


class Engine(Protocol):
    """Runs one step of the network for a batch of streams."""

    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32, normalised.
        :param state: the memory of the streams.
        :returns: logits, masks and the new memory.
        """


def make_engine(name: str, network: VideoMT) -> Engine:
    """
    Choose how the network is run.

    :param name: 'eager'; 'compile' (torch.compile: the first frame of each size takes minutes, and
        needs a C++ compiler); 'auto' = 'compile' on CUDA, 'eager' elsewhere.
    :param network: weights on their device.
    :returns: the engine.
    :raises ValueError: for another name.
    """
    if name not in ENGINES:
        raise ValueError(f'engine {name!r}: expected one of {ENGINES}')
    if name == 'auto':
        name = 'compile' if network.device.type == 'cuda' else 'eager'
    return torch.compile(network) if name == 'compile' else network
