"""What the driver of a fleet says when its own files cannot be read or written; without Ray."""

import json
import os

from fsspec.implementations.local import LocalFileSystem
import pytest
from videomt_ros.tools.bag import main

pytest.importorskip('ray')

from videomt_ros.tools.bags import fleet  # noqa: E402
from videomt_ros.tools.bags.archive import Archive, find_recordings  # noqa: E402
from videomt_ros.tools.bags.errors import BagError, DONE, FAILED  # noqa: E402
from videomt_ros.tools.bags.settings import Settings  # noqa: E402


@pytest.fixture
def run(drive, colours, capsys):
    """Give a function that runs the fleet over one recording: exit code and stderr."""
    def run(output):
        code = main(['--ray', 'local', str(drive), str(output), '--checkpoint', str(colours),
                     '--engine', 'eager', '--workers', '1'])
        return code, capsys.readouterr().err
    return run


@pytest.fixture
def done(drive, colours, tmp_path):
    """Give an output folder in which the recording is done, so that no task is left for Ray."""
    out = tmp_path / 'out'
    item, = find_recordings([str(drive)], str(out))
    record = fleet.process_item(
        item, str(out), Settings(checkpoint=str(colours), engine='eager', workers=1))
    assert record['status'] == 'done'
    return out


@pytest.mark.parametrize(('place', 'folder'), [
    ('{tmp_path}/file', '{tmp_path}/file'), ('{tmp_path}/file/deep', '{tmp_path}/file'),
    ('/proc/nowhere', '/proc')])
def test_an_output_folder_that_is_none_is_told_before_the_work(
        tmp_path, run, monkeypatch, place, folder):
    (tmp_path / 'file').write_text('mine')
    place, folder = (each.format(tmp_path=tmp_path) for each in (place, folder))
    access = os.access  # to root /proc seems writable
    monkeypatch.setattr(os, 'access', lambda path, mode: (
        str(path) != '/proc' and access(path, mode)))
    monkeypatch.setattr(fleet, '_run', None)
    assert run(place) == (FAILED, f'videomt_bag: {place}/manifest.json cannot be written: '
                                  f'{folder} is no folder to write into\n')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_a_manifest_that_cannot_be_read_is_told_before_the_work(tmp_path, run, monkeypatch):
    (tmp_path / 'out' / 'manifest.json').mkdir(parents=True)
    monkeypatch.setattr(fleet, '_run', None)
    assert run(tmp_path / 'out') == (
        FAILED, f'videomt_bag: {tmp_path}/out/manifest.json cannot be read: Is a directory\n')


def test_a_manifest_that_cannot_be_written_is_told_in_one_line(done, run):
    before = (done / 'drive' / 'record.json').read_bytes()
    (done / '.manifest.json.part').mkdir()  # stands for a disk that is full
    assert run(done) == (
        FAILED, f'videomt_bag: {done}/.manifest.json.part cannot be written: Is a directory\n')
    assert (done / 'drive' / 'record.json').read_bytes() == before
    # Nothing is lost: the next run finds what is done, and writes it down.
    (done / '.manifest.json.part').rmdir()
    assert run(done) == (DONE, '')
    assert json.loads((done / 'manifest.json').read_text())['counts']['done'] == 1


def test_the_fleet_goes_on_when_the_manifest_of_meanwhile_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, '_MANIFEST_SECONDS', -1.0)
    (tmp_path / '.manifest.json.part').mkdir()
    manifest = fleet._Manifest(Archive(str(tmp_path)), fresh=False)
    manifest.add({'name': 'a', 'status': 'done'})
    with pytest.raises(BagError, match='manifest.json.part cannot be written: Is a directory'):
        manifest.write()
    (tmp_path / '.manifest.json.part').rmdir()
    manifest.add({'name': 'b', 'status': 'done'})
    assert json.loads((tmp_path / 'manifest.json').read_text())['counts']['done'] == 2


def test_recordings_that_cannot_be_looked_at_are_told_in_one_line(
        tmp_path, drive, run, monkeypatch):
    info = LocalFileSystem.info

    def refuse(self, path, **options):
        if str(path).endswith('.mcap'):
            raise PermissionError(13, 'Permission denied', path)
        return info(self, path, **options)
    monkeypatch.setattr(LocalFileSystem, 'info', refuse)
    assert run(tmp_path / 'out') == (
        FAILED, f'videomt_bag: {drive}/drive.mcap cannot be read: Permission denied\n')
    assert not (tmp_path / 'out').exists()
