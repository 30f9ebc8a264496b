"""Recordings of every layout are read, and damaged ones up to the damage."""

import shutil
import sqlite3

import pytest
from rosbags.rosbag2 import Reader
from videomt_ros.tools.bags.errors import BagError
from videomt_ros.tools.bags.reading import Recording

CAMERA, CHATTER = '/camera/image_raw', '/chatter'
HEADER_OF_A_MESSAGE = 9 + 22


@pytest.fixture
def both(scene):
    return scene().camera().texts()


def contents(recording, *topics, **limits):
    return [(message.topic.name, message.time, message.data)
            for message in recording.messages(topics or (CAMERA, CHATTER), **limits)]


def everything(scene):
    return [(topic, time, data) for time, topic, _, data in scene.messages()]


def storage_file(folder):
    return next(path for path in folder.iterdir() if path.name != 'metadata.yaml')


def cut(path, size):
    with path.open('r+b') as file:
        file.truncate(size)


@pytest.mark.parametrize(('storage', 'mode'), [
    ('mcap', 'none'), ('mcap', 'storage'), ('mcap', 'file'), ('mcap', 'message'),
    ('sqlite3', 'none'), ('sqlite3', 'file'), ('sqlite3', 'message')])
@pytest.mark.parametrize('alone', [False, True])
def test_every_layout(both, tmp_path, storage, mode, alone):
    folder = both.write(tmp_path / 'bag', storage, mode)
    with Recording(storage_file(folder) if alone else folder) as recording:
        assert recording.damage is None
        assert contents(recording) == everything(both)
        assert (recording.start, recording.end) == (
            both.messages()[0][0], both.messages()[-1][0])
        assert {topic.name: topic.kind for topic in recording.topics} == {
            CAMERA: 'sensor_msgs/msg/Image', CHATTER: 'std_msgs/msg/String'}
        assert contents(recording, CHATTER) == [
            each for each in everything(both) if each[0] == CHATTER]
        start, stop = recording.start + 500_000_000, recording.start + 900_000_000
        assert contents(recording, start=start, stop=stop) == [
            each for each in everything(both) if start <= each[1] < stop]
        assert recording.damage is None
        text = next(topic for topic in recording.topics if topic.name == CHATTER)
        assert text.language == 'ros2msg' and 'string data' in text.definition


def test_it_can_be_read_twice_at_a_time(drive):
    with Recording(drive) as recording:
        first, second = recording.messages([CAMERA]), recording.messages([CAMERA])
        pairs = list(zip(first, second, strict=True))
        assert len(pairs) == 24 and all(one == other for one, other in pairs)


def test_parts_follow_each_other(scene, tmp_path):
    folder = tmp_path / 'split'
    folder.mkdir()
    whole = []
    for part in (0, 1, 2, 10):  # 10 comes after 2
        piece = scene().camera(frames=3, delay=part * 10 ** 9)
        shutil.move(storage_file(piece.write(tmp_path / f'part{part}')),
                    folder / f'split_{part}.mcap')
        whole += everything(piece)
    with Recording(folder) as recording:
        assert contents(recording) == whole and recording.damage is None
    (folder / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information:\n  relative_file_paths: '
        '[split_0.mcap, split_1.mcap, split_2.mcap, split_3.mcap, split_10.mcap]\n')
    with Recording(folder) as recording:
        assert contents(recording) == whole[:9]
        assert recording.damage == 'split_3.mcap, which metadata.yaml lists, is missing'


def test_a_recorder_that_was_killed_leaves_no_metadata(both, tmp_path):
    folder = both.write(tmp_path / 'bag', 'sqlite3')
    (folder / 'metadata.yaml').unlink()
    with Recording(folder) as recording:
        assert contents(recording) == everything(both) and recording.damage is None


def test_what_sqlite_has_only_in_its_log_is_read(both, tmp_path):
    path = storage_file(both.write(tmp_path / 'bag', 'sqlite3'))
    last = both.messages()[-1]
    live = sqlite3.connect(path)
    live.execute('PRAGMA journal_mode=WAL')
    live.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(2, ?, ?)',
                 (last[0] + 1, b'later'))
    live.commit()
    killed = tmp_path / 'killed'
    killed.mkdir()
    for each in path.parent.glob('*.db3*'):
        shutil.copy(each, killed)
    live.close()
    assert (killed / 'bag.db3-wal').stat().st_size
    with Recording(killed) as recording:
        assert contents(recording)[-1] == (CHATTER, last[0] + 1, b'later')


@pytest.mark.parametrize('mode', ['none', 'storage'])
@pytest.mark.parametrize('share', [0.1, 0.35, 0.6, 0.9])
def test_a_cut_mcap_gives_every_message_before_the_cut(both, tmp_path, mode, share):
    path = storage_file(both.write(tmp_path / 'bag', 'mcap', mode))
    size = int(path.stat().st_size * share)
    expected = everything(both)
    if mode == 'none':  # the messages lie in the file as they are, one after another
        content = path.read_bytes()[:size]
        expected = [each for each in expected if each[2] in content]
    cut(path, size)
    with Recording(path) as recording:
        got = contents(recording)
        assert f'byte {size}' in recording.damage
    if mode == 'none':
        assert got == expected and 0 < len(got) < 48
    else:
        assert got == expected[:len(got)] and (got or share < 0.5)
    with pytest.raises(Exception, match='magic'), Reader(path):
        pass  # which is why there is a reader of our own


