"""The export program makes graphs where the engines find them, and says how good they are."""

import json

import numpy as np
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.engines.graph_cache import graph_folder
from videomt_ros.share import share_directory
from videomt_ros.tools.export import main

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = VideoMT(NetworkConfig(
        hidden_size=32, num_layers=3, num_heads=2, mlp_size=64, num_queries=8,
        num_query_blocks=1, grid_size=4, class_names=('a', 'b'), thing_classes=frozenset((0, 1)),
        preprocessing=Preprocessing(size=64)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        network.class_head.weight *= 4
    folder = tmp_path_factory.mktemp('checkpoint')
    network.save_pretrained(folder)
    return network, str(folder)


def test_a_graph_for_a_program_of_ones_own(checkpoint, tmp_path, capsys):
    onnxruntime = pytest.importorskip('onnxruntime')
    network, folder = checkpoint
    assert main([folder, '--output', str(tmp_path), '--size', '50', '70']) == 0
    said = capsys.readouterr().out
    assert 'largest differences from PyTorch' in said
    assert str(graph_folder(network) / 'step_fp32.onnx') in said
    # All that is needed stands in the folder.
    record = json.loads((tmp_path / 'graph.json').read_text())
    height, width = record['input_size']
    assert (height, width) == (64, 96) and record['camera_size'] == [50, 70]
    pixels = torch.randn(1, 3, height, width)
    given = {'pixels': pixels.numpy(), 'queries': np.load(tmp_path / record['first_queries']),
             'positions': np.load(tmp_path / record['positions'])}
    session = onnxruntime.InferenceSession(tmp_path / record['graph'])
    logits = session.run(['class_logits'], given)[0]
    with torch.inference_mode():
        expected = network.eval()(pixels).class_logits.numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_int8_is_calibrated_on_a_recording_and_judged_by_the_rest(checkpoint, capsys):
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    network, folder = checkpoint
    bag = str(share_directory() / 'demo' / 'drive')
    assert main([folder, '--precision', 'int8', '--calibrate', bag, '--frames', '6']) == 0
    assert 'on the 3 frames that were not calibrated with' in capsys.readouterr().out
    report = json.loads((graph_folder(network) / 'step_int8.json').read_text())
    assert report['frames'] == 6
    assert 0.5 < report['equal_pixels'] <= 1
    segmenter = VideoSegmenter.from_pretrained(folder, precision='int8', start_score=0.3)
    assert segmenter.process(np.zeros((50, 70, 3), np.uint8)).height == 50


@pytest.mark.parametrize(('arguments', 'words'), [
    (['nowhere/at_all.pth'], 'nowhere/at_all.pth: no such file'),
    (['{}', '--precision', 'int8', '--calibrate', '/nowhere'], '/nowhere')])
def test_mistakes_are_told_in_a_line(checkpoint, arguments, words, capsys):
    assert main([each.format(checkpoint[1]) for each in arguments]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count('\n') == 1


@pytest.mark.parametrize('arguments', [
    ['--precision', 'int8'], ['--calibrate', 'bag'], ['--size', '4', '5']])
def test_what_belongs_together_is_asked_for(arguments):
    with pytest.raises(SystemExit):
        main(arguments)
