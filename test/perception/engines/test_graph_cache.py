"""A graph is found by what it was made of, and is there whole or not at all."""

import pytest
import torch
from videomt_ros.perception.engines import EngineError, graph_cache
from videomt_ros.perception.engines.graph_cache import graph_folder, new_files, step_onnx


@pytest.fixture
def writer(monkeypatch):
    """Replace the exporter, which takes seconds."""
    calls = []

    def write(network, path, dtype):
        calls.append((path.name, dtype))
        path.write_text('a graph')

    monkeypatch.setattr(graph_cache, 'write_onnx', write)
    return calls


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return tmp_path / 'videomt_ros'


def test_the_folder_is_that_of_the_weights(network, make_network, empty_cache):
    folder = graph_folder(network)
    assert folder.parent == empty_cache and not folder.exists()
    assert graph_folder(make_network()) == folder
    assert graph_folder(make_network(1)) != folder
    assert graph_folder(make_network(class_names=('a', 'c'))) != folder
    with torch.no_grad():
        network.blocks[1].mlp.fc1.weight[3, 5] += 1e-3
    assert graph_folder(network) != folder


def test_another_version_of_the_graph_is_another_folder(network, monkeypatch):
    folder = graph_folder(network)
    monkeypatch.setattr(graph_cache, 'GRAPH_VERSION', graph_cache.GRAPH_VERSION + 1)
    assert graph_folder(network) != folder


def test_a_graph_is_made_and_checked_once(network, writer):
    checked = []
    paths = [step_onnx(network, torch.float32, checked.append) for _ in range(2)]
    assert writer == [('step_fp32.onnx', torch.float32)]
    assert len(checked) == 1
    assert paths[0] == paths[1] == graph_folder(network) / 'step_fp32.onnx'
    assert paths[0].read_text() == 'a graph'
    step_onnx(network, torch.float16, checked.append)
    assert sorted(file.name for file in paths[0].parent.iterdir()) == [
        'step_fp16.onnx', 'step_fp32.onnx']


def test_a_graph_that_fails_its_check_is_not_kept(network, writer):
    def fail(path):
        raise EngineError('wrong')

    with pytest.raises(EngineError, match='wrong'):
        step_onnx(network, torch.float32, fail)
    assert not list(graph_folder(network).iterdir())


def test_a_missing_exporter_is_named(network, monkeypatch):
    def write(*_):
        raise ImportError('No module named onnxscript')

    monkeypatch.setattr(graph_cache, 'write_onnx', write)
    with pytest.raises(EngineError, match=r'onnxscript\): expected pip install onnx onnx'):
        step_onnx(network, torch.float32, lambda _: None)


def test_an_exporter_that_fails_is_told_in_a_sentence(network, monkeypatch, caplog):
    def write(*_):
        raise TypeError("unexpected keyword\nargument 'dynamo'")

    monkeypatch.setattr(graph_cache, 'write_onnx', write)
    with pytest.raises(EngineError, match='cannot export .*: TypeError: unexpected keyword arg'):
        step_onnx(network, torch.float32, lambda _: None)
    assert 'step_fp32.onnx, once for these weights' in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(EngineError, match='file/below: cannot keep exported graphs there'):
        with new_files(tmp_path / 'file' / 'below'):
            pass
