"""
ONNX Runtime: the exported graph on a CPU, on CUDA, or through TensorRT.

On CUDA the inputs and outputs stay on the device (IO binding). TensorRT builds an engine for each
size of input, which takes minutes, and keeps it beside the graph.
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
from .graph_cache import step_onnx
from .recent import Recent

# Sizes of pictures; with TensorRT, each has a copy of the weights for every batch that comes.
_SIZES = 4
_DTYPES = {'fp32': torch.float32, 'fp16': torch.float16}
_TOLERANCES = {'fp32': 1e-3, 'fp16': 2e-2}
_PROVIDERS = {
    'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider'}


def onnx_runtime_engine(network: VideoMT, precision: str) -> OnnxRuntimeEngine:
    """
    Make the engine, exporting the graph where that was not done before.

    :param network: in float32, on the CPU or on CUDA; the provider is chosen by that.
    :param precision: 'fp32', or 'fp16' on CUDA.
    :returns: the engine.
    :raises EngineError: when ONNX Runtime or its provider is missing.
    """
    kind = network.device.type
    if kind not in ('cpu', 'cuda'):
        raise EngineError(
            f"engine 'onnxruntime': the network is on {network.device}, expected cpu or cuda")
    if kind == 'cpu' and precision != 'fp32':
        raise EngineError(
            f"engine 'onnxruntime' on a CPU: it has no kernels for {precision}, expected 'fp32'")
    return _engine(network, precision, kind)


def tensorrt_engine(network: VideoMT, precision: str) -> OnnxRuntimeEngine:
    """
    Make the engine, exporting the graph where that was not done before.

    :param network: in float32, on CUDA.
    :param precision: 'fp32' or 'fp16'.
    :returns: the engine.
    :raises EngineError: when ONNX Runtime or its provider is missing.
    """
    if network.device.type != 'cuda':
        raise EngineError(
            f"engine 'tensorrt': the network is on {network.device}, expected a CUDA device")
    return _engine(network, precision, 'tensorrt')


def _engine(network: VideoMT, precision: str, provider: str) -> OnnxRuntimeEngine:
    _onnxruntime(provider)
    return OnnxRuntimeEngine(network, exported(network, precision), provider)


def exported(network: VideoMT, precision: str) -> Path:
    """
    Find or make the graph that ONNX Runtime reads.

    :param network: its weights are exported; where it is, the graph is checked. (Not by TensorRT,
        which takes minutes for each of the sizes tried.)
    :param precision: 'fp32' or 'fp16'.
    :returns: the ONNX file.
    :raises EngineError: when it cannot be made.
    """
    if precision not in _DTYPES:
        raise EngineError(f'ONNX Runtime in {precision}: expected one of {tuple(_DTYPES)}')
    return step_onnx(network, _DTYPES[precision], lambda path: check(
        network, OnnxRuntimeEngine(network, path, network.device.type), _TOLERANCES[precision],
        'the graph exported for ONNX Runtime'))


class OnnxRuntimeEngine:
    """
    Runs a step graph.

    :param network: whose graph it is, on its device.
    :param path: the ONNX file.
    :param provider: 'cpu', 'cuda' or 'tensorrt'.
    :raises EngineError: when ONNX Runtime or its provider is missing, or the file cannot be read.
    """

    def __init__(self, network: VideoMT, path: Path, provider: str) -> None:
        self._network = network
        self._path = path
        self._provider = provider
        self._onnxruntime = _onnxruntime(provider)
        self._positions: Recent[torch.Size, Tensor] = Recent(_SIZES)
        self._sessions: Recent[torch.Size | None, Any] = Recent(_SIZES)
        if provider != 'tensorrt':
            self._session(None)  # one for all sizes; so that a bad file is noticed now

    def __call__(self, pixels: Tensor, state: QueryState) -> VideoMTOutput:
        """
        Segment one frame of each of B streams.

        :param pixels: (B, 3, H, W) float32 on the network's device.
        :param state: the memory of the streams.
        :returns: as :class:`Engine` says.
        """
        session = self._session(pixels.shape if self._provider == 'tensorrt' else None)
        positions = self._positions.get(pixels.shape[2:], lambda: grid_positions(
            self._network, *pixels.shape[2:]).contiguous())
        given = [each.detach().float().contiguous() for each in (pixels, state.queries)]
        run = _run_on_cpu if self._provider == 'cpu' else self._run_on_cuda
        return as_output(self._network, run(session, [*given, positions]))

    def _session(self, shape: torch.Size | None) -> Any:
        return self._sessions.get(shape, lambda: self._open(shape), shape and shape[2:])

    def _open(self, shape: torch.Size | None) -> Any:
        """Open a session; for one size only where it is given."""
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        if shape is not None:
            patch = self._network.config.patch_size
            for name, length in zip(
                    ('batch', 'height', 'width', 'patches'),
                    (shape[0], *shape[2:], shape[2] // patch * (shape[3] // patch)), strict=True):
                options.add_free_dimension_override_by_name(name, length)
        try:
            return self._onnxruntime.InferenceSession(
                self._path, options, providers=self._providers())
        except Exception as error:  # its classes have no public base of their own
            raise EngineError(
                f'{self._path}: ONNX Runtime cannot open this graph: {error}') from error

    def _providers(self) -> list[Any]:
        """Give the provider and those that take what it cannot do."""
        cpu = _PROVIDERS['cpu']
        if self._provider == 'cpu':
            return [cpu]
        device = {'device_id': self._network.device.index or 0}
        cuda = (_PROVIDERS['cuda'], device)
        if self._provider == 'cuda':
            return [cuda, cpu]
        return [(_PROVIDERS['tensorrt'], {
            **device, 'trt_fp16_enable': 'fp16' in self._path.name,
            'trt_engine_cache_enable': True, 'trt_timing_cache_enable': True,
            'trt_engine_cache_path': str(self._path.parent / 'tensorrt'),
            'trt_timing_cache_path': str(self._path.parent / 'tensorrt')}), cuda, cpu]

    def _run_on_cuda(self, session: Any, given: list[Tensor]) -> Answer:
        """Run without a copy to the host; results go where PyTorch's allocator says."""
        config = self._network.config
        batch, _, height, width = given[0].shape
        scale = config.patch_size // 2 ** config.num_upscale_blocks
        wide = torch.float16 if 'fp16' in self._path.name else torch.float32
        Q, C = config.num_queries, config.hidden_size
        device = self._network.device
        results = [
            torch.empty(shape, dtype=dtype, device=device) for shape, dtype in (
                ((batch, Q, config.num_classes + 1), torch.float32), ((batch, Q, C), wide),
                ((batch, height // scale, width // scale, C), wide),
                ((batch, Q, C), torch.float32))]
        binding = session.io_binding()
        for bind, names, tensors in (
                (binding.bind_input, INPUTS, given), (binding.bind_output, OUTPUTS, results)):
            for name, tensor in zip(names, tensors, strict=True):
                bind(name, 'cuda', device.index or 0,
                     np.float16 if tensor.dtype == torch.float16 else np.float32,
                     tuple(tensor.shape), tensor.data_ptr())
        torch.cuda.current_stream(device).synchronize()  # ONNX Runtime has a stream of its own
        session.run_with_iobinding(binding)  # returns when it is done
        logits, embeddings, features, queries = results
        return logits, embeddings, features, queries


def _run_on_cpu(session: Any, given: list[Tensor]) -> Answer:
    answers = session.run(OUTPUTS, dict(zip(
        INPUTS, (each.numpy() for each in given), strict=True)))
    logits, embeddings, features, queries = map(torch.from_numpy, answers)
    return logits, embeddings, features, queries


def _onnxruntime(provider: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"engine 'onnxruntime': the package is missing ({error}): expected "
            f"pip install 'videomt_ros[onnx]', or onnxruntime-gpu for CUDA") from error
    onnxruntime.disable_telemetry_events()
    available = onnxruntime.get_available_providers()
    if _PROVIDERS[provider] not in available:
        raise EngineError(
            f'ONNX Runtime has no {_PROVIDERS[provider]} here, only {", ".join(available)}: '
            f'expected the package onnxruntime-gpu that suits the CUDA of this machine')
    return onnxruntime
