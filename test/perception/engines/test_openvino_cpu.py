"""OpenVINO says what PyTorch says, for any batch and size, and keeps its memory apart."""

import builtins

import pytest
import torch
from videomt_ros.network import QueryState
from videomt_ros.perception.engines import EngineChoice, EngineError
from videomt_ros.perception.engines.agreement import difference
from videomt_ros.perception.engines.openvino_cpu import OpenVINOEngine

pytest.importorskip('openvino')
pytest.importorskip('onnxscript')


def close(ours, theirs, tolerance):
    """Compare with a tolerance relative to the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance


@pytest.mark.parametrize(('precision', 'tolerance'), [('fp32', 1e-5), ('bf16', 0.1)])
@torch.inference_mode()
def test_batches_and_sizes_come_as_they_like(network, precision, tolerance):
    engine = EngineChoice('openvino', precision).make(network)
    for batch, height, width in ((1, 64, 64), (3, 32, 112), (2, 80, 48), (1, 64, 64)):
        ours = theirs = network.initial_state(batch)
        for _ in range(3):
            pixels = torch.randn(batch, 3, height, width)
            answer, expected = engine(pixels, ours), network(pixels, theirs)
            assert answer.class_logits.shape == expected.class_logits.shape
            assert answer.mask_features.shape == expected.mask_features.shape
            for name in ('class_logits', 'mask_embeddings', 'mask_features', 'mask_logits'):
                assert close(
                    getattr(answer, name).float(), getattr(expected, name), tolerance), name
            assert close(answer.state.queries, expected.state.queries, tolerance)
            ours, theirs = answer.state, expected.state


@pytest.mark.parametrize('fields', [
    {'backbone': 'dinov3', 'norm_queries': True, 'num_heads': 2},
    {'patch_size': 8, 'num_upscale_blocks': 1, 'num_registers': 0}], ids=['dinov3', 'patch 8'])
def test_other_architectures(make_network, fields):
    network = make_network(1, **fields)
    found = difference(network, EngineChoice('openvino', 'fp32').make(network))
    assert max(found.class_logits, found.mask_logits, found.queries) < 1e-4


@torch.inference_mode()
def test_what_goes_on_to_the_next_frame_is_not_overwritten(network):
    engine = EngineChoice('openvino', 'fp32').make(network)
    first = engine(torch.randn(1, 3, 64, 64), network.initial_state(1))
    kept = [each.clone() for each in (first.class_logits, first.mask_embeddings,
                                      first.state.queries)]
    engine(torch.randn(1, 3, 64, 64), first.state)
    for before, after in zip(
            kept, (first.class_logits, first.mask_embeddings, first.state.queries), strict=True):
        assert torch.equal(before, after)


@torch.inference_mode()
def test_rows_of_a_batch_are_streams_of_their_own(network):
    engine = EngineChoice('openvino', 'fp32').make(network)
    start = network.initial_state(1)
    seen = engine(torch.randn(1, 3, 64, 64), start).state
    pixels = torch.randn(1, 3, 64, 64)
    together = engine(pixels.repeat(2, 1, 1, 1), QueryState.cat([seen, start]))
    for row, state in enumerate((seen, start)):
        alone = engine(pixels, state)
        assert close(together.class_logits[row], alone.class_logits[0], 1e-5)
        assert close(together.state.row(row).queries, alone.state.queries, 1e-5)


def test_a_file_that_is_no_graph(network, tmp_path):
    (tmp_path / 'step.onnx').write_text('not a graph')
    with pytest.raises(EngineError, match='step.onnx: OpenVINO cannot read this graph'):
        OpenVINOEngine(network, tmp_path / 'step.onnx', 'fp32')


def test_int8_says_how_to_make_its_graph(make_network):
    with pytest.raises(EngineError, match='expected a graph made by videomt_export --precision'):
        EngineChoice('openvino', 'int8').make(make_network(7))


def test_a_missing_package_is_named(network, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == 'openvino':
            raise ImportError('No module named openvino')
        return real(name, *rest)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(EngineError, match=r"expected pip install 'videomt_ros\[openvino\]'"):
        EngineChoice('openvino', 'fp32').make(network)
