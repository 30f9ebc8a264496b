"""A subscription follows its publishers, and says why nothing comes."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from harness import image_of
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from videomt_ros.msg import TrackArray
from videomt_ros.ros.qos import Offer, refused, reliability_to_ask

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RED = {'red': (32, 16, 32, 32)}


def offer(reliability):
    return Offer('/camera', 'sensor_msgs/msg/Image', reliability)


@pytest.mark.parametrize('setting,offered,asked,expected', [
    ('auto', [], 'best_effort', 'best_effort'),
    ('auto', [], 'reliable', 'reliable'),
    ('auto', ['reliable'], 'best_effort', 'reliable'),
    ('auto', ['best_effort'], 'reliable', 'best_effort'),
    ('auto', ['reliable', 'best_effort'], 'reliable', 'best_effort'),
    ('reliable', ['best_effort'], 'best_effort', 'reliable'),
    ('best_effort', ['reliable'], 'best_effort', 'best_effort'),
])
def test_what_is_asked(setting, offered, asked, expected):
    assert reliability_to_ask(setting, [offer(each) for each in offered], asked) == expected


def test_who_is_refused():
    both = [offer('reliable'), offer('best_effort')]
    assert refused(both, 'reliable') == both[1:]
    assert refused(both, 'best_effort') == []


def asked_reliability(probe, topic='/image'):
    found = probe.node.get_subscriptions_info_by_topic(topic)
    return [info.qos_profile.reliability for info in found]


@pytest.fixture
def active(host):
    """Give a function that makes an active node in this process."""

    def make(**parameters):
        node = host(**parameters)
        node.trigger_configure()
        node.trigger_activate()
        return node

    return make


def test_auto_follows_what_is_offered(probe, active):
    active()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    for number, profile in enumerate((RELIABLE, BEST_EFFORT, RELIABLE)):
        camera = probe.publisher('image', profile)
        probe.wait(lambda p=profile: asked_reliability(probe) == [p.reliability], 'the same offer')
        probe.spin(0.3)
        answer = probe.ask(camera, image_of(number, **RED), tracks)
        assert answer.tracks[0].age == number + 1, 'the memory survives'
        probe.node.destroy_publisher(camera)


def test_no_image_is_lost_or_doubled_while_it_changes(probe, active):
    """A stream from the first moment, while the subscription goes over to reliable."""
    active()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image', QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE))
    sent = [image_of(number / 50, **RED) for number in range(60)]
    for image in sent:
        camera.publish(image)
        end = time.monotonic() + 2.0  # a busy machine must not lose any by the depth of 1
        while time.monotonic() < end and not (tracks and tracks[-1].header == image.header):
            probe.spin(0.01)
    assert tracks[-1].header == sent[-1].header
    assert asked_reliability(probe) == [ReliabilityPolicy.RELIABLE]
    assert len({(a.header.stamp.sec, a.header.stamp.nanosec) for a in tracks}) == len(tracks)
    assert sum(1 + a.skipped for a in tracks) >= len(sent) - 1
    assert tracks[-1].epoch == 0


def test_qos_override_wins(probe, active):
    active(**{'qos_overrides./image.subscription.reliability': 'best_effort'})
    probe.publisher('image', RELIABLE)
    probe.spin(1.2)
    assert asked_reliability(probe) == [ReliabilityPolicy.BEST_EFFORT]


def test_qos_overrides_of_other_policies(probe, active):
    node = active(**{'qos_overrides./image.subscription.depth': 7,
                     'qos_overrides./videomt/mask.publisher.reliability': 'best_effort'})
    probe.publisher('image', RELIABLE)
    assert all(subscription.qos_profile.depth == 7 for subscription in node.subscriptions
               if subscription.topic_name == '/image')
    sent, = probe.node.get_publishers_info_by_topic('/videomt/mask')
    assert sent.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def complaint(probe, active, capfd, words, **parameters):
    """Start a node that gets no image; expect words in the log, once, and in the diagnostics."""
    active(image_timeout=0.3, **parameters)
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics')

    def told():
        return diagnostics and words[0] in diagnostics[-1].status[0].message

    probe.wait(told, lambda: f'{words[0]!r} in {diagnostics[-1:]}')
    probe.spin(1.2)
    status = diagnostics[-1].status[0]
    assert status.level == b'\1'
    logged = [line for line in capfd.readouterr().err.splitlines() if words[0] in line]
    assert len(logged) == 1 and '[WARN]' in logged[0]
    for word in words:
        assert word in status.message and word in logged[0]


def test_nobody_publishes(probe, active, capfd):
    complaint(probe, active, capfd, ['nobody publishes sensor_msgs/msg/Image', '/image'])


def test_mismatch_names_topic_offered_and_asked(probe, active, capfd):
    probe.node.create_publisher(Image, 'image', BEST_EFFORT)
    complaint(probe, active, capfd, [
        '/probe offers best_effort', '/image', 'reliable is asked', "to 'auto'"],
        reliability='reliable')


def test_silent_publisher(probe, active, capfd):
    probe.node.create_publisher(Image, 'image', BEST_EFFORT)
    complaint(probe, active, capfd, [
        '/probe is connected (best_effort), but no image has come', '/image', 'has stopped',
        'too large', 'PROFILES_FILE='])


def test_other_type(start_node, probe):
    """Not in one process: Fast DDS allows a topic but one type there."""
    node = start_node(image_timeout=0.3)
    probe.node.create_publisher(CompressedImage, 'image', RELIABLE)
    text = node.wait_for('/probe publishes sensor_msgs/msg/CompressedImage')
    assert 'expected sensor_msgs/msg/Image' in text and 'image_transport' in text


def test_images_that_come_again(probe, active, capfd):
    active(image_timeout=0.3)
    camera = probe.publisher('image', RELIABLE)
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    probe.spin(1.0)
    probe.ask(camera, image_of(0, **RED), tracks)
    probe.spin(0.1)
    for number in range(1, 8):
        camera.publish(image_of(number / 10, **RED))
        probe.spin(0.1)
    assert 'images come again' in capfd.readouterr().err
