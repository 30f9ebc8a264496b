"""
The network's CUDA kernels, recorded once for each size of input and replayed as a whole.

With small networks a GPU waits for Python to launch kernels; a replay launches all with one call.
Follows the section "CUDA Graphs" of PyTorch's CUDA semantics: static inputs, a few warm-up runs on
a side stream, then the capture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from videomt_ros.network import QueryState, VideoMT, VideoMTOutput

from .engine import EngineError
from .recent import Recent

_WARM_UP_RUNS = 3
# Sizes of pictures, each with all batches that its cameras make: one that was dropped would be
# recorded again within frames. Each recording holds the memory of all intermediate results.
_SIZES = 4


@dataclass(frozen=True, eq=False)
class _Recording:
    """
    A recorded step, and the memory that it reads and writes.

    :param graph: of the kernels.
    :param pixels: the input is copied to.
    :param queries: the memory is copied to.
    :param output: what a replay leaves its answer in.
    """

    graph: torch.cuda.CUDAGraph
    pixels: Tensor
    queries: Tensor
    output: VideoMTOutput


class CudaGraphEngine:
    """
    Replays what the network does on a CUDA device.

    :param network: on its device; its weights must stay where they are.
    :raises EngineError: when it is on another kind of device.
    """

    def __init__(self, network: VideoMT) -> None:
        if network.device.type != 'cuda':
            raise EngineError(
                f"engine 'cudagraph': the network is on {network.device}, expected a CUDA device")
        self._network = network
        self._recordings: Recent[torch.Size, _Recording] = Recent(_SIZES)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32 on the network's device.
        :param state: the memory of the streams.
        :returns: as :class:`Engine` says.
        """
        with torch.cuda.device(pixels.device):
            recording = self._recordings.get(
                pixels.shape, lambda: self._record(pixels, state), pixels.shape[2:])
            recording.pixels.copy_(pixels)
            recording.queries.copy_(state.queries)
            recording.graph.replay()
        output = recording.output
        return VideoMTOutput(
            output.class_logits.clone(), output.mask_embeddings.clone(), output.mask_features,
            QueryState(output.state.queries.clone(), output.state.initial))

    def _record(self, pixels: Tensor, state: QueryState) -> _Recording:
        pixels = pixels.clone()
        queries = state.queries.to(self._network.dtype, copy=True)
        memory = QueryState(queries, state.initial)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_RUNS):
                self._network(pixels, memory)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._network(pixels, memory)
        return _Recording(graph, pixels, queries, output)
