import json
import sys

import pytest
from rosbags.highlevel import AnyReader
from videomt_ros.tools.simulate import main
from videomt_ros.training.sim.physics import asset_folder, bullet

SMALL = ['--size', '96x64', '--frames', '3']


def test_dataset(tmp_path, capsys):
    pytest.importorskip('pybullet')
    pytest.importorskip('pycocotools')
    out = tmp_path / 'data'
    assert main(['dataset', str(out), '--scenes', '2', '--seed', '8', *SMALL]) == 0
    assert capsys.readouterr().out.strip() == str(out / 'annotations.json')
    document = json.loads((out / 'annotations.json').read_text())
    assert [(v['seed'], v['width'], v['height'], v['length']) for v in document['videos']] == [
        (8, 96, 64, 3), (9, 96, 64, 3)]


def test_bag(tmp_path, capsys):
    pytest.importorskip('pybullet')
    out = tmp_path / 'drive'
    command = ['bag', str(out), '--seed', '1000001', '--no-depth', '--rate', '20', *SMALL]
    assert main(command) == 0
    with AnyReader([out]) as reader:
        assert 'depth' not in ' '.join(reader.topics)
        assert reader.topics['/camera/image_raw'].msgcount == 3
        assert reader.duration == pytest.approx(100_000_000, abs=1)
    assert main(command) == 1
    assert capsys.readouterr().err.strip() == (
        f'videomt_simulate: {out} exists already; a recording is never written over')


@pytest.mark.parametrize(('wrong', 'message'), [
    (['--rate', '7'], 'rate is 7, expected a divisor of 120'),
    (['--seed', '-3'], 'seed is -3, expected a number from 0 on'),
    (['--frames', '0'], 'frames is 0, expected at least 1')])
def test_mistakes_are_told_in_one_line(tmp_path, capsys, wrong, message):
    pytest.importorskip('pybullet')
    assert main(['bag', str(tmp_path / 'x'), *wrong]) == 1
    assert capsys.readouterr().err.strip() == f'videomt_simulate: {message}'


def test_a_wrong_size_is_explained(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['bag', str(tmp_path), '--size', 'big'])
    assert "'big' is not WIDTHxHEIGHT, such as 320x240" in capsys.readouterr().err


def test_a_missing_simulator_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pybullet', None)
    for function in (bullet, asset_folder):
        function.cache_clear()
    try:
        assert main(['bag', str(tmp_path / 'x')]) == 1
    finally:
        for function in (bullet, asset_folder):
            function.cache_clear()
    assert capsys.readouterr().err.strip() == (
        'videomt_simulate: the simulated camera needs PyBullet, which is not installed: '
        "pip install 'videomt_ros[sim]'")
