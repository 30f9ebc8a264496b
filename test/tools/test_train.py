"""The command that trains: what it writes, and how it ends."""

import csv
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from videomt_ros.network import load_network
from videomt_ros.tools.train import main

for package in ('pycocotools', 'scipy', 'tqdm', 'yaml'):  # not there without the extra `train`
    pytest.importorskip(package)
sys.path.insert(0, str(Path(__file__).parents[1] / 'training'))
from toy import NAMES, write_json, write_videos  # noqa: E402, I100


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp('videos'), videos=2, frames=4, suffix='.jpg')


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def settings(path, videos, steps=3, **changes):
    """Write a configuration (JSON is YAML)."""
    return write_json(path / 'config.yaml', {
        'output': str(path / 'out'), 'data': [{'annotations': str(videos)}], 'device': 'cpu',
        'loss': {'num_points': 32}, 'save_every': 2, 'network': {
            'hidden_size': 32, 'num_layers': 2, 'patch_size': 8, 'num_queries': 4,
            'num_query_blocks': 1, 'num_upscale_blocks': 1},
        'stages': [{'name': 'clip', 'steps': steps, 'frame_size': [32, 48], 'clips': 1,
                    'frames': 2}], **changes})


def steps_of(output):
    with (output / 'log.csv').open(newline='') as file:
        return [int(row['step']) for row in csv.DictReader(file)]


def test_a_training_leaves_log_checkpoint_and_network(tmp_path, videos):
    assert main([str(settings(tmp_path, videos))]) == 0
    assert steps_of(tmp_path / 'out') == [0, 1, 2]
    assert (tmp_path / 'out/checkpoint.pth').is_file()
    assert load_network(tmp_path / 'out/network').config.class_names == NAMES


def test_the_output_folder_can_be_named_and_resumed(tmp_path, videos):
    path, output = str(settings(tmp_path, videos)), tmp_path / 'deep/other'
    assert main([path, '--output', str(output)]) == 0
    assert not (tmp_path / 'out').exists()
    longer = settings(tmp_path, videos, stages=[
        {'name': name, 'steps': 3, 'frame_size': [32, 48], 'clips': 1, 'frames': 2}
        for name in ('clip', 'more')])
    assert main([str(longer), '--output', str(output), '--resume']) == 0
    assert steps_of(output) == [0, 1, 2, 0, 1, 2]


def test_a_bar_shows_the_stage_and_its_steps(tmp_path, videos, capsys):
    def shown(*arguments):
        """Run the command; give what the bars, which write over themselves, have shown."""
        assert main([str(argument) for argument in arguments]) == 0
        captured = capsys.readouterr()
        assert captured.out == ''
        return re.split(r'[\r\n]+', captured.err)

    def ends(lines, name, count):
        return any(line.startswith(f'{name}: 100%') and f'| {count}/{count} [' in line
                   for line in lines)

    both = {'frame-by-frame': 2, 'in clips': 3}
    stages = [{'name': name, 'steps': steps, 'frame_size': [32, 48], 'clips': 1, 'frames': i + 1}
              for i, (name, steps) in enumerate(both.items())]
    lines = shown(settings(tmp_path, videos, stages=stages))
    assert all(ends(lines, name, steps) for name, steps in both.items())
    first, last = (
        [i for i, line in enumerate(lines) if line.startswith(f'{name}: ')] for name in both)
    assert max(first) < min(last), 'one after the other'
    assert any(line.startswith('in clips:   0%') and '| 0/3 [' in line for line in lines)
    assert re.search(r', loss=\d+\.\d+\]', lines[max(last)])
    # A resumed training goes on where it stood, and so does its bar.
    stages[-1]['steps'] = 5
    lines = shown(settings(tmp_path, videos, stages=stages), '--resume')
    assert not any(line.startswith('frame-by-frame') for line in lines)
    assert not any('| 0/5 [' in line for line in lines)
    assert any(line.startswith('in clips:  60%') and '| 3/5 [' in line for line in lines)
    assert ends(lines, 'in clips', 5)


def told(capsys, *arguments):
    """Run the command, which must fail; return its one line."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    line = captured.err.splitlines()[-1]
    assert captured.out == '' and line.startswith('videomt_train: ')
    assert 'Traceback' not in captured.err
    return line


def test_mistakes_are_told_in_one_line(tmp_path, videos, capsys):
    assert 'absent.yaml: cannot be read' in told(capsys, tmp_path / 'absent.yaml')
    path = settings(tmp_path, videos)
    assert 'checkpoint.pth: no checkpoint to resume from' in told(capsys, path, '--resume')
    (tmp_path / 'file').touch()
    assert 'Not a directory' in told(capsys, path, '--output', tmp_path / 'file/out')
    path = settings(tmp_path, tmp_path / 'none.json')
    assert 'none.json: cannot be read as JSON' in told(capsys, path)
    path = settings(tmp_path, videos, init=str(tmp_path / 'none'), network={})
    assert 'none: no such file or folder' in told(capsys, path)
    path = settings(tmp_path, videos, stages=[
        {'name': 'wild', 'steps': 3, 'frame_size': [32, 48], 'lr': 1e30, 'warmup': 0}])
    assert 'the gradient is not finite' in told(capsys, path)


def test_without_the_optional_packages_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'videomt_ros.training.config', None)
    assert "pip install 'videomt_ros[train]'" in told(capsys, 'config.yaml')


@pytest.mark.parametrize('arguments', ([], ['a.yaml', 'b.yaml'], ['a.yaml', '--speed']))
def test_arguments_that_make_no_sense_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert 'usage: videomt_train' in capsys.readouterr().err


def test_ctrl_c_ends_it_with_130_and_a_word_on_how_to_go_on(tmp_path, videos):
    path = settings(tmp_path, videos, steps=100_000, workers=1)
    process = subprocess.Popen(
        [sys.executable, '-m', 'videomt_ros.tools.train', str(path)], start_new_session=True,
        stderr=subprocess.PIPE, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'},
        # What a script starts with & ignores SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 120
    while not (tmp_path / 'out/checkpoint.pth').exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith('videomt_train: stopped; --resume goes on from the last checkpoint\n')
    assert 'Traceback' not in errors
    done = len(steps_of(tmp_path / 'out'))
    assert done >= 2
    path = settings(tmp_path, videos, steps=done + 2)
    assert main([str(path), '--resume']) == 0
    assert steps_of(tmp_path / 'out') == list(range(done + 2))


def test_torchrun_trains_in_a_group(tmp_path, videos):
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         '-m', 'videomt_ros.tools.train', str(settings(tmp_path, videos))],
        env={**os.environ, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps_of(tmp_path / 'out') == [0, 1, 2]
    assert load_network(tmp_path / 'out/network').config.class_names == NAMES
