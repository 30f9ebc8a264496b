"""One sentence says why there is no output, and what was done stays."""

import resource

import pytest
from videomt_ros.perception import VideoSegmenter
from videomt_ros.tools.bags.errors import DONE, FAILED


@pytest.mark.parametrize('device', ['cuda:99', 'gpu'])
def test_a_device_that_is_not_there(drive, tmp_path, bag, device):
    code, _, err = bag(drive, tmp_path / 'out.mcap', '--device', device)
    assert code == FAILED and err.count('\n') == 1
    assert err.startswith(f'videomt_bag: device is {device!r}; ')
    assert not list(tmp_path.glob('out*'))


def test_loading_fails_in_one_line_whatever_it_raises(drive, tmp_path, bag, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError('this is none\nand that is why')
    monkeypatch.setattr(VideoSegmenter, 'from_pretrained', fail)
    assert bag(drive, tmp_path / 'out.mcap') == (FAILED, '', 'videomt_bag: this is none\n')


def test_a_note_that_cannot_be_written_loses_nothing(drive, tmp_path, bag):
    note = tmp_path / 'out.mcap.work' / 'moving.json'
    note.mkdir(parents=True)  # stands for a disk that is full just then
    assert bag(drive, tmp_path / 'out.mcap') == (
        FAILED, '', f'videomt_bag: {note} cannot be written: Is a directory\n')
    assert {each.name for each in tmp_path.iterdir()} == {'drive', 'out.mcap.work'}
    note.rmdir()
    code, out, _ = bag(drive, tmp_path / 'out.mcap')
    assert code == DONE and '24 of them by an earlier run' in out


def test_a_lock_that_cannot_be_written_is_told_in_one_line(drive, tmp_path, bag):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert bag(drive, tmp_path / 'out.mcap') == (
            FAILED, '', f'videomt_bag: {tmp_path}/out.mcap.work/lock cannot be written: '
                        f'File too large\n')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob('*.work'))
