"""What is made of the results: recordings, films, tables and annotations that others read."""

import csv
import json
import sqlite3

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from videomt_ros.perception import TrackState
from videomt_ros.ros.runs import decode_runs, encode_runs
from videomt_ros.tools.bags.coco import coco_runs
from videomt_ros.tools.bags.errors import BagError, DONE, FAILED
from videomt_ros.tools.bags.messages import mask_message, tracks_message, typestore
from videomt_ros.tools.bags.record import FrameRecord, Sighting
from videomt_ros.tools.bags.writing import storage_of


@pytest.fixture
def mask():
    random = np.random.default_rng(0)
    return random.random((20, 30)) > 0.6


def record_with(mask):
    """Make the record of a frame of 48x64 pixels with one object seen, one lost, and stuff."""
    y, x, height, width = 5, 7, *mask.shape
    labels = np.zeros((48, 64), np.uint8)
    labels[y:y + height, x:x + width][mask] = 3
    nothing = np.zeros(0, np.uint32)
    return FrameRecord(
        index=4, camera=0, time=10 ** 18 + 9, stamp=10 ** 18 + 5, frame_id='eye', error=None,
        height=48, width=64, epoch=2, reset_reason=None, task='panoptic', labels=labels,
        sightings=(
            Sighting(0, TrackState.TRACKED, 1, 'road', 0.5, (0, 0, 1, 1), 1, 0, 9, 0, 0,
                     np.array([0, 1], np.uint32)),
            Sighting(17, TrackState.TRACKED, 0, 'cup', 0.75, (x, y, width, height),
                     int(mask.sum()), 12, 3, 10 ** 18, 10 ** 18 + 5, encode_runs(mask)),
            Sighting(18, TrackState.LOST, 0, 'cup', 0.25, (0, 0, 0, 0), 0, 7, 4, 10 ** 18 + 1,
                     10 ** 18 + 2, nothing)))


def test_messages_hold_the_record(mask):
    record = record_with(mask)
    tracks = typestore().deserialize_cdr(tracks_message(record), 'videomt_ros/msg/TrackArray')
    assert (tracks.epoch, tracks.skipped, tracks.height, tracks.width) == (2, 0, 48, 64)
    assert (tracks.header.stamp.sec, tracks.header.stamp.nanosec) == (10 ** 9, 5)
    seen, lost = tracks.tracks
    assert (seen.track_id, seen.state, seen.class_name, seen.score, seen.mask_value, seen.age) == (
        17, 2, 'cup', 0.75, 3, 12)
    assert seen.last_seen.nanosec == 5 and seen.area == mask.sum()
    assert np.array_equal(decode_runs(seen.mask_counts, 20, 30), mask)
    assert (lost.track_id, lost.state, lost.mask_value, lost.area, lost.mask_counts.size) == (
        18, 3, 0, 0, 0)
    found = typestore().deserialize_cdr(mask_message(record), 'videomt_ros/msg/SegmentationMask')
    assert [(s.mask_value, s.track_id, s.class_name) for s in found.segments] == [
        (9, 0, 'road'), (3, 17, 'cup')]
    assert (found.labels.encoding, found.labels.step, found.task) == ('mono8', 64, 'panoptic')
    assert np.array_equal(found.labels.data.reshape(48, 64), record.labels)


