"""Positions out of depth, over DDS: depth in time, late and missing, and frames that move."""

import math
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from harness import header, image_of
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from transforms_process import CAMERA_HEIGHT, LAST, TURN
from videomt_ros.msg import Track, TrackArray
from visualization_msgs.msg import Marker, MarkerArray

HERE = Path(__file__).parent
RED, BLUE = (32, 16, 32, 32), (80, 48, 32, 32)
FOCAL, HEIGHT, WIDTH = 100.0, 96, 128
WALL = 5.0
REQUEST = {'tracks': TrackArray, 'markers': MarkerArray, 'points': PointCloud2}


def calibration():
    info = CameraInfo(header=header(0), height=HEIGHT, width=WIDTH)
    info.k = [FOCAL, 0., WIDTH / 2 - 0.5, 0., FOCAL, HEIGHT / 2 - 0.5, 0., 0., 1.]
    return info


def depth_of(seconds, shape=(HEIGHT, WIDTH), encoding='16UC1', frame_id='camera_optical_frame',
             **distances):
    """Make a depth image: squares by name at their distance before a wall."""
    metres = np.full((HEIGHT, WIDTH), WALL)
    for (x, y, w, h), distance in zip((RED, BLUE), (distances.get('red'), distances.get('blue')),
                                      strict=True):
        if distance:
            metres[y:y + h, x:x + w] = distance
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in
                     zip(shape, metres.shape, strict=True))
    metres = metres[rows.astype(int)[:, None], columns.astype(int)]
    pixels = (np.round(metres * 1000).astype('<u2') if encoding == '16UC1'
              else metres.astype('<f4'))
    image = Image(header=header(seconds, frame_id), height=shape[0], width=shape[1],
                  encoding=encoding, step=pixels[:1].nbytes)
    image.data.frombytes(pixels.tobytes())
    return image


def middle(square, distance):
    x, y, w, h = square
    return np.array([(x + (w - WIDTH) / 2) / FOCAL, (y + (h - HEIGHT) / 2) / FOCAL, 1]) * distance


def array(triple):
    return np.array([triple.x, triple.y, triple.z])


class Sight:
    """The probe as a depth camera; it listens to everything."""

    def __init__(self, probe, camera='', calibrated=True):
        inside, outside = (f'{camera}/', f'videomt/{camera}/') if camera else ('', 'videomt/')
        self.probe = probe
        self.got = {name: probe.listen(kind, outside + name) for name, kind in REQUEST.items()}
        self.image = probe.publisher(f'{inside}image')
        self.depth = probe.publisher(f'{inside}depth', qos_profile_sensor_data)
        if calibrated:
            self.info = probe.publisher(f'{inside}camera_info', qos_profile_sensor_data,
                                        CameraInfo)
            self.info.publish(calibration())
        self.probe.wait(lambda: all(
            probe.node.count_publishers(outside + name) for name in REQUEST), 'the topics')
        self.probe.spin(0.8)

    def ask(self, seconds, depth=None, **squares):
        """Publish depth and image; gives the tracks by class name."""
        if depth is not None:
            self.depth.publish(depth)
            self.probe.spin(0.2)
        image = image_of(seconds, **(squares or {'red': RED}))
        answer = self.probe.ask(self.image, image, self.got['tracks'])
        assert answer.header == image.header
        return {track.class_name: track for track in answer.tracks}

    def wait_for(self, name, seconds):
        """Wait for the output of an image."""
        found = []

        def come():
            found[:] = [each for each in self.got[name] if stamp_of(each) == header(seconds).stamp]
            return found
        self.probe.wait(come, f'{name} of {seconds}')
        return found[-1]


def stamp_of(message):
    if isinstance(message, MarkerArray):
        return message.markers[0].header.stamp if message.markers else None
    return message.header.stamp


def check(track, square, distance, atol=0.02):
    assert track.has_position
    np.testing.assert_allclose(array(track.position), middle(square, distance), atol=atol)
    np.testing.assert_allclose(array(track.size), (distance * 0.32, distance * 0.32, 0), atol=0.06)


