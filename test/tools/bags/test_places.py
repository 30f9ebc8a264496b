"""Positions in what is made of recordings: which depth a frame gets, and in which frame it is."""

import csv

import numpy as np
import pytest
from videomt_ros.tools.bags.errors import DONE, FAILED

FOCAL = 100.0
HEIGHT, WIDTH = 96, 128
DEPTH, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
TRANSFORMS = 'tf2_msgs/msg/TFMessage'
GREEN = (80, 64)  # left upper pixel of the square of 32x32 that does not move
FRAMES = 8


def distance(number):
    """Give the distance of everything in a frame, which tells its depth from all others."""
    return 1 + number / 10


@pytest.fixture
def rig(scene, kit):
    """Give a class of scenes with depth, calibration and transforms."""
    class Rig(scene):

        def depth(self, topic, frame_id='eye', late=0, off=0, encoding='16UC1', scale=1.0):
            """Record depth `late` ns after its image, its stamp `off` ns from the image's."""
            def message(number):
                metres = np.full((HEIGHT, WIDTH), distance(number) * scale)
                pixels = np.round(metres * 1000).astype('<u2') if encoding == '16UC1' else \
                    metres.astype('<f4')
                stamp = kit.start + number * kit.step
                return stamp + late, kit.image(pixels, stamp + off, encoding, frame_id)
            self.topics[topic] = (DEPTH, [message(number) for number in range(FRAMES)])
            return self

        def info(self, topic, frame_id='eye', focal=FOCAL):
            k = [focal, 0, WIDTH / 2 - 0.5, 0, focal, HEIGHT / 2 - 0.5, 0, 0, 1]
            roi = kit.new('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                          width=0, do_rectify=False)
            self.put(topic, INFO, kit.start, kit.new(
                INFO, header=kit.header(kit.start, frame_id), height=HEIGHT, width=WIDTH,
                distortion_model='', d=np.zeros(0), k=np.array(k, float), r=np.zeros(9),
                p=np.zeros(12), binning_x=0, binning_y=0, roi=roi))
            return self

        def transform(self, topic, time, parent, child, place, quaternion=(0, 0, 0, 1)):
            self.put(topic, TRANSFORMS, time, kit.new(TRANSFORMS, transforms=[kit.new(
                'geometry_msgs/msg/TransformStamped', header=kit.header(time, parent),
                child_frame_id=child, transform=kit.new(
                    'geometry_msgs/msg/Transform',
                    translation=kit.new('geometry_msgs/msg/Vector3', **dict(zip(
                        'xyz', map(float, place), strict=True))),
                    rotation=kit.new('geometry_msgs/msg/Quaternion', **dict(zip(
                        'xyzw', map(float, quaternion), strict=True)))))]))
            return self

        def put(self, topic, kind, time, message):
            messages = self.topics.setdefault(topic, (kind, []))[1]
            messages.append((time, bytes(kit.store.serialize_cdr(message, kind))))
    return Rig


@pytest.fixture
def rgbd(rig):
    """Give a colour camera with registered depth."""
    return rig().camera('/camera/color/image_raw', FRAMES).depth(
        '/camera/aligned_depth_to_color/image_raw').info('/camera/color/camera_info')


@pytest.fixture
def placed(tmp_path, bag, kit):
    """Give a function that runs over a scene: TrackArrays by topic, notes, exit code."""
    def run(scene, *options, out='out'):
        folder = tmp_path / 'drive'
        if not folder.exists():
            scene.write(folder)
        code, _, err = bag(folder, tmp_path / out, '--overwrite', '--quiet', *options)
        assert code == DONE, err
        found = kit.read(tmp_path / out)
        return ({name: [message for _, message in messages] for name, messages in found.items()
                 if name.endswith('tracks')}, err)
    return run


def middle(number, x, y):
    """Give the middle of a square of 32x32 pixels in a frame, in the optical frame."""
    across, down = x + 16 - WIDTH / 2, y + 16 - HEIGHT / 2
    return np.array([across / FOCAL, down / FOCAL, 1]) * distance(number)


def point(message):
    return np.array([message.x, message.y, message.z])


def check(arrays, expected, frames=range(FRAMES)):
    """See that each frame's green square is where it is expected."""
    assert len(arrays) == len(frames)
    for number, array in zip(frames, arrays, strict=True):
        track, = (each for each in array.tracks if each.class_name == 'green')
        assert track.has_position, number
        np.testing.assert_allclose(point(track.position), expected(number), atol=0.02)


def green(number):
    return middle(number, *GREEN)


def without(arrays):
    return not any(track.has_position for array in arrays for track in array.tracks)


@pytest.mark.parametrize('how', [
    {}, {'late': 5_000_000, 'off': 5_000_000}, {'late': 350_000_000, 'off': -15_000_000},
    {'late': -250_000_000}, {'encoding': '32FC1'}],
    ids=['together', 'after', 'much later', 'before', 'metres'])
def test_each_frame_gets_its_own_depth(rgbd, placed, tmp_path, how):
    rgbd.depth('/camera/aligned_depth_to_color/image_raw', **how)
    found, notes = placed(rgbd, '--csv', tmp_path / 'tracks.csv')
    check(found['/videomt/tracks'], green)
    assert 'no positions' not in notes
    with (tmp_path / 'tracks.csv').open() as file:
        rows = list(csv.DictReader(file))
    tracks = [track for array in found['/videomt/tracks'] for track in array.tracks]
    assert len(rows) == len(tracks) >= 2 * FRAMES  # the red square is there as well
    for row, track in zip(rows, tracks, strict=True):
        for name in ('position', 'size'):
            np.testing.assert_allclose([float(row[f'{name}_{axis}']) for axis in 'xyz'],
                                       point(getattr(track, name)), atol=1e-6)
    size = point(next(each for each in tracks if each.class_name == 'green').size)
    np.testing.assert_allclose(size[:2], 0.32, atol=0.05)


def test_what_is_not_seen_has_no_position(rgbd, placed, tmp_path, kit):
    kind, messages = rgbd.topics['/camera/color/image_raw']
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    messages[5:] = [(time, kit.image(black, time)) for time, _ in messages[5:]]
    arrays = placed(rgbd, '--csv', tmp_path / 't.csv')[0]['/videomt/tracks']
    check(arrays[:5], green, range(5))
    assert arrays[6].tracks and without(arrays[5:])
    assert not any(point(track.position).any() for track in arrays[6].tracks)
    with (tmp_path / 't.csv').open() as file:
        lost = [row for row in csv.DictReader(file) if row['state'] == 'LOST']
    assert lost and all(row['position_z'] == row['size_x'] == '' for row in lost)


def test_positions_in_another_frame(rgbd, placed, kit):
    """The robot drives along x; its camera looks along x, half a metre above the ground."""
    rgbd.transform('/tf_static', kit.start, 'base', 'eye', (0.1, 0, 0.5), (-.5, .5, -.5, .5))
    for number in range(-1, FRAMES + 1):  # between the images
        rgbd.transform('/tf', kit.start + number * kit.step + kit.step // 2, 'map', 'base',
                       (number + 0.5, 0, 0))

    def in_map(number):
        x, y, z = green(number)
        return np.array([number + 0.1 + z, -x, 0.5 - y])
    check(placed(rgbd, '--target-frame', 'map', out='whole')[0]['/videomt/tracks'], in_map)
    # What was said once, at the beginning, holds for a part as well.
    check(placed(rgbd, '--target-frame', 'map', '--start', 0.5, out='part')[0]['/videomt/tracks'],
          in_map, range(5, FRAMES))
    found, notes = placed(rgbd, '--target-frame', 'moon', out='moon')
    assert without(found['/videomt/tracks'])
    assert "no positions: frame 'moon' is not in /tf or /tf_static" in notes


def test_each_camera_has_the_depth_of_its_frame(rig, placed):
    found, notes = placed(
        rig().camera('/left/image_raw', FRAMES, frame_id='l').info('/left/camera_info', 'l')
        .compressed_camera('/right/image_raw/compressed', FRAMES, delay=1, frame_id='r')
        .info('/right/camera_info', 'r', 2 * FOCAL)
        .camera('/blind/image_raw', FRAMES, delay=2, frame_id='b')
        .depth('/left/depth', 'l').depth('/right/depth', 'r', scale=2.0))
    check(found['/videomt/left/tracks'], green)
    # Twice as far through twice the focal length.
    check(found['/videomt/right/tracks'], lambda number: green(number) * (1, 1, 2))
    assert len(found['/videomt/blind/tracks']) == FRAMES
    assert without(found['/videomt/blind/tracks']) and 'no positions' not in notes


def test_depth_that_is_not_clear_is_to_be_chosen(rgbd, placed, tmp_path, bag):
    rgbd.depth('/camera/other_depth', scale=3.0)
    found, notes = placed(rgbd)
    assert without(found['/videomt/tracks'])
    assert ('/camera/color/image_raw: no positions, for /camera/aligned_depth_to_color/image_raw '
            "and /camera/other_depth are depth in its frame 'eye'; choose with --depth") in notes
    found, notes = placed(rgbd, '--depth', '/camera/other_depth', out='other')
    check(found['/videomt/tracks'], lambda number: 3 * green(number))
    assert 'no positions' not in notes
    code, _, err = bag(tmp_path / 'drive', tmp_path / 'no.mcap', '--quiet', '--depth', '/nowhere')
    assert code == FAILED and err.count('\n') == 1
    assert f'has no depth topic /nowhere; expected {DEPTH}' in err
    code, _, err = bag(tmp_path / 'drive', tmp_path / 'no.mcap', '--quiet', '--depth',
                       '/camera/color/image_raw')
    assert code == FAILED and "depth image of encoding 'rgb8'" in err and err.count('\n') == 1


def test_depth_of_another_frame_is_taken_when_it_is_asked_for(rig, placed):
    apart = rig().camera('/camera/color/image_raw', FRAMES).info('/camera/color/camera_info')
    apart.depth('/camera/depth/image_raw', 'other')
    found, notes = placed(apart)
    assert without(found['/videomt/tracks'])
    assert 'no positions, for /camera/depth/image_raw is in the frame of no camera' in notes
    found, notes = placed(apart, '--depth', '/camera/depth/image_raw', out='asked')
    check(found['/videomt/tracks'], green)
    assert "the depth is in frame 'other', the image in 'eye'" in notes


def test_a_calibration_elsewhere_is_known_by_its_frame(rgbd, placed):
    rgbd.topics['/calibration'] = rgbd.topics.pop('/camera/color/camera_info')
    rgbd.info('/else', 'elsewhere', 3 * FOCAL)
    check(placed(rgbd)[0]['/videomt/tracks'], green)


def test_what_is_missing_is_said_once(rgbd, placed):
    rgbd.topics.pop('/camera/color/camera_info')
    kind, messages = rgbd.topics['/camera/aligned_depth_to_color/image_raw']
    messages[3] = (messages[3][0], messages[3][1][:100])
    found, notes = placed(rgbd)
    assert without(found['/videomt/tracks'])
    assert notes.count('no positions: no camera_info has come') == 1
    assert notes.count('a message of /camera/aligned_depth_to_color/image_raw cannot be read') == 1


def test_nothing_is_placed_on_request(rgbd, placed):
    assert without(placed(rgbd, '--no-positions')[0]['/videomt/tracks'])


def test_the_same_recording_gives_the_same_bytes(rgbd, placed, tmp_path):
    files = []
    for folder in ('first', 'second'):  # the name of a recording is in its bytes
        placed(rgbd, '--merge', out=f'{folder}/out')
        files.append((tmp_path / folder / 'out/out.mcap').read_bytes())
    assert len(files[0]) > 1000 and files[0] == files[1]
