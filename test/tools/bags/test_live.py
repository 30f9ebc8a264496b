"""The node, fed slowly over DDS, says of a recording what videomt_bag says of it."""

import pytest
from rosbags.rosbag2 import Reader

pytest.importorskip('rclpy')
from harness import own_domain, Probe, Process  # noqa: E402, I100
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from videomt_ros.msg import TrackArray  # noqa: E402
from videomt_ros.tools.bags.messages import typestore  # noqa: E402

LOOSE = {'start_score': 0.3, 'keep_score': 0.2, 'max_lost': 0.5}


@pytest.fixture
def answers(drive, lively):
    """Give what the node answers to each image of the recording."""
    parameters = {'checkpoint': lively, 'engine': 'eager', 'publish_mask_runs': 'true', **LOOSE}
    with own_domain() as domain:
        node = Process(
            ['-m', 'videomt_ros.ros.node', '--ros-args', *(
                word for name, value in parameters.items()
                for word in ('-p', f'{name}:={value}'))], domain)
        probe = Probe(domain)
        try:
            node.wait_for('Configured')
            got = probe.listen(TrackArray, 'videomt/tracks')
            camera = probe.publisher('image')
            with Reader(drive) as reader:
                images = [data for connection, _, data in reader.messages()
                          if connection.topic == '/camera/image_raw']
            for data in images:  # one is answered before the next one comes
                probe.ask(camera, deserialize_message(data, Image), got)
        finally:
            probe.close()
            node.kill()
    return [typestore().deserialize_cdr(serialize_message(each), 'videomt_ros/msg/TrackArray')
            for each in got]


def described(tracks, digits=None):
    return [(t.track_id, t.state, t.class_id, t.age, t.mask_value, t.area, t.box,
             t.score if digits is None else round(t.score, digits), t.first_seen, t.last_seen,
             t.mask_counts.tolist()) for t in tracks.tracks]


def test_the_live_node_gives_the_same_tracks(drive, lively, tmp_path, bag, kit, answers):
    options = [word for name, value in LOOSE.items()
               for word in (f'--{name.replace("_", "-")}', value)]
    for batch, digits in ((1, None), (4, 4)):
        path = tmp_path / f'{batch}.mcap'
        assert bag(drive, path, '--batch', batch, *options, checkpoint=lively)[0] == 0
        recorded = [message for _, message in kit.read(path)['/videomt/tracks']]
        assert [kit.stamp_of(each) for each in recorded] == [
            kit.stamp_of(each) for each in answers]
        assert [each.epoch for each in recorded] == [each.epoch for each in answers]
        assert sum(len(each.tracks) for each in recorded) > 20
        for live, offline in zip(answers, recorded, strict=True):
            assert described(live, digits) == described(offline, digits)
