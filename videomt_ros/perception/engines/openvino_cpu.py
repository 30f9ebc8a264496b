"""
OpenVINO on the CPU: the fastest engine there, and the one that can do int8.

The exported graph serves any size, but is compiled anew for each batch and size that comes (about
a second for ViT-S), because its kernels are faster where they know the shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from videomt_ros.network import QueryState, VideoMT, VideoMTOutput
from videomt_ros.network.step_graph import (
    Answer,
    as_output,
    grid_positions,
    INPUTS,
    OUTPUTS,
)

from .agreement import check
from .engine import EngineError
from .graph_cache import graph_folder, step_onnx
from .recent import Recent

# int8 is what the quantised parts say themselves; the rest of such a graph runs in bf16.
_HINTS = {'fp32': 'f32', 'bf16': 'bf16', 'fp16': 'f16', 'int8': 'bf16'}
# Sizes of pictures whose compiled graphs are kept, each with all batches that its cameras make:
# one that was dropped would be compiled again within frames. Each graph has a copy of the weights.
_MOST_SIZES, _FEWEST_SIZES = 8, 3
_BYTES_OF_WEIGHTS = 2e9  # of the copies for one camera, where that allows for the fewest
_TOLERANCE = 1e-3
INT8_FILE = 'step_int8.xml'


def openvino_engine(network: VideoMT, precision: str) -> OpenVINOEngine:
    """
    Make the engine, exporting the graph where that was not done before.

    :param network: in float32.
    :param precision: 'fp32', 'bf16' or 'fp16', which is for the CPU to follow: one that cannot
        computes in fp32; or 'int8'.
    :returns: the engine.
    :raises EngineError: when OpenVINO is missing, or nothing was exported for int8.
    """
    if network.device.type != 'cpu':
        raise EngineError(
            f"engine 'openvino': the network is on {network.device}, expected the CPU")
    if precision != 'int8':
        return OpenVINOEngine(network, exported(network), precision)
    path = graph_folder(network) / INT8_FILE
    if not path.exists():
        raise EngineError(
            f"precision 'int8': {path} does not exist; expected a graph made by videomt_export "
            f'--precision int8 --calibrate BAG, from the same weights')
    return OpenVINOEngine(network, path, precision)


def exported(network: VideoMT) -> Path:
    """
    Find or make the graph that OpenVINO reads.

    :param network: its weights are exported.
    :returns: the file.
    :raises EngineError: when it cannot be made.
    """
    _openvino()
    return step_onnx(network, torch.float32, lambda path: check(
        network, OpenVINOEngine(network, path, 'fp32'), _TOLERANCE,
        'the graph exported for OpenVINO'))


class OpenVINOEngine:
    """
    Runs a step graph on the CPU, with as many threads as PyTorch would.

    :param network: whose graph it is.
    :param path: the graph, ONNX or OpenVINO's own format.
    :param precision: 'fp32', 'bf16', 'fp16' or 'int8'.
    :raises EngineError: when OpenVINO is missing or cannot read the file.
    """

    def __init__(self, network: VideoMT, path: Path, precision: str) -> None:
        openvino = _openvino()
        self._network = network
        self._hint = _HINTS[precision]
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise EngineError(f'{path}: OpenVINO cannot read this graph: {error}') from error
        copy = sum(weights.numel() * 4 for weights in network.parameters())
        self._requests: Recent[torch.Size, _Request] = Recent(
            max(_FEWEST_SIZES, min(_MOST_SIZES, int(_BYTES_OF_WEIGHTS / copy))))

    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32 on the CPU.
        :param state: the memory of the streams.
        :returns: as :class:`Engine` says.
        """
        request = self._requests.get(
            pixels.shape, lambda: self._compile(pixels.shape), pixels.shape[2:])
        return as_output(self._network, request(pixels, state.queries))

    def _compile(self, shape: torch.Size) -> _Request:
        openvino = _openvino()
        batch, _, height, width = shape
        positions = grid_positions(self._network, height, width)
        model = self._model.clone()
        config = self._network.config
        model.reshape(dict(zip(INPUTS, (
            list(shape), [batch, config.num_queries, config.hidden_size],
            list(positions.shape)), strict=True)))
        if self._hint == 'bf16' and 'BF16' in self._core.get_property(
                'CPU', 'OPTIMIZATION_CAPABILITIES'):
            # What is large goes out as it is computed.
            outputs = openvino.preprocess.PrePostProcessor(model)
            for name in OUTPUTS[1:3]:
                outputs.output(name).tensor().set_element_type(openvino.Type.bf16)
            model = outputs.build()
        compiled = self._core.compile_model(model, 'CPU', {
            'INFERENCE_PRECISION_HINT': self._hint, 'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_NUM_THREADS': torch.get_num_threads()})
        return _Request(compiled.create_infer_request(), positions.numpy())


class _Request:
    """
    A graph compiled for one size, with the memory that it works in.

    :param request: OpenVINO's.
    :param positions: the graph's third input.
    """

    def __init__(self, request: Any, positions: np.ndarray) -> None:
        self._request = request
        self._positions = positions

    def __call__(self, pixels: Tensor, queries: Tensor) -> Answer:
        self._request.infer(
            dict(zip(INPUTS, (_array(pixels), _array(queries), self._positions), strict=True)),
            share_inputs=True, share_outputs=True)
        logits, embeddings, features, queries = (
            _tensor(self._request.get_tensor(name)) for name in OUTPUTS)
        return logits.clone(), embeddings.clone(), features, queries.clone()


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()


def _tensor(tensor: Any) -> Tensor:
    """See OpenVINO's memory as PyTorch's; bf16, which NumPy does not know, by its bits."""
    if tensor.element_type.get_type_name() == 'bf16':
        return torch.from_numpy(tensor.data.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(tensor.data)


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            f"engine 'openvino': the package is missing ({error}): expected "
            f"pip install 'videomt_ros[openvino]'") from error
    return openvino