def test_a_cut_of_compressed_chunks_keeps_what_can_be_unpacked(scene, tmp_path):
    drive = scene().camera(frames=120)  # 4.4 MB: chunks of 1 MB
    path = storage_file(drive.write(tmp_path / 'bag', 'mcap', 'storage'))
    cut(path, int(path.stat().st_size * 0.6))
    with Recording(path) as recording:
        got = contents(recording)
    assert got == everything(drive)[:len(got)] and 50 < len(got) < 90


def test_lost_ends_lose_no_messages(both, tmp_path):
    path = storage_file(both.write(tmp_path / 'bag'))
    size = path.stat().st_size
    cut(path, size - 9)
    with Recording(path) as recording:
        assert contents(recording) == everything(both)
        assert recording.damage == (
            f'bag.mcap has lost its end after byte {size - 9}; its messages are all there')


@pytest.mark.parametrize('whole_index', [True, False])
def test_a_chunk_with_flipped_bits_ends_the_recording(scene, tmp_path, whole_index):
    mcap = pytest.importorskip('mcap.writer')
    drive, path = scene().camera(frames=60), tmp_path / 'flipped.mcap'
    with path.open('wb') as file:
        writer = mcap.Writer(file, chunk_size=200_000, compression=mcap.CompressionType.LZ4)
        writer.start('ros2')
        schema = writer.register_schema('sensor_msgs/msg/Image', 'ros2msg', b'uint8 nothing')
        channel = writer.register_channel(CAMERA, 'cdr', schema, {
            'offered_qos_profiles': '', 'topic_type_hash': 'RIHS01_12'})
        for time, _, _, data in drive.messages():
            writer.add_message(channel, time, data, time)
        writer.finish()
    with Recording(path) as recording:
        assert contents(recording) == everything(drive)
        assert recording.topics[0].type_hash == 'RIHS01_12'
    content = bytearray(path.read_bytes())
    content[len(content) // 2:len(content) // 2 + 8] = b'\xff' * 8
    path.write_bytes(content if whole_index else content[:-20])
    with Recording(path) as recording:
        got = contents(recording)
        assert 'flipped.mcap' in recording.damage and 'damaged' in recording.damage
    assert got == everything(drive)[:len(got)] and 20 < len(got) < 40


def test_mcap_without_chunks_or_index(both, tmp_path):
    mcap = pytest.importorskip('mcap.writer')
    path = tmp_path / 'plain.mcap'
    with path.open('wb') as file:
        writer = mcap.Writer(file, use_chunking=False, index_types=mcap.IndexType.NONE,
                             use_statistics=False, repeat_channels=False, repeat_schemas=False)
        writer.start()
        channels = {}
        for time, topic, kind, data in reversed(both.messages()[:20]):  # in no good order
            if topic not in channels:
                schema = writer.register_schema(kind, 'ros2msg', b'string data')
                channels[topic] = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(channels[topic], time, data, time)
        writer.finish()
    with Recording(path) as recording:
        assert contents(recording) == everything(both)[:20][::-1]
        assert recording.damage is None


@pytest.mark.parametrize('share', [0.3, 0.7])
def test_a_cut_sqlite_file_gives_what_lies_before_the_cut(scene, tmp_path, share):
    drive = scene().camera(frames=100).texts(count=100)
    path = storage_file(drive.write(tmp_path / 'bag', 'sqlite3'))
    cut(path, int(path.stat().st_size * share))
    with Recording(path) as recording:
        got = contents(recording)
        assert recording.damage.startswith('bag.db3 is damaged')
    assert got == everything(drive)[:len(got)]
    assert len(got) > 200 * share - 8
    with pytest.raises(Exception, match='malformed'), Reader(path):
        pass


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_cut_packed_file(scene, tmp_path, storage):
    drive = scene().camera(frames=100)
    folder = drive.write(tmp_path / 'bag', storage, 'file')
    path = storage_file(folder)
    cut(path, int(path.stat().st_size * 0.6))
    with Recording(folder) as recording:
        got = contents(recording)
        assert f'{path.name} ends at byte' in recording.damage
    assert got == everything(drive)[:len(got)] and len(got) > 10


@pytest.mark.parametrize('name', ['x.mcap', 'x.db3'])
def test_a_file_of_no_bytes_is_a_damaged_one(tmp_path, name):
    (tmp_path / name).touch()
    with Recording(tmp_path / name) as recording:
        assert contents(recording) == []
        assert recording.damage == f'{name} ends after 0 bytes'


def test_a_recording_without_messages(scene, tmp_path):
    for storage in ('mcap', 'sqlite3'):
        folder = scene().empty(CAMERA, 'sensor_msgs/msg/Image').write(tmp_path / storage, storage)
        with Recording(folder) as recording:
            assert contents(recording) == [] and recording.damage is None
            assert (recording.start, recording.end) == (None, None)
            assert [topic.name for topic in recording.topics] == [CAMERA]


@pytest.mark.parametrize(('name', 'content', 'sentence'), [
    ('x.mcap', b'no recording at all', 'is no MCAP file; it begins with'),
    ('x.db3', b'no recording at all', 'is no SQLite file; it begins with'),
    ('x.txt', b'', 'is no recording; expected a folder or a file that ends in'),
    ('empty', None, 'is no recording; it holds no .mcap or .db3 file')])
def test_what_is_no_recording(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(BagError, match=sentence):
        Recording(path)


def test_a_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / 'x.db3') as database:
        database.execute('CREATE TABLE friends(name)')
    with pytest.raises(BagError, match='no tables messages and topics'):
        Recording(tmp_path / 'x.db3')


def test_what_is_not_there(tmp_path):
    with pytest.raises(BagError, match='nowhere.mcap does not exist'):
        Recording(tmp_path / 'nowhere.mcap')
