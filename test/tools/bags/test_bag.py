"""videomt_bag as its users meet it: one recording in, one out, whatever happens in between."""

import hashlib
import json
import os
from pathlib import Path
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from videomt_ros.perception import VideoSegmenter
from videomt_ros.tools.bags import pipeline
from videomt_ros.tools.bags.errors import DAMAGED, DONE, FAILED, INTERRUPTED

# Sees the lively network's doubtful objects.
LOOSE = ('--start-score', '0.1', '--keep-score', '0.05', '--max-lost', '0.5')
ALL_FILES = ('video', 'csv', 'parquet', 'coco', 'ytvis', 'html')


def hashes(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def everything(folder):
    """Ask for every further output."""
    endings = {'video': 'mp4', 'coco': 'json', 'ytvis': 'json'}
    return [word for kind in ALL_FILES
            for word in (f'--{kind}', folder / f'{kind}.{endings.get(kind, kind)}')]


def run_killed(patch, *arguments):
    """Run in a process of its own that kills itself where the patch says; gives its end."""
    script = (
        'import os, signal, sys\n'
        'from videomt_ros.tools import bag\n'
        'from videomt_ros.tools.bags import journal, outputs, pipeline, single\n'
        'pipeline.PART_SECONDS = 0\n'
        'def die(): os.kill(os.getpid(), signal.SIGKILL)\n'
        f'{patch}\n'
        'sys.exit(bag.main(sys.argv[1:]))\n')
    return subprocess.run(
        [sys.executable, '-c', script, *map(str, arguments), '--engine', 'eager', '--workers',
         '1'],
        capture_output=True, text=True, timeout=120).returncode


@pytest.fixture
def restless(scene, tmp_path):
    """Give a recording of 80 frames of two cameras."""
    return scene().camera('/left/image_raw', 80).camera('/right/image_raw', 80, 16, 7).write(
        tmp_path / 'restless')


def test_tracks_and_masks_lie_at_their_images(drive, tmp_path, bag, kit):
    code, out, err = bag(drive, tmp_path / 'out.mcap')
    assert (code, err) == (DONE, '')
    assert '24 frames of /camera/image_raw' in out and 'limits the speed' in out
    result = kit.read(tmp_path / 'out.mcap')
    assert set(result) == {'/videomt/tracks', '/videomt/mask'}
    for topic in result:
        assert [(time, kit.stamp_of(message), message.header.frame_id)
                for time, message in result[topic]] == [
            (kit.start + i * kit.step, kit.start + i * kit.step, 'eye') for i in range(24)]
    boxes = [{track.class_name: track.box for track in message.tracks if track.area}
             for _, message in result['/videomt/tracks']]
    assert [box['red'].x_offset for box in boxes] == [16 * (i // 4 % 5) for i in range(24)]
    assert [i for i, box in enumerate(boxes) if 'green' in box] == [
        i for i in range(24) if i % 12 < 8]
    assert {path.name for path in tmp_path.iterdir()} == {'drive', 'out.mcap'}


def test_the_same_run_gives_the_same_bytes(restless, lively, tmp_path, bag):
    found = []
    for name in ('one', 'two'):
        folder = tmp_path / name
        code, _, _ = bag(restless, folder / 'out.mcap', '--merge', *LOOSE, *everything(folder),
                         checkpoint=lively)
        assert code == DONE
        found.append(hashes(folder))
    assert found[0] == found[1] and len(found[0]) == 8
    code, _, _ = bag(restless, tmp_path / 'three' / 'out.db3', '--merge', *LOOSE,
                     checkpoint=lively)
    again, _, _ = bag(restless, tmp_path / 'four' / 'out.db3', '--merge', *LOOSE,
                      checkpoint=lively)
    assert hashes(tmp_path / 'three') == hashes(tmp_path / 'four')


@pytest.mark.parametrize('patch', [
    # After some parts, in the middle of one, before any, and when all is done but its names.
    'append, count = journal.Journal.append, [0]\n'
    'def counted(self, *values):\n'
    '    append(self, *values); count[0] += 1; count[0] < 7 or die()\n'
    'journal.Journal.append = counted',
    'set_fact, count = journal.Journal._set_fact, [0]\n'
    'def counted(self, *values):\n'
    '    count[0] += 1; count[0] < 10 or die(); set_fact(self, *values)\n'
    'journal.Journal._set_fact = counted',
    'journal.Journal.append = lambda self, *values: die()',
    'move, count = outputs.move, [0]\n'
    'def counted(*values):\n'
    '    count[0] += 1; count[0] < 3 or die(); move(*values)\n'
    'outputs.move = counted'],
    ids=['after a part', 'in a part', 'at once', 'at the very end'])
def test_kill_minus_nine_changes_nothing(restless, lively, tmp_path, bag, monkeypatch, patch):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    options = ('--merge', *LOOSE)
    assert bag(restless, whole / 'out.mcap', *options, *everything(whole),
               checkpoint=lively)[0] == DONE
    arguments = (restless, killed / 'out.mcap', *options, *everything(killed))
    assert run_killed(patch, *arguments, '--checkpoint', lively) == -signal.SIGKILL
    assert (killed / 'out.mcap').exists() == ('outputs.move' in patch)
    encoded = []
    monkeypatch.setattr(pipeline.Pipeline, '_encode', counting(pipeline.Pipeline._encode, encoded))
    code, out, _ = bag(*arguments, checkpoint=lively)
    assert code == DONE
    assert hashes(killed) == hashes(whole)
    done_before = 160 - sum(encoded)
    assert f'{done_before} of them by an earlier run' in out or done_before == 0
    assert (done_before > 0) == ('lambda' not in patch)


def counting(encode, encoded):
    def counted(self, members):
        encoded.append(len(members))
        return encode(self, members)
    return counted


def test_interrupting_keeps_the_work(restless, lively, tmp_path, bag, monkeypatch):
    monkeypatch.setattr(pipeline, 'PART_SECONDS', 0)
    step, count = pipeline.Pipeline._step, []

    def interrupted(self, window):
        count.append(1)
        if len(count) == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, window)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Pipeline, '_step', interrupted)
        code, _, err = bag(restless, tmp_path / 'out' / 'out.mcap', *LOOSE, checkpoint=lively)
    assert code == INTERRUPTED and 'the same command goes on from here' in err
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'out.mcap.work'}
    code, _, err = bag(restless, tmp_path / 'out' / 'out.mcap', checkpoint=lively)
    assert code == FAILED
    assert 'unfinished work of another run (other options)' in err and '--fresh' in err
    code, out, _ = bag(restless, tmp_path / 'out' / 'out.mcap', *LOOSE, checkpoint=lively)
    assert code == DONE and 'of them by an earlier run' in out
    bag(restless, tmp_path / 'whole' / 'out.mcap', *LOOSE, checkpoint=lively)
    assert hashes(tmp_path / 'out') == hashes(tmp_path / 'whole')


