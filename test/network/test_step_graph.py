"""The graph for other runtimes does what the network does, before any of them sees it."""

from networks import make_network
import pytest
import torch
from videomt_ros.network.step_graph import (
    as_output,
    grid_positions,
    INPUTS,
    OUTPUTS,
    StepGraph,
    write_onnx,
)

ARCHITECTURES = {
    'dinov2': {},
    'normed queries': {'norm_queries': True, 'num_heads': 2},
    'dinov3': {'backbone': 'dinov3', 'num_registers': 0},
    'patch 8, one upscale block': {'patch_size': 8, 'num_upscale_blocks': 1},
    'all blocks see the queries': {'num_query_blocks': 4},
    'queries that show nothing are renewed': {'renew_below': 0.2}}


@pytest.mark.parametrize('fields', ARCHITECTURES.values(), ids=ARCHITECTURES)
@torch.inference_mode()
def test_three_frames_of_two_streams(fields):
    network = make_network(**fields)
    graph = StepGraph(network)
    for height, width in ((64, 64), (32, 112)):
        ours = theirs = network.initial_state(2)
        positions = grid_positions(network, height, width)
        for _ in range(3):
            pixels = torch.randn(2, 3, height, width)
            answer = as_output(network, graph(pixels, ours.queries, positions))
            expected = network(pixels, theirs)
            for name in ('class_logits', 'mask_embeddings', 'mask_features', 'mask_logits'):
                torch.testing.assert_close(
                    getattr(answer, name), getattr(expected, name), atol=2e-4, rtol=1e-4)
            ours, theirs = answer.state, expected.state
            torch.testing.assert_close(ours.queries, theirs.queries, atol=2e-4, rtol=1e-4)
            assert torch.equal(ours.initial, theirs.initial)


@torch.inference_mode()
def test_in_bf16_only_the_products_are():
    network = make_network()
    graph = StepGraph(network, torch.bfloat16)
    pixels = torch.randn(1, 3, 64, 64)
    logits, embeddings, features, queries = graph(
        pixels, network.initial_state(1).queries, grid_positions(network, 64, 64))
    assert (logits.dtype, queries.dtype) == (torch.float32, torch.float32)
    assert (embeddings.dtype, features.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(
        logits, network(pixels).class_logits, atol=0.05 * float(logits.abs().max()), rtol=0)


def test_the_network_is_left_as_it_was():
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    StepGraph(network, torch.bfloat16)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(network.blocks) == network.config.num_layers


def test_the_file_names_its_axes(tmp_path):
    pytest.importorskip('onnxscript')
    onnx = pytest.importorskip('onnx')
    network = make_network()
    write_onnx(network, tmp_path / 'step.onnx')
    graph = onnx.load(tmp_path / 'step.onnx').graph

    def shapes(values):
        return {value.name: tuple(
            axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in values}

    given, made = shapes(graph.input), shapes(graph.output)
    assert list(given) == list(INPUTS) and list(made) == list(OUTPUTS)
    assert given['pixels'] == ('batch', 3, 'height', 'width')
    assert given['queries'] == made['next_queries'] == ('batch', 9, 64)
    assert given['positions'] == ('patches', 64)
    assert made['class_logits'] == ('batch', 9, 6)
    assert b'.py' not in (tmp_path / 'step.onnx').read_bytes(), 'it tells of files of this machine'
