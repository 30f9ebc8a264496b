"""Many recordings: each once, whatever happens to those who do the work."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import fsspec
import pytest
from videomt_ros.tools.bag import main
from videomt_ros.tools.bags.archive import find_recordings
from videomt_ros.tools.bags.errors import DONE, FAILED
from videomt_ros.tools.bags.settings import Settings

pytest.importorskip('ray')
# Ray starts some ten processes, which on a busy machine takes minutes.
PATIENCE = 240
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE + 120)]


@pytest.fixture
def archive(scene, tmp_path):
    """Give a folder with four recordings: of two cameras, SQLite, damaged, and without any."""
    root = tmp_path / 'archive'
    scene().camera('/left/image_raw').camera('/right/image_raw', 10, 16).write(
        root / 'day1' / 'two')
    scene().camera(frames=8).write(root / 'day2' / 'lite', 'sqlite3')
    broken = scene().camera(frames=40).write(root / 'day2' / 'broken') / 'broken.mcap'
    with broken.open('r+b') as file:
        file.truncate(broken.stat().st_size // 2)
    scene().texts().write(root / 'mute')
    return root


def manifest(folder):
    content = json.loads((folder / 'manifest.json').read_text())
    return content['counts'], {each['name']: each for each in content['recordings']}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive(archive, tmp_path, colours, kit, capsys):
    out = tmp_path / 'out'
    command = ['--ray', 'local', '--engine', 'eager', '--checkpoint', str(colours),
               str(archive / '**'), str(out),
               '--csv', 'tracks.csv']
    assert main(command) == FAILED
    captured = capsys.readouterr()
    assert captured.err.count('\n') == 1 and 'mute: failed (' in captured.err
    counts, records = manifest(out)
    assert counts == {'done': 2, 'damaged': 1, 'failed': 1}
    assert {name: each.get('frames') for name, each in records.items()} == {
        'day1/two': 34, 'day2/lite': 8, 'day2/broken': records['day2/broken']['frames'],
        'mute': None}
    assert 15 < records['day2/broken']['frames'] < 22
    assert 'broken.mcap ends at byte' in records['day2/broken']['damage']
    assert 'has no camera' in records['mute']['error'] and not (out / 'mute').exists()
    assert set(kit.read(out / 'day1' / 'two' / 'results.mcap')) == {
        '/videomt/left/tracks', '/videomt/left/mask', '/videomt/right/tracks',
        '/videomt/right/mask'}
    two = records['day1/two']
    assert two['outputs']['results.mcap']['sha256'] == digest(out / 'day1/two/results.mcap')
    assert set(two['outputs']) == {'results.mcap', 'tracks.csv'} and two['seconds'] > 0
    assert two['cameras'] == ['/left/image_raw', '/right/image_raw'] and len(two['sha256']) == 64
    # One by one they give the same bytes.
    assert main([str(archive / 'day1' / 'two'), str(tmp_path / 'results.mcap'), '--workers', '1',
                 '--engine', 'eager', '--checkpoint', str(colours), '--quiet']) == DONE
    assert digest(tmp_path / 'results.mcap') == digest(out / 'day1/two/results.mcap')

    # Again: what is done stays, what has failed, changed or gone is done.
    times = {name: (out / name / 'results.mcap').stat().st_mtime_ns
             for name in ('day1/two', 'day2/lite', 'day2/broken')}
    (out / 'day2' / 'lite' / 'results.mcap').unlink()
    capsys.readouterr()
    assert main(command) == FAILED
    assert '2 of 4 are done already' in capsys.readouterr().out
    assert {name: (out / name / 'results.mcap').stat().st_mtime_ns == before
            for name, before in times.items()} == {
        'day1/two': True, 'day2/lite': False, 'day2/broken': True}
    assert manifest(out)[0] == counts


def test_a_camera_a_task(archive, tmp_path, colours, kit):
    out = tmp_path / 'out'
    assert main(['--ray', 'local', '--per-camera', '--quiet', '--engine', 'eager', '--checkpoint',
                 str(colours), str(archive / 'day1' / '*'), str(out)]) == DONE
    counts, records = manifest(out)
    assert counts['done'] == 2 and set(records) == {'two/left', 'two/right'}
    for name, each in records.items():
        side = name.rsplit('/', 1)[1]
        assert each['frames'] == {'left': 24, 'right': 10}[side]
        assert set(kit.read(out / name / 'results.mcap')) == {
            f'/videomt/{side}/tracks', f'/videomt/{side}/mask'}


def test_a_recording_without_a_look_is_one_that_failed(archive, tmp_path, capsys, monkeypatch):
    """Of a function that is not in the package Ray sends the code, so the worker runs this one."""
    def cameras_of(item, settings):
        if item.name == 'lite':
            raise OSError(5, 'Input/output error', item.url)
        return 'has no camera'
    monkeypatch.setattr('videomt_ros.tools.bags.fleet._cameras_of', cameras_of)
    assert main(['--ray', 'local', '--per-camera', '--quiet', str(archive / 'day2' / '*'),
                 str(tmp_path / 'out')]) == FAILED
    assert 'Traceback' not in capsys.readouterr().err
    counts, records = manifest(tmp_path / 'out')
    assert counts['failed'] == 2 and records['broken']['error'] == 'has no camera'
    assert 'Input/output error' in records['lite']['error']


def test_a_killed_worker_loses_little(scene, tmp_path, heavy):
    """Kill the worker in the middle of a recording: another one goes on from the last part."""
    drive = scene().camera(frames=160).write(tmp_path / 'archive' / 'drive')
    out = tmp_path / 'out'
    options = ['--checkpoint', str(heavy), '--engine', 'eager']
    driver = subprocess.Popen(
        [sys.executable, '-m', 'videomt_ros.tools.bag', '--ray', 'local', str(drive), str(out),
         *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    work = out / 'drive' / 'results.mcap.work'
    try:
        done = wait_for_frames(work / 'journal.sqlite', driver)
        worker = int((work / 'lock').read_text())
        assert worker != driver.pid
        os.kill(worker, signal.SIGKILL)
        said, _ = driver.communicate(timeout=PATIENCE)
    finally:
        driver.kill()
    assert driver.returncode == DONE, said
    assert '1/1 drive: done 160 frames' in said and 0 < done < 160
    record = manifest(out)[1]['drive']
    assert record['resumed'] >= done
    assert main([str(drive), str(tmp_path / 'results.mcap'), '--workers', '1', '--quiet',
                 *options]) == DONE
    assert digest(tmp_path / 'results.mcap') == record['outputs']['results.mcap']['sha256']


def wait_for_frames(journal, driver):
    """Wait until a part is in the journal; gives how many frames it holds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert driver.poll() is None, driver.stdout.read()
        if journal.exists():
            try:
                row = sqlite3.connect(f'file:{journal}?mode=ro', uri=True).execute(
                    "SELECT value FROM facts WHERE name = 'progress'").fetchone()
            except sqlite3.OperationalError:  # it is just being made
                row = None
            if row:
                return json.loads(row[0])['next_index']
        time.sleep(0.05)
    raise AssertionError('waited in vain for a part')