def test_two_at_a_time_do_not_share_the_work(drive, tmp_path, bag, colours):
    other = subprocess.Popen(
        [sys.executable, '-c', 'import fcntl, sys\nfile = open(sys.argv[1], "w")\n'
         'fcntl.flock(file, fcntl.LOCK_EX)\nprint("held", flush=True)\nsys.stdin.read()',
         str(mkdir(tmp_path / 'out.mcap.work') / 'lock')],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == 'held\n'
        code, _, err = bag(drive, tmp_path / 'out.mcap')
    finally:
        other.communicate()
    assert code == FAILED
    assert err == f'videomt_bag: {tmp_path}/out.mcap.work is in use by another videomt_bag\n'


def mkdir(path):
    path.mkdir()
    return path


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_damaged_recording_gives_all_before_the_damage(
        scene, tmp_path, bag, kit, storage, capsys):
    folder = scene().camera(frames=40).texts(count=40).write(tmp_path / 'drive', storage)
    path = next(folder.glob('drive.*'))
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size // 2)
    code, _, err = bag(folder, tmp_path / 'out.mcap', '--merge', '--html', tmp_path / 'r.html')
    assert code == DAMAGED
    result = kit.read(tmp_path / 'out.mcap')
    frames = len(result['/videomt/tracks'])
    assert 15 < frames < 21 and len(result['/camera/image_raw']) == frames
    assert err.count('\n') == 1 and f'the {frames} frames up to there are done' in err
    assert path.name in err and path.name in (tmp_path / 'r.html').read_text()
    assert not (tmp_path / 'out.mcap.work').exists()


def test_a_frame_that_is_no_picture_is_told_and_the_rest_done(drive, scene, tmp_path, bag, kit):
    broken = scene().camera(frames=10)
    kind, messages = broken.topics['/camera/image_raw']
    messages[3] = (messages[3][0], messages[3][1][:-500])
    messages[5] = (messages[5][0], kit.image(
        kit.squares(5)[:, :, 0], kit.stamp_of(kit.store.deserialize_cdr(messages[5][1], kind)),
        encoding='32FC1'))
    code, _, err = bag(broken.write(tmp_path / 'bad'), tmp_path / 'out.mcap', '--html',
                       tmp_path / 'r.html')
    assert code == DAMAGED
    lines = err.splitlines()
    assert len(lines) == 2
    assert '1 frame of /camera/image_raw without a result, the first is number 3:' in lines[0]
    assert "number 5: image encoding '32FC1' is not supported" in lines[1]
    assert len(kit.read(tmp_path / 'out.mcap')['/videomt/tracks']) == 8
    assert 'frame 3 of /camera/image_raw' in (tmp_path / 'r.html').read_text()


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (('{drive}', '{out}', '--topics', '/nope'),
     '{drive} has no topic /nope; its image topics are /camera/image_raw'),
    (('{drive}', '{out}', '--topics', '/chatter'),
     '{drive}: topic /chatter is a std_msgs/msg/String; expected one of '
     'sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage'),
    (('nowhere.mcap', '{out}'), 'nowhere.mcap does not exist'),
    (('{drive}', '{drive}/drive.mcap'),
     '{drive}/drive.mcap would be written over or into the recording {drive}'),
    (('{drive}', '{there}'), '{there} exists already; replace it with --overwrite'),
    (('{drive}', '{out}', '--csv', '{out}'), 'two outputs have one name: {out}, {out}'),
    (('{drive}', '/proc/x/out.mcap'),
     '/proc/x/out.mcap cannot be written: [Errno 2] No such file or directory'),
    (('{drive}', 'out.mcap', '--storage', 'sqlite3'),
     'out.mcap is the name of a file of storage mcap, not sqlite3'),
    (('{drive}', '{drive}', '{out}'), 'several recordings are work for --ray local'),
    (('{drive}', '{out}', '--start-score', '2'), 'start_score is 2.0: expected 0 to 1'),
    (('{drive}', '{out}', '--classes', 'elk'),
     "class 'elk' is not one of the network's; it knows red, green, blue"),
    (('{drive}', '{out}', '--truth', '{drive}'), '--truth is for the report: give --html too')])
