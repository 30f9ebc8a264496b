"""Recordings and results in folders and buckets."""

import json

import fsspec
import pytest
from videomt_ros.tools.bags.archive import Archive, find_recordings, local_copy
from videomt_ros.tools.bags.errors import BagError


@pytest.fixture
def archive(scene, tmp_path):
    """Give a folder with recordings of every kind, some of them deep below."""
    root = tmp_path / 'archive'
    scene().camera(frames=2).write(root / 'day1' / 'drive')
    alone = scene().camera(frames=2).write(tmp_path / 'alone', 'sqlite3') / 'alone.db3'
    alone.rename(root / 'alone.db3')
    packed = scene().camera(frames=2).write(root / 'day2' / 'packed', 'mcap', 'file')
    (packed / 'metadata.yaml').unlink()
    (root / 'day2' / 'notes.txt').write_text('no recording')
    return root


def names(*patterns, output='/nowhere'):
    return [item.name for item in find_recordings([str(each) for each in patterns], output)]


def test_patterns(archive):
    assert names(archive / '**' / '*.mcap') == ['day1/drive']
    assert names(archive / '**' / '*.db3') == ['alone']
    assert names(archive / '**' / '*.zstd') == ['day2/packed/packed']
    assert names(archive / '**') == ['alone', 'day1/drive', 'day2/packed/packed']
    assert names(archive / 'day2' / 'packed') == ['packed']
    assert names(archive / 'day1' / 'drive') == ['drive']
    assert names(archive / '*.db3', archive / 'day*' / '*') == [
        'alone', 'day1/drive']
    drive, = find_recordings([str(archive / 'day1' / '*')], '/nowhere')
    assert drive.url == f'file://{archive}/day1/drive'
    assert [name for name, _ in drive.files] == ['drive.mcap', 'metadata.yaml']


def test_results_are_no_recordings(archive):
    assert names(archive / '**' / '*.mcap', output=str(archive / 'day2')) == ['day1/drive']
    with pytest.raises(BagError, match='there is no recording'):
        names(archive / 'day1' / '*.mcap', output=str(archive))


def test_patterns_that_mean_nothing_or_too_much(archive, tmp_path, scene):
    with pytest.raises(BagError, match=r'\*\.bag: there is no recording; expected folders with'):
        names(archive / '*.bag')
    scene().camera(frames=2).write(tmp_path / 'other' / 'day1' / 'drive')
    with pytest.raises(BagError, match='would both have their results in day1/drive'):
        names(archive / '**' / '*.mcap', tmp_path / 'other' / '**' / '*.mcap')
    with pytest.raises(BagError, match='nope://x'):
        names('nope://x/*.mcap')


def test_a_version_changes_with_the_recording(archive):
    before, = find_recordings([str(archive / 'alone.db3')], '/nowhere')
    again, = find_recordings([str(archive / 'alone.db3')], '/nowhere')
    assert before == again and before.version == again.version
    with (archive / 'alone.db3').open('ab') as file:
        file.write(b'more')
    after, = find_recordings([str(archive / 'alone.db3')], '/nowhere')
    assert after.version != before.version


@pytest.mark.parametrize('place', ['{tmp_path}/out', 'memory://out'])
def test_results_are_there_whole(tmp_path, place):
    results = Archive(place.format(tmp_path=tmp_path))
    assert results.read('a/record.json') is None and results.size('a/record.json') is None
    results.write('a/record.json', {'status': 'done'})
    assert results.read('a/record.json') == {'status': 'done'}
    assert results.size('a/record.json') == len(json.dumps({'status': 'done'}, indent=1)) + 1
    with results.folder('a/b') as folder:
        (folder / 'results.mcap').write_bytes(b'123')
        (folder / 'more').mkdir()
        (folder / 'more' / 'x').write_bytes(b'45')
    assert results.size('a/b/results.mcap') == 3 and results.size('a/b/more/x') == 2
    results.remove('a/record.json')
    results.remove('a/record.json')
    assert results.read('a/record.json') is None


def test_nothing_lies_below_a_file(tmp_path):
    (tmp_path / 'drive').write_text('mine')
    results = Archive(str(tmp_path))
    assert results.read('drive/record.json') is None and results.size('drive/x') is None


def test_a_recording_in_a_bucket_is_copied(archive):
    bucket = fsspec.filesystem('memory')
    bucket.put(str(archive / 'day1'), '/bucket/day1', recursive=True)
    item, = find_recordings(['memory://bucket/**/*.mcap'], 'memory://out')
    assert item.name == 'day1/drive' and item.url == 'memory:///bucket/day1/drive'
    with local_copy(item) as copy:
        assert sorted(path.name for path in copy.iterdir()) == ['drive.mcap', 'metadata.yaml']
        assert (copy / 'drive.mcap').read_bytes() == (
            archive / 'day1' / 'drive' / 'drive.mcap').read_bytes()
    assert not copy.exists()
