"""ONNX Runtime says what PyTorch says; the halved graph does too, within its precision."""

import pytest
from videomt_ros.perception.engines import EngineChoice, EngineError
from videomt_ros.perception.engines.agreement import difference
from videomt_ros.perception.engines.onnx_runtime import exported, OnnxRuntimeEngine

pytest.importorskip('onnxruntime')
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
