"""An engine is chosen by name, device and what is installed, and runs in a segmenter."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.engines import (
    choice,
    choose_engine,
    EngineChoice,
    EngineError,
    ENGINES,
    make_engine,
)


@pytest.fixture
def installed(monkeypatch):
    """Decide which packages are installed."""
    def decide(*names):
        monkeypatch.setattr(choice, 'find_spec', lambda name: name in names or None)
    return decide


@pytest.mark.parametrize(('device', 'precision', 'packages', 'expected'), [
    ('cpu', 'auto', ('openvino', 'onnxscript'), ('openvino', 'fp32')),
    ('cpu', 'bf16', ('openvino', 'onnxscript'), ('openvino', 'bf16')),
    ('cpu', 'auto', ('openvino',), ('eager', 'fp32')),
    ('cpu', 'bf16', (), ('eager', 'bf16')),
    ('cpu', 'int8', ('openvino',), ('openvino', 'int8')),
    ('cuda', 'auto', ('openvino', 'onnxscript', 'triton'), ('cudagraph', 'fp16')),
    ('cuda:1', 'fp32', (), ('cudagraph', 'fp32')),
    ('mps', 'auto', ('openvino', 'onnxscript'), ('eager', 'fp32'))])
def test_auto_goes_by_device_and_packages(installed, device, precision, packages, expected):
    installed(*packages)
    assert choose_engine('auto', precision, device) == EngineChoice(*expected)


@pytest.mark.parametrize('engine', ENGINES[1:])
def test_a_name_is_taken_at_its_word(engine):
    assert choose_engine(engine, 'fp32', 'cuda').engine == engine


@pytest.mark.parametrize(('arguments', 'words'), [
    (('steam', 'fp32'), "engine 'steam': expected one of .*'eager'"),
    (('eager', 'fp8'), "precision 'fp8': expected one of .*'bf16'"),
    (('eager', 'int8'), "precision 'int8' with engine 'eager': expected 'openvino'")])
def test_what_makes_no_sense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        choose_engine(*arguments, 'cpu')


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_auto_does_without_an_engine_that_cannot_be_made(
        installed, network, monkeypatch, caplog, precision):
    def fail(*_):
        raise EngineError('the cache is full')

    installed('openvino', 'onnxscript')
    monkeypatch.setitem(choice._GRAPH_ENGINES, 'openvino', fail)
    engine = choose_engine('auto', precision, 'cpu').make(network)
    assert engine is network
    assert network.dtype == (torch.bfloat16 if precision == 'bf16' else torch.float32)
    assert 'the cache is full. The network runs with the engine eager' in caplog.text
    with pytest.raises(EngineError, match='the cache is full'):
        choose_engine('openvino', precision, 'cpu').make(network.set_precision(torch.float32))


def test_auto_takes_a_network_as_it_is(installed, network):
    installed('openvino', 'onnxscript')
    network.set_precision(torch.bfloat16)
    assert make_engine('auto', network) is network


def test_eager_is_the_network_itself(network):
    assert make_engine('eager', network) is network
    assert VideoSegmenter(network)._engine is network


def test_an_engine_may_be_handed_over(network):
    asked = []

    def engine(pixels, state):
        asked.append(tuple(pixels.shape))
        return network(pixels, state)

    VideoSegmenter(network, engine=engine).process(np.zeros((64, 96, 3), np.uint8))
    assert asked == [(1, 3, 64, 96)]


def test_a_graph_wants_weights_in_float32(network):
    with pytest.raises(ValueError, match=r'wants the network in torch.float32, not in torch.bf'):
        make_engine('openvino', network.set_precision(torch.bfloat16))


@pytest.mark.parametrize('engine', ['cudagraph', 'tensorrt'])
def test_cuda_engines_want_cuda(network, engine):
    with pytest.raises(EngineError, match=f"'{engine}': the network is on cpu, expected a CUDA"):
        make_engine(engine, network)


@pytest.mark.parametrize('engine', [
    'openvino', 'onnxruntime',
    pytest.param('compile', marks=[pytest.mark.slow, pytest.mark.skipif(
        shutil.which('g++') is None, reason='torch.compile needs a C++ compiler')])])
def test_no_engine_changes_a_result(network, engine):
    if engine != 'compile' and not all(map(importlib.util.find_spec, (engine, 'onnxscript'))):
        pytest.skip(f'{engine} and onnxscript are not installed')
    options = {'start_score': 0.3, 'keep_score': 0.2}
    eager = VideoSegmenter(network, **options)
    other = VideoSegmenter(network, engine=engine, **options)
    for frame in np.random.default_rng(0).integers(0, 256, (4, 50, 70, 3), dtype=np.uint8):
        ours, theirs = other.process(frame), eager.process(frame)
        assert [i.track_id for i in ours.instances] == [i.track_id for i in theirs.instances] != []
        assert (ours.label_map != theirs.label_map).mean() < 0.001


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_a_replayed_cuda_graph_says_what_the_network_says(network):
    network = network.cuda()
    engine = make_engine('cudagraph', network)
    ours = theirs = network.initial_state(2)
    with torch.inference_mode():
        for _ in range(4):
            pixels = torch.randn(2, 3, 64, 96, device='cuda')
            answer, expected = engine(pixels, ours), network(pixels, theirs)
            torch.testing.assert_close(answer.class_logits, expected.class_logits)
            torch.testing.assert_close(answer.mask_logits, expected.mask_logits)
            ours, theirs = answer.state, expected.state
