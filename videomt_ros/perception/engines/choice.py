"""From the names of an engine and a precision to an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
import logging

import torch
from videomt_ros.network import VideoMT

from .cuda_graph import CudaGraphEngine
from .engine import Engine, EngineError
from .onnx_runtime import onnx_runtime_engine, tensorrt_engine
from .openvino_cpu import openvino_engine

_logger = logging.getLogger(__name__)

# In which the network's weights are wanted by engines that run PyTorch's operators.
_DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
PRECISIONS = (*_DTYPES, 'int8')

_TORCH_ENGINES: dict[str, Callable[[VideoMT], Engine]] = {
    'eager': lambda network: network,
    'compile': torch.compile,
    'cudagraph': CudaGraphEngine,
}
_GRAPH_ENGINES: dict[str, Callable[[VideoMT, str], Engine]] = {
    'onnxruntime': onnx_runtime_engine,
    'openvino': openvino_engine,
    'tensorrt': tensorrt_engine,
}
ENGINES = ('auto', *_TORCH_ENGINES, *_GRAPH_ENGINES)


@dataclass(frozen=True)
class EngineChoice:
    """
    An engine and a precision, both decided.

    :param engine: one of ENGINES, not 'auto'.
    :param precision: one of PRECISIONS.
    :param replaceable: 'eager' will do as well, where this engine cannot be made.
    """

    engine: str
    precision: str
    replaceable: bool = field(default=False, compare=False)

    @property
    def dtype(self) -> torch.dtype:
        """Give the dtype in which the engine wants the weights of the network."""
        return _DTYPES[self.precision] if self.engine in _TORCH_ENGINES else torch.float32

    def make(self, network: VideoMT) -> Engine:
        """
        Make the engine.

        :param network: on its device, in :attr:`dtype`.
        :returns: the engine; where it cannot be made and is replaceable, the network, with a
            warning in the log.
        :raises EngineError: when what it needs is not there.
        :raises ValueError: when the network is in another dtype.
        """
        if network.dtype != self.dtype:
            raise ValueError(
                f'engine {self.engine!r} in {self.precision} wants the network in {self.dtype}, '
                f'not in {network.dtype}')
        try:
            if self.engine in _TORCH_ENGINES:
                return _TORCH_ENGINES[self.engine](network)
            return _GRAPH_ENGINES[self.engine](network, self.precision)
        except EngineError as error:
            if not self.replaceable:
                raise
            _logger.warning('%s. The network runs with the engine eager instead.', error)
            return network.set_precision(_DTYPES[self.precision])


def choose_engine(engine: str, precision: str, device: torch.device | str) -> EngineChoice:
    """
    Decide what 'auto' means.

    :param engine: 'eager': PyTorch's operators one by one. 'compile': torch.compile, whose first
        frame of each size takes minutes and needs a C++ compiler. 'cudagraph': PyTorch's operators
        recorded once for each size and replayed (CUDA). 'openvino' (CPU), 'onnxruntime' (CPU or
        CUDA), 'tensorrt' (CUDA): a graph exported on first use and kept in a cache folder. 'auto':
        on a CPU 'openvino' where it is installed, on CUDA 'cudagraph', else 'eager', which is
        also taken where the other cannot be made.
    :param precision: 'fp32', 'bf16', 'fp16', or 'int8', for which ``videomt_export`` has to be
        called before ('openvino' only). 'auto': 'fp16' on CUDA, else 'fp32'.
    :param device: where the network runs.
    :returns: the decision.
    :raises ValueError: for an unknown name, or int8 with an engine that cannot.
    """
    if engine not in ENGINES:
        raise ValueError(f'engine {engine!r}: expected one of {ENGINES}')
    if precision not in ('auto', *PRECISIONS):
        raise ValueError(f"precision {precision!r}: expected one of {('auto', *PRECISIONS)}")
    kind = torch.device(device).type
    if precision == 'auto':
        precision = 'fp16' if kind == 'cuda' else 'fp32'
    if precision == 'int8' and engine not in ('auto', 'openvino'):
        raise ValueError(f"precision 'int8' with engine {engine!r}: expected 'openvino'")
    if engine != 'auto':
        return EngineChoice(engine, precision)
    if precision == 'int8':
        return EngineChoice('openvino', precision)
    if kind == 'cuda':
        return EngineChoice('cudagraph', precision, replaceable=True)
    if kind == 'cpu' and find_spec('openvino') and find_spec('onnxscript'):
        return EngineChoice('openvino', precision, replaceable=True)
    return EngineChoice('eager', precision)


def make_engine(engine: str, network: VideoMT) -> Engine:
    """
    Make an engine for a network that is loaded already, in the precision that it has.

    :param engine: as for :func:`choose_engine`.
    :param network: weights on their device.
    :returns: the engine.
    :raises ValueError: for another name.
    :raises EngineError: when what the engine needs is not there.
    """
    if engine not in ENGINES:  # before asking the network anything
        raise ValueError(f'engine {engine!r}: expected one of {ENGINES}')
    precision = next(name for name, dtype in _DTYPES.items() if dtype == network.dtype)
    choice = choose_engine(engine, precision, network.device)
    if choice.replaceable and network.dtype != choice.dtype:
        return network
    return choice.make(network)