def test_one_line_says_what_is_wrong(drive, tmp_path, bag, arguments, sentence):
    if arguments[1].startswith('/proc') and os.geteuid():
        pytest.skip('says something else where /proc is not for us')
    there = tmp_path / 'there.mcap'
    there.touch()
    names = {'drive': drive, 'out': tmp_path / 'out' / 'out.mcap', 'there': there}
    code, out, err = bag(*(word.format(**names) for word in arguments))
    assert (code, out) == (FAILED, '')
    if not arguments[1].startswith('/proc'):
        assert err == f'videomt_bag: {sentence.format(**names)}\n'
    assert err.count('\n') == 1 and err.startswith('videomt_bag: ')
    assert not (tmp_path / 'out').exists()
    assert {path.name for path in tmp_path.iterdir()} == {'drive', 'there.mcap'}


def test_only_a_recording_is_replaced(drive, tmp_path, bag, kit):
    out = tmp_path / 'out'
    assert bag(drive, out)[0] == DONE
    assert bag(drive, out, '--overwrite', '--every', '2')[0] == DONE
    assert len(kit.read(out)['/videomt/tracks']) == 12
    (out / 'thesis.tex').touch()
    code, _, err = bag(drive, out, '--overwrite')
    assert code == FAILED and err.count('\n') == 1
    assert f'{out} is a folder that holds thesis.tex' in err
    assert (out / 'thesis.tex').exists() and (out / 'metadata.yaml').exists()


def test_weights_that_are_none(drive, tmp_path, bag):
    code, _, err = bag(drive, tmp_path / 'out.mcap', checkpoint=tmp_path)
    assert code == FAILED and err.count('\n') == 1 and str(tmp_path) in err


