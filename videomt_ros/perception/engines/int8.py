"""
Quantise a step graph to int8 with NNCF, on frames that the network will really see.

What becomes int8, weights and activations, are the linear layers that all tokens go through, half
of the work with ViT-S at 640x640, and the products of queries and keys inside attention, a fifth.
So do the convolutions that enlarge the features of the masks, a fourteenth. The rest stays in
bf16, or in fp32 on a CPU without it: the other convolutions; the products with the values, whose
weights are a small part of one each among thousands of tokens; and what only the object queries go
through, whose errors are carried from frame to frame. For the same reason NNCF's SmoothQuant is
off, which suits language models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from videomt_ros.network import QueryState, VideoMT, VideoMTOutput
from videomt_ros.network.step_graph import grid_positions, INPUTS

from .engine import Engine, EngineError
from .graph_cache import graph_folder, new_files
from .openvino_cpu import exported, INT8_FILE

Sample = Mapping[str, np.ndarray]


class Sampler:
    """
    An engine that remembers what another one is given.

    :param network: whose weights that engine runs.
    :param engine: that does the work.
    :param every: every so-manieth step is remembered, the first one included.
    """

    def __init__(self, network: VideoMT, engine: Engine, every: int) -> None:
        self._network = network
        self._engine = engine
        self._every = every
        self._steps = 0
        self.samples: list[Sample] = []

    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: as for :class:`Engine`.
        :param state: as for :class:`Engine`.
        :returns: what the other engine says.
        """
        if self._steps % self._every == 0:
            positions = grid_positions(self._network, *pixels.shape[2:])
            self.samples.append({
                name: tensor.detach().float().cpu().numpy().copy() for name, tensor in zip(
                    INPUTS, (pixels, state.queries, positions), strict=True)})
        self._steps += 1
        return self._engine(pixels, state)


def quantise(network: VideoMT, samples: Sequence[Sample]) -> Path:
    """
    Make the int8 graph of a network; one that was there is replaced.

    :param network: in float32, on the CPU.
    :param samples: inputs of the graph, some dozens; their sizes may differ.
    :returns: the file, where the engine 'openvino' in 'int8' finds it.
    :raises EngineError: when NNCF or OpenVINO is missing.
    :raises ValueError: without samples.
    """
    if not samples:
        raise ValueError('there are no frames to calibrate with: expected at least one')
    # Without this word NNCF tells its makers of each call.
    os.environ.setdefault('NNCF_CI', '1')
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise EngineError(
            f"precision 'int8': a package is missing ({error}): expected "
            f"pip install 'videomt_ros[int8]'") from error
    nncf.set_log_level(logging.WARNING)
    model = openvino.Core().read_model(exported(network))
    smooth = nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1)
    quantised = nncf.quantize(
        model, nncf.Dataset(samples), subset_size=len(samples),
        preset=nncf.QuantizationPreset.MIXED, model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=[
            node.get_friendly_name() for node in model.get_ops()
            if _stays(node, network.config.num_queries)]),
        advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=smooth))
    path = graph_folder(network) / INT8_FILE
    with new_files(path.parent) as folder:
        openvino.save_model(quantised, folder / path.name, compress_to_fp16=False)
    return path


def _stays(node: Any, num_queries: int) -> bool:
    """Tell whether an operation of the graph is not to be quantised."""
    if node.get_type_name() in ('Convolution', 'GroupConvolution'):
        return max(list(node.input(1).get_shape())[-2:]) > 1
    if node.get_type_name() != 'MatMul':
        return False
    left, right = (node.input(i).get_source_output() for i in (0, 1))
    if right.get_node().get_type_name() != 'Constant':  # inside attention
        return not any(reader.get_node().get_type_name() == 'Softmax'
                       for reader in node.output(0).get_target_inputs())
    tokens = left.get_partial_shape()[1]  # of all tokens there are more than queries
    return bool(tokens.is_static and tokens.get_length() == num_queries)
