"""The player, in a process of its own, sends what was recorded in the rhythm of the recording."""

import signal
import time

from harness import own_domain, Probe, Process, wait_until
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from recordings import frames, IMAGE, record
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from videomt_ros.tools.play import main, pause_after


@pytest.fixture
def domain():
    with own_domain() as number:
        yield number


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def play(domain):
    """Give a function that starts the player."""
    processes = []

    def start(*arguments):
        processes.append(Process(['-m', 'videomt_ros.tools.play', *arguments], domain))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(autouse=True)
def keep_signals():
    """Take back what a player in this process does to signals."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def arrivals(probe, topic):
    """Subscribe; gives the list that fills with (time of arrival, message)."""
    got = []
    probe.node.create_subscription(
        Image, topic, lambda message: got.append((time.monotonic(), message)), 50)
    return got


def test_messages_come_as_recorded_in_their_rhythm(probe, play, tmp_path):
    images = frames(12, period=0.2)
    got = arrivals(probe, IMAGE)
    latched = probe.listen(Header, '/once', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    player = play(record(tmp_path / 'bag', images), '--topics', IMAGE, '/once', '--wait', '30')
    probe.wait(lambda: len(got) == 12 and latched, 'all messages')
    assert [message for _, message in got] == images
    assert latched[0].frame_id == 'latched'
    assert got[-1][0] - got[0][0] == pytest.approx(11 * 0.2, abs=0.4)
    assert player.end() == 0
    assert player.find('played 13 messages')


def test_rate_topics_clock_and_a_single_file(probe, play, tmp_path):
    images = frames(20, period=0.2)
    file = next(record(tmp_path / 'bag', images).glob('*.mcap'))
    got, clock = arrivals(probe, '/elsewhere'), probe.listen(Clock, '/clock', 50)
    player = play(
        file, '--rate', '4', '--clock', '--topics', IMAGE, '--wait', '30',
        '--ros-args', '-r', f'{IMAGE}:=/elsewhere')
    probe.wait(lambda: len(got) == 20, 'all images')
    assert got[-1][0] - got[0][0] == pytest.approx(19 * 0.2 / 4, abs=0.4)
    probe.wait(lambda: clock and clock[-1].clock == images[-1].header.stamp, 'the last clock')
    assert player.end() == 0 and player.find('played 20 messages')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_foreign_types_are_left_out_and_a_loop_ends_with_a_signal(probe, play, tmp_path, number):
    images = frames(3)
    got = arrivals(probe, IMAGE)
    player = play(record(tmp_path / 'bag', images), '--loop')
    player.wait_for("/foreign is not played: No module named 'nowhere_msgs'")
    probe.wait(lambda: sum(m == images[0] for _, m in got) >= 2, 'the second round')
    player.send(number)
    assert player.end() == 0
    assert not player.find('Traceback')


def test_a_loop_keeps_the_rhythm_where_it_begins_again(probe, play, tmp_path):
    images = frames(3, period=0.4)
    got = arrivals(probe, IMAGE)
    # The other topics have messages too, which do not make the pause shorter.
    play(record(tmp_path / 'bag', images), '--loop', '--wait', '30', '--topics', IMAGE, '/once')
    probe.listen(Header, '/once', 10)
    probe.wait(lambda: len(got) >= 7, 'the third round')
    assert [message for _, message in got[:7]] == [*images, *images, images[0]]
    assert 6 * 0.4 - 0.1 < got[6][0] - got[0][0] < 6 * 0.4 + 2


def test_a_loop_of_one_message_does_not_flood(probe, play, tmp_path):
    got = probe.listen(Header, '/once', 1000)
    play(record(tmp_path / 'bag', frames(1)), '--loop', '--topics', '/once', '--wait', '30')
    probe.wait(lambda: got, 'the message')
    before = len(got)
    probe.spin(1)
    assert 1 <= len(got) - before <= 12


def test_a_loop_without_any_message_ends_in_one_line(play, tmp_path):
    bag = tmp_path / 'bag'
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection(
            '/map', 'std_msgs/msg/Header', typestore=get_typestore(Stores.LATEST))
    player = play(bag, '--loop', '--topics', '/map')
    wait_until(lambda: player.poll() is not None, 'the end')
    assert player.end() == 1
    assert player.lines == [f'videomt_play: {bag}: no message on /map, so nothing to repeat']


@pytest.mark.parametrize(('span', 'count', 'pause'), [
    (4, 5, 1), (4, 401, 0.01), (0, 1, 0.1), (0, 2, 0.1), (0.04, 3, 0.06), (0, 0, 0.1)])
def test_the_pause_before_the_next_round(span, count, pause):
    assert pause_after(span, count) == pytest.approx(pause)


def test_mistakes_are_told_in_one_line(tmp_path, capfd):
    bag = record(tmp_path / 'bag', frames(1))
    cases = [
        ([tmp_path / 'none'], 'none'),
        ([bag, '--topics', '/other'], 'no topic /other; it has /camera/image_raw'),
        ([bag, '--topics', '/foreign'], 'none of its message types is installed')]
    for arguments, expected in cases:
        assert main([str(word) for word in arguments]) == 1
        errors = [
            line for line in capfd.readouterr().err.splitlines() if 'is not played' not in line]
        assert len(errors) == 1 and expected in errors[0], errors