@pytest.mark.parametrize('name', ['out.mcap', 'out.db3'])
def test_a_full_disk_is_told_in_one_line(scene, tmp_path, colours, kit, name):
    """A limit on the size of files stands for the disk: writing fails in the same places."""
    noise = scene().camera()
    kind, messages = noise.topics['/camera/image_raw']
    pictures = np.random.default_rng(0).integers(0, 256, (24, 96, 128, 3), dtype=np.uint8)
    noise.topics['/camera/image_raw'] = (kind, [
        (time, kit.image(picture, time))
        for (time, _), picture in zip(messages, pictures, strict=True)])
    drive = noise.write(tmp_path / 'drive')

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    done = subprocess.run(
        [sys.executable, '-m', 'videomt_ros.tools.bag', drive, tmp_path / 'out' / name,
         '--merge', '--checkpoint', colours, '--engine', 'eager', '--workers', '1'],
        capture_output=True, text=True, preexec_fn=limit, timeout=120)
    assert done.returncode == FAILED, done.stderr
    assert done.stderr.count('\n') == 1 and 'cannot be written' in done.stderr
    assert not (tmp_path / 'out' / name).exists()


def test_without_any_ros(drive, tmp_path, colours):
    """Block every ROS module as if it were not installed; our messages are known all the same."""
    script = (
        'import sys\n'
        'class Block:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        if name.split(".")[0] in {"rclpy", "sensor_msgs", "std_msgs", "geometry_msgs", '
        '"builtin_interfaces", "ament_index_python"} or name.startswith("videomt_ros.msg"):\n'
        '            raise ModuleNotFoundError(name)\n'
        'sys.meta_path.insert(0, Block())\n'
        'from videomt_ros.tools.bag import main\n'
        'sys.exit(main(sys.argv[1:]))\n')
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('AMENT', 'ROS'))}
    done = subprocess.run(
        [sys.executable, '-c', script, drive, tmp_path / 'out.mcap', '--engine', 'eager',
         '--workers', '1', '--checkpoint', colours, *map(str, everything(tmp_path))],
        capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == DONE, done.stderr
    assert (tmp_path / 'out.mcap').exists() and (tmp_path / 'html.html').exists()


def test_parts_of_a_recording(drive, tmp_path, bag, kit):
    def stamps(*options):
        path = tmp_path / 'out.mcap'
        assert bag(drive, path, '--overwrite', *options)[0] == DONE
        return [(time - kit.start) // kit.step
                for time, _ in kit.read(path)['/videomt/tracks']]
    assert stamps('--start', '0.5') == list(range(5, 24))
    assert stamps('--duration', '1.0') == list(range(10))
    assert stamps('--every', '5') == [0, 5, 10, 15, 20]
    assert stamps('--start', '0.5', '--duration', '1.0', '--every', '3') == [5, 8, 11, 14]
    assert stamps('--start', '99') == []


def test_several_cameras_in_one_pass(scene, tmp_path, bag, kit):
    folder = (scene().camera('/left/image_raw').compressed_camera(
        '/right/image_raw/compressed', offset=16, delay=3).texts()
        .camera('/left/depth/image_raw', frames=4).compressed_camera('/left/image_raw/compressed')
        .empty('/idle/image_raw', 'sensor_msgs/msg/Image').write(tmp_path / 'drive'))
    code, _, err = bag(folder, tmp_path / 'out')
    assert code == DONE
    assert sorted(err.splitlines()) == [
        'videomt_bag: /idle/image_raw is left out: it has no messages',
        'videomt_bag: /left/depth/image_raw is left out: its name says depth',
        'videomt_bag: /left/image_raw/compressed is left out: it repeats /left/image_raw']
    result = kit.read(tmp_path / 'out')
    assert set(result) == {'/videomt/left/tracks', '/videomt/left/mask', '/videomt/right/tracks',
                           '/videomt/right/mask'}
    for side, offset in (('left', 0), ('right', 16)):
        boxes = [{track.class_name: track.box for track in message.tracks if track.area}
                 for _, message in result[f'/videomt/{side}/tracks']]
        assert [box['red'].x_offset for box in boxes] == [
            16 * (i // 4 % 5) + offset for i in range(24)]
    code, _, err = bag(folder, tmp_path / 'one.mcap', '--topics', '/left/depth/image_raw')
    assert (code, err) == (DONE, '')
    assert len(kit.read(tmp_path / 'one.mcap')['/videomt/tracks']) == 4


def test_a_recording_without_frames(scene, tmp_path, bag, kit):
    folder = scene().empty('/camera/image_raw', 'sensor_msgs/msg/Image').texts().write(
        tmp_path / 'drive')
    code, out, err = bag(folder, tmp_path / 'out.mcap', '--html', tmp_path / 'r.html', '--video',
                         tmp_path / 'v.mp4', '--ytvis', tmp_path / 'y.json')
    assert (code, err) == (DONE, '') and out.startswith('0 frames of /camera/image_raw')
    assert kit.read(tmp_path / 'out.mcap') == {'/videomt/tracks': [], '/videomt/mask': []}
    assert json.loads((tmp_path / 'y.json').read_text())['annotations'] == []
    assert not (tmp_path / 'v.mp4').exists(), 'a film of no pictures is none'
    folder = scene().texts().write(tmp_path / 'mute')
    code, _, err = bag(folder, tmp_path / 'mute.mcap')
    assert code == FAILED
    assert err == f'videomt_bag: {folder} has no camera; it has no image topic, only /chatter\n'


@pytest.mark.parametrize('parts', ['all', 'main'])
def test_it_is_what_the_segmenter_sees_live(parts, restless, lively, tmp_path, bag, kit):
    """Frame by frame the same bits; in batches the same tracks, up to the rounding of sums."""
    segmenter = VideoSegmenter.from_pretrained(
        str(lively), device='cpu', precision='fp32', engine='eager', start_score=0.1,
        keep_score=0.05, max_lost=0.5, mask_parts=parts)
    live = []
    for time, message in kit.read(restless)['/left/image_raw']:
        picture = message.data.reshape(message.height, message.width, 3)
        live.append(segmenter.process(picture, (time - kit.start) / 1e9, frame_id='eye'))
    for batch, tolerance in ((1, 0), (8, 1e-4)):
        path = tmp_path / f'batch{batch}.mcap'
        assert bag(restless, path, '--topics', '/left/image_raw', '--batch', batch, *LOOSE,
                   '--mask-parts', parts, checkpoint=lively)[0] == DONE
        result = kit.read(path)
        assert len(live) == len(result['/videomt/tracks'])
        seen = 0
        for frame, (_, tracks), (_, mask) in zip(
                live, result['/videomt/tracks'], result['/videomt/mask'], strict=True):
            seen += len(tracks.tracks)
            assert [(t.track_id, t.state, t.class_id, t.age, t.area) for t in tracks.tracks] == [
                (i.track_id, i.state, i.class_id, i.age, i.area) for i in frame.instances]
            assert [t.score for t in tracks.tracks] == pytest.approx(
                [float(np.float32(i.score)) for i in frame.instances], abs=tolerance, rel=0)
            labels = mask.labels.data.reshape(mask.labels.height, mask.labels.width)
            assert (labels != frame.label_map).mean() < 1e-3
        # Random masks lie on each other: where no two may be in one place, it is one a frame.
        assert seen > 80 if parts == 'all' else seen == 80


def test_the_work_of_a_failed_start_is_not_left_behind(drive, tmp_path, bag, monkeypatch):
    monkeypatch.setattr(pipeline.Pipeline, '_step', lambda self, window: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bag(drive, tmp_path / 'out.mcap')
    assert {path.name for path in tmp_path.iterdir()} == {'drive'}


def test_everything_in_one_thread(drive, tmp_path, colours, kit):
    from videomt_ros.tools.bag import main
    path = tmp_path / 'out.mcap'
    assert main([str(drive), str(path), '--checkpoint', str(colours), '--workers', '0',
                 '--engine', 'eager', '--batch', '1', '--quiet']) == DONE
    assert len(kit.read(path)['/videomt/tracks']) == 24


def test_progress_is_told_where_there_is_no_terminal(drive, tmp_path, bag, monkeypatch):
    monkeypatch.setattr('videomt_ros.tools.bags.progress._LINE_SECONDS', 0.0)
    code, _, err = bag(drive, tmp_path / 'out.mcap', '--batch', '6')
    lines = err.splitlines()
    assert code == DONE and len(lines) == 4
    assert lines[-1].startswith('100%, 24 frames, ') and lines[-1].endswith(' left')
    assert 'frames/s' in lines[0]


def test_help(capsys):
    from videomt_ros.tools.bag import main
    with pytest.raises(SystemExit) as end:
        main(['--help'])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert all(f'--{kind} FILE' in told for kind in ALL_FILES)


def test_options_may_stand_anywhere(drive, tmp_path, bag):
    path = Path(tmp_path / 'out.mcap')
    assert bag('--quiet', drive, '--every', '4', path)[0] == DONE
    assert path.exists()
