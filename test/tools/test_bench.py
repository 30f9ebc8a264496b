"""The whole benchmark on a tiny network: every number is there, and the parts add up."""

import json
import sys

import cv2
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.tools.bench import main

pytest.importorskip('matplotlib')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = VideoMT(NetworkConfig(
        hidden_size=32, num_layers=3, num_heads=2, mlp_size=64, num_queries=8,
        num_query_blocks=1, grid_size=4, class_names=('a', 'b'), thing_classes=frozenset((0, 1)),
        preprocessing=Preprocessing('square', size=64)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        network.class_head.weight *= 4
    folder = tmp_path_factory.mktemp('checkpoint')
    network.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
def test_every_number_is_there(checkpoint, tmp_path, capsys, monkeypatch):
    pytest.importorskip('transformers')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    assert main([
        '--networks', 'embedded', '--checkpoint', checkpoint, '--frame', '96', '128', '--rounds',
        '2', '--seconds', '1', '--engines', 'hf:fp32', 'eager:fp32', 'eager:bf16',
        'cudagraph:fp32', '--output', str(tmp_path)]) == 0
    numbers = json.loads((tmp_path / 'bench.json').read_text())
    network = numbers['networks']['embedded']
    assert network['frame_size'] == [96, 128] and network['input_size'] == [64, 64]
    assert network['operations'] > 1e6 and network['matrix_product_ms']['bf16'] > 0
    theirs, fp32, bf16 = network['contenders']
    assert 'expected a CUDA device' in network['missing'][0]
    assert theirs['engine'] == 'Hugging Face' and theirs['frames'] == 4
    assert (fp32['engine'], fp32['precision']) == ('eager', 'fp32')
    assert fp32['frames'] == bf16['frames'] == 120  # two rounds of the recording's first 60
    assert fp32['agreement_with_fp32']['equal_pixels'] == 1
    assert 0.5 < bf16['agreement_with_fp32']['equal_pixels'] <= 1
    assert set(fp32['stages_ms']) == {
        'convert', 'prepare', 'network', 'masks', 'tracks', 'paint', 'fill'}
    inner = sum(fp32['stages_ms'][name]['mean'] for name in (
        'prepare', 'network', 'masks', 'tracks', 'paint'))
    assert fp32['pipeline_ms']['mean'] == pytest.approx(inner)
    assert fp32['times_as_fast_as_hugging_face'] == pytest.approx(
        theirs['pipeline_ms']['p50'] / fp32['pipeline_ms']['p50'])
    assert -1 < fp32['second_camera_share'] < 20
    assert 0 < fp32['memory_mb']['first'] <= fp32['memory_mb']['peak']
    node, = numbers['node']
    assert node['bare_ms'] > 0 and node['one_by_one_ms']['p50'] > 0
    assert {'decode', 'network', 'publish'} <= set(node['stages_ms'])
    assert all(0 <= each['p50'] <= each['p95'] for each in node['stages_ms'].values())
    assert node['transport_ms'] < node['one_by_one_ms']['p50']
    assert [rate['share_of_capacity'] for rate in node['rates']] == [0.5, 0.9, 2.0]
    for rate in node['rates']:
        assert rate['sent'] == rate['answered'] + rate['dropped'] > 0
    picture = cv2.imread(str(tmp_path / 'bench.png'))
    assert picture is not None and picture.std() > 10
    said = capsys.readouterr().out
    assert 'eager bf16' in said and 'one by one' in said


@pytest.mark.parametrize('text', ['steam:fp32', 'eager:fp8', 'eager'])
def test_an_unknown_engine_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(['--engines', text])
    assert 'expected one of hf, eager' in capsys.readouterr().err


def test_a_missing_recording_is_told_in_a_line(checkpoint, tmp_path, capsys):
    assert main(['--networks', 'embedded', '--checkpoint', checkpoint, '--bag', '/nowhere',
                 '--output', str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith('videomt_bench: ')


@pytest.mark.slow
def test_without_a_package_the_rest_is_measured(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert main([
        '--networks', 'embedded', '--checkpoint', checkpoint, '--frame', '96', '128', '--rounds',
        '1', '--seconds', '0', '--engines', 'eager:fp32', '--output', str(tmp_path)]) == 0
    assert (tmp_path / 'bench.json').exists() and not (tmp_path / 'bench.png').exists()
    assert 'pip install matplotlib' in capsys.readouterr().out
