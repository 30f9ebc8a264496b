"""
ONNX Runtime says what PyTorch says; the halved graph does too, within its precision.

What it is told on CUDA and for TensorRT is seen by a stand-in that does as told on the CPU.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from videomt_ros.network import VideoMT
from videomt_ros.perception.engines import EngineChoice, EngineError
from videomt_ros.perception.engines.agreement import difference
from videomt_ros.perception.engines.onnx_runtime import exported, OnnxRuntimeEngine

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


def test_it_agrees_with_pytorch(network):
    found = difference(network, EngineChoice('onnxruntime', 'fp32').make(network))
    assert max(found.class_logits, found.mask_logits, found.queries) < 1e-4


def test_the_graph_in_fp16_agrees_within_fp16(network):
    path = exported(network, 'fp16')
    assert path.stat().st_size < 0.8 * exported(network, 'fp32').stat().st_size
    found = difference(network, OnnxRuntimeEngine(network, path, 'cpu'))
    assert 1e-5 < max(found.class_logits, found.mask_logits, found.queries) < 2e-2


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_a_cpu_has_kernels_for_fp32_only(network, precision):
    with pytest.raises(EngineError, match=f"no kernels for {precision}, expected 'fp32'"):
        EngineChoice('onnxruntime', precision).make(network)


def test_a_provider_that_is_not_there_is_named(network, tmp_path):
    with pytest.raises(EngineError, match='no CUDAExecutionProvider here, only .*CPUExecution'):
        OnnxRuntimeEngine(network, tmp_path, 'cuda')


def test_a_file_that_is_no_graph(network, tmp_path):
    (tmp_path / 'step.onnx').write_text('not a graph')
    with pytest.raises(EngineError, match='step.onnx: ONNX Runtime cannot open this graph'):
        OnnxRuntimeEngine(network, tmp_path / 'step.onnx', 'cpu')


@dataclass
class Gpu:
    """What was asked of a GPU that is not there."""

    sessions: list = field(default_factory=list)
    bound: dict = field(default_factory=dict)
    events: list = field(default_factory=list)


class Binding:
    """Binds memory of the CPU that is said to be of a GPU."""

    def __init__(self, binding, bound):
        self.real, self._bound = binding, bound

    def _told(self, bind, name, device, number, dtype, shape, pointer):
        self._bound[name] = (device, number, dtype, shape)
        bind(name, 'cpu', 0, dtype, shape, pointer)

    def bind_input(self, *arguments):
        self._told(self.real.bind_input, *arguments)

    def bind_output(self, *arguments):
        self._told(self.real.bind_output, *arguments)


@pytest.fixture
def gpu(monkeypatch):
    """Let ONNX Runtime have providers for a GPU, whose work the CPU does."""
    gpu, open_session = Gpu(), onnxruntime.InferenceSession

    class Options(onnxruntime.SessionOptions):

        def __init__(self):
            super().__init__()
            self.lengths = {}

        def add_free_dimension_override_by_name(self, name, length):
            self.lengths[name] = length
            super().add_free_dimension_override_by_name(name, length)

    class Session:

        def __init__(self, path, options, providers):
            self._real = open_session(path, options, providers=['CPUExecutionProvider'])
            gpu.sessions.append((providers, options.lengths))

        def run(self, *arguments):  # a new graph is checked where the weights are
            return self._real.run(*arguments)

        def io_binding(self):
            return Binding(self._real.io_binding(), gpu.bound)

        def run_with_iobinding(self, binding):
            gpu.events.append('run')
            self._real.run_with_iobinding(binding.real)

    monkeypatch.setattr(onnxruntime, 'SessionOptions', Options)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: SimpleNamespace(
        synchronize=lambda: gpu.events.append('wait')))
    return gpu


@pytest.mark.parametrize(('precision', 'wide', 'tolerance'), [
    ('fp32', np.float32, 1e-4), ('fp16', np.float16, 2e-2)])
@pytest.mark.parametrize('provider', ['cuda', 'tensorrt'])
def test_memory_is_bound_as_the_graph_wants_it(
        network, gpu, provider, precision, wide, tolerance):
    path = exported(network, precision)
    gpu.sessions.clear()
    found = difference(network, OnnxRuntimeEngine(network, path, provider))
    assert max(found.class_logits, found.mask_logits, found.queries) < tolerance
    # PyTorch's kernels have written the inputs before ONNX Runtime, on another stream, reads them.
    assert gpu.events == ['wait', 'run'] * 6
    # The last of those frames is of 7 x 3 patches, and the network has 8 queries of 32 numbers.
    assert gpu.bound == {
        name: ('cuda', 0, dtype, shape) for name, dtype, shape in (
            ('pixels', np.float32, (1, 3, 112, 48)),
            ('queries', np.float32, (1, 8, 32)),
            ('positions', np.float32, (21, 32)),
            ('class_logits', np.float32, (1, 8, 3)),
            ('mask_embeddings', wide, (1, 8, 32)),
            ('mask_features', wide, (1, 28, 12, 32)),
            ('next_queries', np.float32, (1, 8, 32)))}
    sizes = [lengths for _, lengths in gpu.sessions]
    assert sizes == ([{}] if provider == 'cuda' else [  # TensorRT builds for one size
        {'batch': 2, 'height': 64, 'width': 96, 'patches': 24},
        {'batch': 1, 'height': 112, 'width': 48, 'patches': 21}])


CPU = 'CPUExecutionProvider'


def cuda(number):
    return ('CUDAExecutionProvider', {'device_id': number})


def on_a_gpu(network, monkeypatch, choice):
    """Make an engine for a network whose weights are said to be on the second GPU."""
    with monkeypatch.context() as patch:
        patch.setattr(VideoMT, 'device', torch.device('cuda', 1))
        return choice.make(network)


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_on_cuda_the_cpu_takes_what_is_left(network, gpu, monkeypatch, precision):
    exported(network, precision)  # checked where the weights really are
    gpu.sessions.clear()
    on_a_gpu(network, monkeypatch, EngineChoice('onnxruntime', precision))
    assert [providers for providers, _ in gpu.sessions] == [[cuda(1), CPU]]


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_tensorrt_comes_before_cuda_and_keeps_its_engines(network, gpu, monkeypatch, precision):
    folder = str(exported(network, precision).parent / 'tensorrt')
    gpu.sessions.clear()
    engine = on_a_gpu(network, monkeypatch, EngineChoice('tensorrt', precision))
    assert gpu.sessions == [], 'an engine was built before its size was known'
    engine(torch.zeros(1, 3, 64, 64), network.initial_state(1))
    (providers, _), = gpu.sessions
    assert providers == [
        ('TensorrtExecutionProvider', {
            'device_id': 0, 'trt_fp16_enable': precision == 'fp16',
            'trt_engine_cache_enable': True, 'trt_timing_cache_enable': True,
            'trt_engine_cache_path': folder, 'trt_timing_cache_path': folder}),
        cuda(0), CPU]


@pytest.mark.usefixtures('gpu')
def test_without_tensorrt_it_is_named(network, monkeypatch):
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [cuda(0)[0], CPU])
    with pytest.raises(EngineError, match='no TensorrtExecutionProvider here, only CUDAExec'):
        on_a_gpu(network, monkeypatch, EngineChoice('tensorrt', 'fp32'))
