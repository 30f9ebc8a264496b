"""What RViz is told to show is what the node publishes, also from the recording of the demo."""

import numpy as np
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import Image, PointCloud2
from videomt_ros.msg import TrackArray
from videomt_ros.share import share_directory
from visualization_msgs.msg import Marker, MarkerArray
import yaml

TYPES = {'Image': 'sensor_msgs/msg/Image', 'MarkerArray': 'visualization_msgs/msg/MarkerArray',
         'PointCloud2': 'sensor_msgs/msg/PointCloud2'}
RECORDING = share_directory() / 'demo' / 'drive'
REMAPPED = {'image': '/camera/image_raw', 'depth': '/camera/depth/image_raw',
            'camera_info': '/camera/camera_info'}


def config():
    text = (share_directory() / 'config' / 'videomt.rviz').read_text()
    return yaml.safe_load(text)['Visualization Manager']


def displays():
    return {display['Topic']['Value']: display for display in config()['Displays']
            if 'Topic' in display}


def test_displays_show_what_the_node_publishes(start_node, probe):
    start_node()
    shown = displays()
    assert set(shown) == {f'/videomt/{name}' for name in (
        'overlay', 'mask_image', 'markers', 'points')}
    probe.wait(lambda: all(map(probe.node.count_publishers, shown)), 'the topics')
    published = dict(probe.node.get_topic_names_and_types())
    for topic, display in shown.items():
        assert display['Enabled'] and display['Value']
        package, kind = display['Class'].split('/')
        assert package == 'rviz_default_plugins' and published[topic] == [TYPES[kind]]
        offer, = probe.node.get_publishers_info_by_topic(topic)
        qos = offer.qos_profile
        assert display['Topic']['Durability Policy'] == 'Volatile' or (
            qos.durability == DurabilityPolicy.TRANSIENT_LOCAL)
        assert display['Topic']['Reliability Policy'] == 'Best Effort' or (
            qos.reliability == ReliabilityPolicy.RELIABLE)


def test_recording_of_the_demo_has_what_is_asked_for():
    with AnyReader([RECORDING]) as reader:
        assert set(REMAPPED.values()) <= {connection.topic for connection in reader.connections}
        frames = {name for connection, _, data in reader.messages()
                  if connection.topic in ('/tf', '/tf_static')
                  for transform in reader.deserialize(data, connection.msgtype).transforms
                  for name in (transform.header.frame_id, transform.child_frame_id)}
    assert config()['Global Options']['Fixed Frame'] in frames
    launch = (share_directory() / 'launch' / 'demo.launch.py').read_text()
    assert all(repr(topic) in launch for topic in REMAPPED.values())


def test_recording_of_the_demo_shows_boxes_and_points(start, start_node, probe):
    node = start_node(*(word for name, topic in REMAPPED.items()
                        for word in ('-r', f'{name}:={topic}')), checkpoint="''")
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    got = {topic: probe.listen(kind, topic) for topic, kind in {
        '/videomt/overlay': Image, '/videomt/mask_image': Image,
        '/videomt/markers': MarkerArray, '/videomt/points': PointCloud2}.items()}
    assert set(got) == set(displays())
    probe.wait(lambda: all(map(probe.node.count_publishers, got)), 'the topics')
    start('-m', 'videomt_ros.tools.play', RECORDING, '--loop', '--wait', '10')
    probe.wait(lambda: all(len(each) > 10 for each in got.values()), 'the outputs')
    placed = [track for message in tracks for track in message.tracks if track.has_position]
    seen = [track for message in tracks for track in message.tracks if track.area]
    assert len(placed) > 0.8 * len(seen) > 8, 'depth comes with nearly every image'
    distances = [np.linalg.norm((t.position.x, t.position.y, t.position.z)) for t in placed]
    assert 0.5 < np.median(distances) < 6.0
    boxes = [m for message in got['/videomt/markers'] for m in message.markers
             if m.action == Marker.ADD and m.type == Marker.CUBE]
    assert boxes and {m.id for m in boxes} <= {track.track_id for track in placed}
    assert any(cloud.width > 100 for cloud in got['/videomt/points'])
    assert not node.find('Traceback')