def check_none(track):
    assert not track.has_position
    assert not array(track.position).any() and not array(track.size).any()


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_positions_in_the_optical_frame(start_node, probe, encoding):
    node = start_node()
    sight = Sight(probe)
    check_none(sight.ask(0)['red'])
    found = sight.ask(1, depth_of(1, encoding=encoding, red=2.0, blue=1.5), red=RED, blue=BLUE)
    check(found['red'], RED, 2.0)
    check(found['blue'], BLUE, 1.5)
    # Half the resolution, twice, and one of another shape.
    for number, shape in enumerate([(48, 64), (192, 256), (72, 128)]):
        found = sight.ask(2 + number, depth_of(2 + number, shape, encoding, red=2.0))
        check(found['red'], RED, 2.0, atol=0.05)
    # An object whose depth is not measured has no position, the other has.
    nothing = depth_of(6, encoding=encoding, red=2.0)
    dtype = '<u2' if encoding == '16UC1' else '<f4'
    pixels = np.frombuffer(nothing.data, dtype).copy().reshape(HEIGHT, WIDTH)
    pixels[:, 70:] = 0 if encoding == '16UC1' else np.nan
    del nothing.data[:]
    nothing.data.frombytes(pixels.tobytes())
    found = sight.ask(6, nothing, red=RED, blue=BLUE)
    check(found['red'], RED, 2.0)
    check_none(found['blue'])
    assert not node.find('[ERROR]') and not node.find('Traceback')


def test_depth_that_is_late_or_missing_delays_nothing(start_node, probe):
    node = start_node()
    sight = Sight(probe)
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics')
    check(sight.ask(0, depth_of(0.01, red=2.0))['red'], RED, 2.0)
    # Late: the answer is there before the depth is sent.
    check_none(sight.ask(1)['red'])
    sight.depth.publish(depth_of(1, red=2.0))
    probe.spin(0.3)
    assert len(sight.got['tracks']) == 2, 'late depth gives no second answer'
    check_none(sight.ask(1.5)['red'])
    node.wait_for('no depth image has a stamp within depth_tolerance = 0.02 s')
    assert len(node.find('depth_tolerance')) == 1, 'told once'
    # In time again, and out of order.
    sight.depth.publish(depth_of(2, red=3.0))
    sight.depth.publish(depth_of(2.1, red=2.5))
    probe.spin(0.3)
    check(sight.ask(2.0)['red'], RED, 3.0, atol=0.04)
    check(sight.ask(2.1)['red'], RED, 2.5, atol=0.04)
    # What is no depth is told, and costs the positions alone.
    bad = depth_of(3, red=2.0)
    bad.encoding = 'rgb8'
    check_none(sight.ask(3, bad)['red'])
    node.wait_for("depth image of encoding 'rgb8'")
    probe.wait(lambda: diagnostics and any(
        value.key == 'positions' and "'rgb8'" in value.value
        for value in diagnostics[-1].status[0].values), 'the diagnostics')
    check(sight.ask(4, depth_of(4, red=2.0))['red'], RED, 2.0)
    # Depth of another frame may be unregistered.
    check(sight.ask(5, depth_of(5, frame_id='depth_frame', red=2.0))['red'], RED, 2.0)
    node.wait_for("the depth is in frame 'depth_frame'")


def test_calibration_is_missing(start_node, probe):
    node = start_node()
    sight = Sight(probe, calibrated=False)
    check_none(sight.ask(0, depth_of(0, red=2.0))['red'])
    node.wait_for('no camera_info has come')
    assert not sight.got['points']


def test_two_cameras_have_depth_of_their_own(start_node, probe):
    start_node(cameras='[front, rear]')
    front, rear = Sight(probe, 'front'), Sight(probe, 'rear')
    front.depth.publish(depth_of(0, red=2.0))
    check(rear.ask(0, depth_of(0, red=3.0))['red'], RED, 3.0, atol=0.04)
    check(front.ask(0)['red'], RED, 2.0)


