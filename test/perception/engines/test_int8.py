"""The quantised graph is calibrated on what the network was given, and nearly agrees."""

import numpy as np
import pytest
import torch
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.engines import EngineChoice
from videomt_ros.perception.engines.agreement import difference
from videomt_ros.perception.engines.int8 import quantise, Sampler


def calibrated(network, frames=6):
    """Run a segmenter and remember every other input."""
    sampler = Sampler(network, network, every=2)
    segmenter = VideoSegmenter(network, engine=sampler)
    for frame in np.random.default_rng(0).integers(0, 256, (frames, 64, 80, 3), dtype=np.uint8):
        segmenter.process(frame)
    return sampler.samples


def test_a_sampler_keeps_what_was_given(network):
    samples = calibrated(network)
    assert len(samples) == 3
    for sample in samples:
        assert {name: value.shape for name, value in sample.items()} == {
            'pixels': (1, 3, 64, 96), 'queries': (1, 8, 32), 'positions': (24, 32)}
    learnt = network.queries.detach().numpy()
    assert np.array_equal(samples[0]['queries'][0], learnt)
    assert not np.allclose(samples[1]['queries'][0], learnt)


def test_without_frames_there_is_nothing_to_calibrate_with(network):
    with pytest.raises(ValueError, match='expected at least one'):
        quantise(network, [])


def test_linear_layers_and_upscaling_become_int8_and_nearly_agree(network):
    openvino = pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    pytest.importorskip('onnxscript')
    path = quantise(network, calibrated(network))
    graph = openvino.Core().read_model(path)
    stored = [node for node in graph.get_ops() if node.get_type_name() == 'Constant'
              and node.get_element_type().get_type_name() == 'i8']
    config = network.config
    # q, k, v, out, fc1 and fc2 of each block, and what enlarges the features
    assert len(stored) == 6 * config.num_layers + config.num_upscale_blocks
    assert sum(list(node.shape[2:]) == [1, 1] for node in stored) == config.num_upscale_blocks
    assert all(node.shape[0] % config.hidden_size == 0 for node in stored)
    found = difference(network, EngineChoice('openvino', 'int8').make(network))
    assert 1e-3 < max(found.class_logits, found.mask_logits, found.queries) < 0.5
    assert torch.isfinite(torch.tensor(found.mask_logits))


def test_queries_and_keys_meet_in_int8_and_values_do_not(network):
    openvino = pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    pytest.importorskip('onnxscript')
    graph = openvino.Core().read_model(quantise(network, calibrated(network)))
    quantised = {True: [], False: []}  # by whether what comes out goes into a softmax
    for node in graph.get_ops():
        if node.get_type_name() != 'MatMul' or len(node.get_output_partial_shape(0)) != 4:
            continue  # of the products only those inside attention have an axis of heads
        sources = [node.input(i).get_source_output().get_node() for i in (0, 1)]
        scores = any(reader.get_node().get_type_name() == 'Softmax'
                     for reader in node.output(0).get_target_inputs())
        quantised[scores].append(
            [source.get_type_name() == 'FakeQuantize' for source in sources])
    assert quantised[True] == [[True, True]] * network.config.num_layers
    assert quantised[False] == [[False, False]] * network.config.num_layers