def test_a_bucket(archive, colours, tmp_path, bag):
    """Work in this process, for the memory file system is that of a process; s3 and gs are not."""
    from videomt_ros.tools.bags.fleet import process_item
    bucket = fsspec.filesystem('memory')
    bucket.put(str(archive / 'day1'), '/archive/day1', recursive=True)
    item, = find_recordings(['memory://archive/**/*.mcap'], 'memory://results')
    settings = Settings(checkpoint=str(colours), engine='eager', workers=1)
    record = process_item(item, 'memory://results', settings)
    assert (record['status'], record['frames']) == ('done', 34)
    assert json.loads(bucket.cat('/results/day1/two/record.json')) == record
    own = tmp_path / 'results.mcap'
    assert bag(archive / 'day1' / 'two', own)[0] == DONE
    assert bucket.cat('/results/day1/two/results.mcap') == own.read_bytes()


@pytest.mark.parametrize(('options', 'sentence'), [
    (('--csv', 'a/tracks.csv'), 'expected a name without folders with --ray'),
    (('--html', 'r.html', '--truth', 't.json'), 'it does not go with --ray'),
    (('--ray', '127.0.0.1:1'), '--ray 127.0.0.1:1: '),
    (('--gpus', '64'), 'a task asks for 64 GPU, but the cluster has')])
def test_one_line_says_what_is_wrong(archive, tmp_path, colours, capsys, options, sentence):
    assert main(['--ray', 'local', str(archive / '**'), str(tmp_path / 'out'), '--checkpoint',
                 str(colours), *options]) == FAILED
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and sentence in said
