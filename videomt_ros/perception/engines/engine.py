"""What an engine is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from videomt_ros.network import QueryState, VideoMTOutput


class EngineError(RuntimeError):
    """Say in one sentence why an engine cannot run the network, and what it needs."""


class Engine(Protocol):
    """
    Runs one step of the network for a batch of streams.

    :class:`videomt_ros.network.VideoMT` is one: the engine 'eager'.
    """

    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32, normalised.
        :param state: the memory of the streams.
        :returns: logits, masks and the new memory. The mask features, which are large, may lie
            where the next call writes its own; all else stays as it is.
        """