def test_messages_are_those_of_the_node(mask):
    """Hold our two ways from a result to a message against each other, field by field."""
    pytest.importorskip('rclpy')
    from rclpy.serialization import serialize_message
    from videomt_ros.perception import FrameResult, Instance
    from videomt_ros.ros import messages
    from videomt_ros.ros.stamps import StampScale
    from videomt_ros.tools.bags.cameras import Frame
    from videomt_ros.tools.bags.images import Picture
    from videomt_ros.tools.bags.record import record_of
    origin = 1_700_000_000_123_456_789
    header = messages.Header(frame_id='eye')
    header.stamp.sec, header.stamp.nanosec = divmod(origin + 700_000_001, 10 ** 9)
    scale = StampScale(messages.Time(sec=origin // 10 ** 9, nanosec=origin % 10 ** 9))
    patch = np.where(mask, np.uint8(200), np.uint8(0))
    result = FrameResult(
        camera='', stamp=0.700000001, height=48, width=64, task='instance', epoch=3,
        reset_reason=None, skipped=0, dt=0.1, timings={}, label_dtype=np.uint8, instances=tuple(
            Instance(track_id, state, 0, 'cup', 0.6, box, area, 5, track_id, 0.1, seen, pixels,
                     (48, 64))
            for track_id, state, box, area, seen, pixels in (
                (1, TrackState.TRACKED, (7, 5, 30, 20), int(mask.sum()), 0.700000001, patch),
                (2, TrackState.LOST, (0, 0, 0, 0), 0, 0.3, patch[:0, :0]))))
    stamp = origin + 700_000_001
    frame = Frame(0, 0, type('Message', (), {'time': stamp}))
    record = record_of(frame, Picture(stamp, 'eye', np.zeros((48, 64, 3), np.uint8)), result,
                       origin)
    for ours, theirs, kind in (
            (tracks_message(record), messages.tracks_message(result, header, scale, True),
             'videomt_ros/msg/TrackArray'),
            (mask_message(record), messages.mask_message(result, header),
             'videomt_ros/msg/SegmentationMask')):
        # Not as bytes: what lies between two fields is anything with rclpy.
        read = typestore().deserialize_cdr(serialize_message(theirs), kind)
        assert ours == bytes(typestore().serialize_cdr(read, kind))


@pytest.mark.parametrize('name', ['out.mcap', 'out.db3', 'out', 'lite'])
def test_recordings_hold_their_definitions(drive, tmp_path, bag, kit, name):
    options = ('--storage', 'sqlite3') if name == 'lite' else ()
    assert bag(drive, tmp_path / name, *options)[0] == DONE
    with Reader(tmp_path / name) as reader:
        kinds = {c.topic: (c.msgtype, c.msgdef.data) for c in reader.connections}
        assert kinds['/videomt/tracks'][0] == 'videomt_ros/msg/TrackArray'
        assert 'MSG: videomt_ros/Track\n' in kinds['/videomt/tracks'][1]
        assert 'MSG: sensor_msgs/RegionOfInterest\n' in kinds['/videomt/tracks'][1]
        qos, = reader.connections[0].ext.offered_qos_profiles
        assert (qos.reliability.name, qos.durability.name) == ('RELIABLE', 'VOLATILE')
        assert reader.message_count == 48
    if name in ('out', 'lite'):
        stored, = [path.name for path in (tmp_path / name).iterdir()
                   if path.name != 'metadata.yaml']
        assert stored == f'{name}.{"db3" if name == "lite" else "mcap"}'


def test_foxglove_s_library_reads_it_without_our_package(drive, tmp_path, bag):
    factory = pytest.importorskip('mcap_ros2.decoder').DecoderFactory
    make_reader = pytest.importorskip('mcap.reader').make_reader
    assert bag(drive, tmp_path / 'out.mcap', '--merge')[0] == DONE
    with (tmp_path / 'out.mcap').open('rb') as file:
        reader = make_reader(file, decoder_factories=[factory()])
        summary = reader.get_summary()
        assert summary.statistics.message_count == 24 * 4
        assert [c.message_start_time for c in summary.chunk_indexes]
        tracks = [decoded for _, channel, _, decoded in reader.iter_decoded_messages(
            topics=['/videomt/tracks'])]
    assert len(tracks) == 24 and tracks[0].tracks[0].class_name in ('red', 'green')
    assert sum(tracks[0].tracks[0].mask_counts) == (
        tracks[0].tracks[0].box.width * tracks[0].tracks[0].box.height)


@pytest.mark.parametrize('source', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('name', ['out.mcap', 'out.db3'])
def test_merged_recordings_hold_all_of_both(scene, tmp_path, bag, kit, source, name):
    whole = scene().camera().texts().empty('/silent', 'std_msgs/msg/String')
    whole.topics['/videomt/tracks'] = ('std_msgs/msg/String', [
        (kit.start, kit.text('of the live node'))])
    drive = whole.write(tmp_path / 'drive', source)
    code, _, err = bag(drive, tmp_path / name, '--merge')
    assert code == DONE and err == (
        'videomt_bag: /videomt/tracks of the recording is not copied: results have this name\n')
    with Reader(tmp_path / name) as reader:
        types = {c.topic: (c.msgtype, c.digest) for c in reader.connections}
        got = [(time, c.topic, c.msgtype, data) for c, time, data in reader.messages()
               if not c.topic.startswith('/videomt')]
        times = [(time, c.topic) for c, time, _ in reader.messages()]
    assert got == [each for each in whole.messages() if each[1] != '/videomt/tracks']
    assert set(types) == {
        '/camera/image_raw', '/chatter', '/silent', '/videomt/tracks', '/videomt/mask'}
    if name == 'out.db3':
        assert types['/chatter'][1] == kit.store.hash_rihs01('std_msgs/msg/String')
    assert [times.index((kit.start, topic)) for topic in (
        '/camera/image_raw', '/videomt/tracks', '/videomt/mask')] == [0, 1, 2]


def test_merging_a_part(drive, tmp_path, bag, kit):
    assert bag(drive, tmp_path / 'out.mcap', '--merge', '--start', '1', '--every', '2',
               '--no-masks')[0] == DONE
    result = kit.read(tmp_path / 'out.mcap')
    assert {topic: len(messages) for topic, messages in result.items()} == {
        '/camera/image_raw': 14, '/chatter': 14, '/videomt/tracks': 7}


def test_names_and_storages(tmp_path):
    assert storage_of(tmp_path / 'a.mcap', None).name == 'MCAP'
    assert storage_of(tmp_path / 'a.db3', None).name == 'SQLITE3'
    assert storage_of(tmp_path / 'a', None).name == 'MCAP'
    assert storage_of(tmp_path / 'a', 'sqlite3').name == 'SQLITE3'
    with pytest.raises(BagError, match='is the name of a file of storage sqlite3, not mcap'):
        storage_of(tmp_path / 'a.db3', 'mcap')


def test_a_film_has_every_frame(scene, tmp_path, bag, kit):
    changing = scene().camera(frames=12)
    kind, messages = changing.topics['/camera/image_raw']
    # From here on the camera sends larger pictures; the film keeps its size.
    messages[8:] = [(time, kit.image(np.kron(kit.squares(i), np.ones((2, 2, 1), np.uint8)), time))
                    for i, (time, _) in list(enumerate(messages))[8:]]
    drive = changing.write(tmp_path / 'drive')
    assert bag(drive, tmp_path / 'out.mcap', '--video', tmp_path / 'v.mp4')[0] == DONE
    film = cv2.VideoCapture(str(tmp_path / 'v.mp4'))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert (film.get(cv2.CAP_PROP_FRAME_WIDTH), film.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (128, 96)
    _, picture = film.read()
    assert picture[32, 16].max() > 60 and picture[90, 20].max() < 40
    assert not list(tmp_path.glob('.*'))


def test_several_cameras_have_a_film_each(scene, tmp_path, bag):
    drive = scene().camera('/left/image').camera('/right/image', frames=6).write(tmp_path / 'd')
    assert bag(drive, tmp_path / 'out.mcap', '--video', tmp_path / 'v.mp4')[0] == DONE
    counts = {name: cv2.VideoCapture(str(tmp_path / f'v.{name}.mp4')).get(
        cv2.CAP_PROP_FRAME_COUNT) for name in ('left', 'right')}
    assert counts == {'left': 24, 'right': 6}
    code, _, err = bag(drive, tmp_path / 'two.mcap', '--video', tmp_path / 'v.mp4')
    assert code == FAILED and 'v.left.mp4 exists already' in err


def test_tables(drive, tmp_path, bag, kit):
    parquet = pytest.importorskip('pyarrow.parquet')
    assert bag(drive, tmp_path / 'out.mcap', '--csv', tmp_path / 't.csv', '--parquet',
               tmp_path / 't.parquet')[0] == DONE
    with (tmp_path / 't.csv').open() as file:
        rows = list(csv.DictReader(file))
    expected = [
        (str(i), str(time), track.class_name, str(track.track_id), str(track.area),
         str(track.box.x_offset), TrackState(track.state).name)
        for i, (time, message) in enumerate(
            kit.read(tmp_path / 'out.mcap')['/videomt/tracks']) for track in message.tracks]
    assert [(row['frame'], row['time_ns'], row['class_name'], row['track_id'], row['area'],
             row['x'], row['state']) for row in rows] == expected
    table = parquet.read_table(tmp_path / 't.parquet').to_pylist()
    assert len(table) == len(rows) > 30
    for row, other in zip(rows, table, strict=True):
        assert {
            name: '' if value is None else str(value)
            for name, value in other.items() if name != 'score'} == {
            name: value for name, value in row.items() if name != 'score'}
        assert float(row['score']) == pytest.approx(other['score'], abs=1e-6)


@pytest.mark.parametrize('place', [(0, 0), (7, 5), (34, 0), (0, 28), (34, 28)])
def test_coco_runs_are_the_mask(mask, place):
    coder = pytest.importorskip('pycocotools.mask')
    x, y = place
    whole = np.zeros((48, 64), bool)
    whole[y:y + 20, x:x + 30] = mask
    runs = coco_runs((x, y, 30, 20), encode_runs(mask), 48, 64)
    assert sum(runs['counts']) == 48 * 64 and runs['size'] == [48, 64]
    assert np.array_equal(coder.decode(coder.frPyObjects(runs, 48, 64)), whole)


def test_annotations_hold_the_masks(scene, tmp_path, bag, kit):
    coder = pytest.importorskip('pycocotools.mask')
    drive = scene().camera('/left/image_raw').camera('/right/image_raw', 10, 16).write(
        tmp_path / 'drive')
    assert bag(drive, tmp_path / 'out.mcap', '--coco', tmp_path / 'c.json', '--ytvis',
               tmp_path / 'y.json')[0] == DONE
    coco, ytvis = (json.loads((tmp_path / f'{name}.json').read_text()) for name in 'cy')
    result = kit.read(tmp_path / 'out.mcap')
    assert [c['name'] for c in coco['categories']] == ['red', 'green', 'blue']
    assert coco['categories'] == ytvis['categories']
    assert [(v['length'], len(v['file_names']), v['topic']) for v in ytvis['videos']] == [
        (24, 24, '/left/image_raw'), (10, 10, '/right/image_raw')]
    assert len(coco['images']) == 34
    images = {each['id']: each for each in coco['images']}
    expected, found, by_track = set(), set(), set()
    for name in ('left', 'right'):
        for (_, message), place in zip(result[f'/videomt/{name}/tracks'], range(99), strict=False):
            for track in message.tracks:
                if track.area:
                    expected.add((name, place, track.track_id, track.class_id + 1, track.area))
    for each in coco['annotations']:
        image = images[each['image_id']]
        name = image['topic'].split('/')[1]
        place = (image['stamp_ns'] - kit.start) // kit.step
        area = int(coder.decode(coder.frPyObjects(each['segmentation'], 96, 128)).sum())
        assert area == each['area'] and each['bbox'][2] * each['bbox'][3] >= area
        found.add((name, place, each['track_id'], each['category_id'], area))
    for each in ytvis['annotations']:
        video = ytvis['videos'][each['video_id'] - 1]
        for values in (each['segmentations'], each['bboxes'], each['areas']):
            assert len(values) == video['length']
        for place, runs in enumerate(each['segmentations']):
            assert (runs is None) == (each['areas'][place] is None)
            if runs is not None:
                mask = coder.decode(coder.frPyObjects(runs, 96, 128))
                assert mask.sum() == each['areas'][place]
                by_track.add((video['topic'].split('/')[1], place, each['track_id'],
                              each['category_id'], int(mask.sum())))
    assert found == expected == by_track and len(expected) > 40
    assert [each['id'] for each in ytvis['annotations']] == list(
        range(1, len(ytvis['annotations']) + 1))


@pytest.mark.parametrize('name', ['out.mcap', 'out.db3'])
def test_recordings_of_old_releases_know_less_and_are_merged_too(
        scene, tmp_path, bag, kit, name):
    """Make what Foxy wrote: no definitions, no hashes, no QoS; and a type that nobody knows."""
    whole = scene().camera(frames=6).texts(count=6)
    whole.topics['/thing'] = ('their_msgs/msg/Thing', [(kit.start + 9, b'\0\1\0\0whatever')])
    path = tmp_path / 'old.db3'
    with sqlite3.connect(path) as database:
        database.executescript(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, '
            'serialization_format TEXT NOT NULL); CREATE TABLE messages(id INTEGER PRIMARY KEY, '
            'topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL);')
        ids = {topic: i for i, topic in enumerate(whole.topics)}
        database.executemany("INSERT INTO topics VALUES(?, ?, ?, 'cdr')", [
            (i, topic, whole.topics[topic][0]) for topic, i in ids.items()])
        database.executemany('INSERT INTO messages VALUES(NULL, ?, ?, ?)', [
            (ids[topic], time, data) for time, topic, _, data in whole.messages()])
    assert bag(path, tmp_path / name, '--merge')[0] == DONE
    with Reader(tmp_path / name) as reader:
        kinds = {c.topic: c for c in reader.connections}
        got = [(time, c.topic, c.msgtype, data) for c, time, data in reader.messages()
               if not c.topic.startswith('/videomt')]
    assert got == whole.messages()
    assert 'string data' in kinds['/chatter'].msgdef.data
    assert kinds['/thing'].msgtype == 'their_msgs/msg/Thing'
    assert kinds['/thing'].msgdef.data == ''


@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
def test_the_other_tasks(drive, tmp_path, bag, kit, task):
    assert bag(drive, tmp_path / 'out.mcap', '--task', task, '--coco', tmp_path / 'c.json',
               '--html', tmp_path / 'r.html', '--video', tmp_path / 'v.mp4')[0] == DONE
    result = kit.read(tmp_path / 'out.mcap')
    for (_, tracks), (_, mask) in zip(
            result['/videomt/tracks'], result['/videomt/mask'], strict=True):
        assert mask.task == task and mask.segments
        values = set(np.unique(mask.labels.data)) - {0}
        assert values == {segment.mask_value for segment in mask.segments}
        assert all(track.track_id for track in tracks.tracks)
    annotated = json.loads((tmp_path / 'c.json').read_text())['annotations']
    assert len(annotated) == sum(len(mask.segments) for _, mask in result['/videomt/mask'])