def test_markers_until_the_track_ends(start_node, probe):
    node = start_node(max_lost=0.5)
    sight = Sight(probe)
    for seconds in (0, 0.05):  # a track that is seen in three frames can be lost
        sight.ask(seconds, depth_of(seconds, red=2.0, blue=1.5), red=RED, blue=BLUE)
    first = sight.wait_for('markers', 0).markers
    assert first[0].action == Marker.DELETEALL
    ids = {name: track.track_id for name, track in
           sight.ask(0.1, depth_of(0.1, red=2.0, blue=1.5), red=RED, blue=BLUE).items()}
    markers = {(m.ns, m.id): m for m in sight.wait_for('markers', 0.1).markers}
    assert set(markers) == {(ns, n) for ns in ('boxes', 'labels') for n in ids.values()}
    assert {m.action for m in markers.values()} == {Marker.ADD}
    box, label = markers['boxes', ids['red']], markers['labels', ids['red']]
    assert box.header == label.header == header(0.1)
    assert (box.type, label.type) == (Marker.CUBE, Marker.TEXT_VIEW_FACING)
    np.testing.assert_allclose(array(box.pose.position), middle(RED, 2.0), atol=0.02)
    np.testing.assert_allclose(array(box.scale), (0.64, 0.64, 0.01), atol=0.06)
    assert array(box.scale).min() > 0 and box.color.a > 0
    assert label.text.startswith(f'red #{ids["red"]} ')
    assert label.pose.position.y < box.pose.position.y - 0.3, 'above it, where y points down'
    # Without depth a box stays; a lost object's fades; an ended one's goes.
    sight.ask(0.2, red=RED)
    probe.wait(lambda: any(m.color.a == pytest.approx(0.15) for a in sight.got['markers']
                           for m in a.markers), 'a faded box')
    faded = [m for a in sight.got['markers'] for m in a.markers if m.text.endswith('(lost)')]
    assert [m.id for m in faded] == [ids['blue']]
    sight.ask(0.9, red=RED)
    gone = sight.wait_for('markers', 0.9).markers
    assert {(m.ns, m.id, m.action) for m in gone} == {
        (ns, ids['blue'], Marker.DELETE) for ns in ('boxes', 'labels')}
    # A reset ends all tracks.
    assert probe.call(Trigger, 'videomt/reset').success
    sight.ask(1.0, depth_of(1.0, red=2.0))
    after = sight.wait_for('markers', 1.0).markers
    assert {m.id for m in after if m.action == Marker.DELETE} == {ids['red']}
    assert {m.id for m in after if m.action == Marker.ADD} == {3}
    count = len(sight.got['markers'])
    assert node.stop() == 0
    probe.wait(lambda: len(sight.got['markers']) > count, 'a farewell')
    assert [m.action for m in sight.got['markers'][-1].markers] == [Marker.DELETEALL]


@pytest.mark.parametrize('background', [False, True])
def test_points_know_colour_and_track(start_node, probe, background):
    start_node(points_background=str(background).lower())
    sight = Sight(probe)
    depth = depth_of(1, red=2.0, blue=1.5)
    pixels = np.frombuffer(depth.data, '<u2').copy().reshape(HEIGHT, WIDTH)
    pixels[20] = 0  # a row is not measured
    del depth.data[:]
    depth.data.frombytes(pixels.tobytes())
    tracks = sight.ask(1, depth, red=RED, blue=BLUE)
    cloud = sight.wait_for('points', 1)
    assert cloud.header == header(1) and cloud.height == 1 and cloud.is_dense
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), ('rgb', 12, 7, 1), ('label', 16, 6, 1)]
    assert cloud.row_step == cloud.width * cloud.point_step == len(cloud.data)
    points = np.frombuffer(cloud.data, [(name, 'f4') for name in 'xyz'] + [
        ('rgb', 'u4'), ('label', 'u4')])
    ids = {name: track.track_id for name, track in tracks.items()}
    assert set(points['label']) == {*ids.values(), *([0] if background else [])}
    for name, distance, colour in (('red', 2.0, 0xff0000), ('blue', 1.5, 0x0000ff)):
        mine = points[points['label'] == ids[name]]
        missing = 32 if name == 'red' else 0
        assert mine.size == tracks[name].area - missing
        np.testing.assert_allclose(mine['z'], distance, atol=1e-3)
        assert set(mine['rgb']) == {colour}
        square = RED if name == 'red' else BLUE
        for axis, low, size in (('x', square[0], WIDTH), ('y', square[1], HEIGHT)):
            pixel = mine[axis] / mine['z'] * FOCAL + size / 2 - 0.5
            assert low - 0.01 < pixel.min() < low + 1 and low + 30 < pixel.max() < low + 31.01
    if background:
        assert points.size == HEIGHT * WIDTH - WIDTH
        assert np.isclose(points['z'][points['label'] == 0], WALL, atol=1e-3).mean() > 0.99


def expected_in_map(seconds, position):
    """Where a point of the optical frame is in the map, see transforms_process."""
    x, y, z = position
    forward, left, up = z, -x, CAMERA_HEIGHT - y
    angle = TURN * seconds
    return (seconds + forward * math.cos(angle) - left * math.sin(angle),
            forward * math.sin(angle) + left * math.cos(angle), up)


def test_positions_in_a_frame_that_moves(start, probe, checkpoint, stand_in):
    environment = stand_in('tf2_msgs')
    node = start('-m', 'videomt_ros.ros.node', '--ros-args', '-p', f'checkpoint:={checkpoint}',
                 '-p', 'engine:=eager', '-p', 'target_frame:=map', environment=environment)
    node.wait_for('Configured')
    sight = Sight(probe)
    check_none(sight.ask(0, depth_of(0, red=2.0))['red'])
    node.wait_for("frame 'camera_optical_frame' is not in /tf or /tf_static")
    robot = start(HERE / 'transforms_process.py', environment=environment)
    robot.wait_for('driven')
    probe.spin(0.5)
    # At a transform, between two, and shortly after the last.
    for seconds in (4.0, 4.05, 6.32, LAST):
        track = sight.ask(seconds, depth_of(seconds, red=2.0))['red']
        assert track.has_position, node.lines
        np.testing.assert_allclose(array(track.position),
                                   expected_in_map(seconds, middle(RED, 2.0)), atol=0.03)
        box = [m for m in sight.wait_for('markers', seconds).markers if m.ns == 'boxes'][-1]
        assert box.header.frame_id == 'map' and box.pose.position == track.position
        assert sight.wait_for('points', seconds).header == header(seconds)
    held = sight.ask(LAST + 0.08, depth_of(LAST + 0.08, red=2.0))['red']
    np.testing.assert_allclose(array(held.position), expected_in_map(LAST, middle(RED, 2.0)),
                               atol=0.03)
    check_none(sight.ask(LAST + 0.5, depth_of(LAST + 0.5, red=2.0))['red'])
    node.wait_for("where 'base_link' was in 'map' is known until 0.500 s before the image")
    assert node.stop() == 0


def test_target_frame_without_the_messages_of_transforms(start_node):
    try:
        import tf2_msgs  # noqa: F401
        pytest.skip('they are installed')
    except ImportError:
        pass
    node = start_node(ready=None, target_frame='map')
    assert node.end() == 1
    assert node.find('Cannot configure: the parameter target_frame needs the ROS package tf2_msgs')


def test_states_of_tracks_are_as_without_depth(start_node, probe):
    start_node()
    sight = Sight(probe)
    for number in range(4):
        track = sight.ask(number / 10, depth_of(number / 10, red=2.0))['red']
    assert (track.state, track.age, track.has_position) == (Track.STATE_TRACKED, 4, True)
