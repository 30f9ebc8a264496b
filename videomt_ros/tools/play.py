"""
``videomt_play BAG``: play a recording into ROS where ``ros2 bag play`` is not installed.

Messages go out as they were recorded, byte for byte, in their recorded rhythm.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
import importlib
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosgraph_msgs.msg import Clock
from videomt_ros.ros.dds import keep_large_buffers, profile_environment

NANOSECONDS = 1_000_000_000
_SHORTEST_ROUND = 0.1  # seconds; a recording of a moment would be played without end or pause


class Player(Node):
    """
    A node that publishes the messages of a recording.

    :param connections: topics to be played, with their types and the QoS they were offered with;
        one whose message type is not installed here is left out, with a warning.
    :param clock: publish ``/clock`` with each message.
    """

    def __init__(self, connections: Sequence[Connection], clock: bool) -> None:
        super().__init__('videomt_play')
        self.topics: dict[str, Any] = {}
        for connection in connections:
            if connection.topic in self.topics:
                continue
            try:
                kind = message_type(connection.msgtype)
            except (ImportError, AttributeError, ValueError) as error:
                self.get_logger().warning(f'{connection.topic} is not played: {error}')
                continue
            self.topics[connection.topic] = self.create_publisher(
                kind, connection.topic, _qos(connection))
        self.clock_topic = self.create_publisher(Clock, '/clock', 10) if clock else None
        self._pause = 0.0

    def play(self, messages: Iterator[tuple[Connection, int, bytes]], rate: float) -> int:
        """
        Publish messages in the rhythm in which they were recorded.

        :param messages: connection, time of recording in nanoseconds, and content.
        :param rate: how much faster than recorded, 1 is as recorded.
        :returns: the number of published messages.
        """
        counts: Counter[str] = Counter()
        began, first, last = time.monotonic(), None, 0
        for connection, stamp, content in messages:
            first = stamp if first is None else first
            last = max(last, stamp)
            due = began + (stamp - first) / (NANOSECONDS * rate)
            self._wait_until(due)
            if not rclpy.ok():
                break
            if self.clock_topic is not None:
                message = Clock()
                message.clock.sec, message.clock.nanosec = divmod(stamp, NANOSECONDS)
                self.clock_topic.publish(message)
            self.topics[connection.topic].publish(content)
            counts[connection.topic] += 1
        self._pause = pause_after(
            (last - (first or 0)) / (NANOSECONDS * rate), max(counts.values(), default=0))
        return counts.total()

    def rest(self) -> None:
        """Wait as long as it takes until what was played may begin again."""
        self._wait_until(time.monotonic() + self._pause)

    def wait_for_subscribers(self, seconds: float) -> list[str]:
        """
        Wait until every topic has a subscriber.

        :param seconds: at most so long.
        :returns: the topics that have none yet.
        """
        end = time.monotonic() + seconds
        while True:
            missing = [
                name for name, topic in self.topics.items() if not topic.get_subscription_count()]
            if not missing or time.monotonic() >= end or not rclpy.ok():
                return missing
            rclpy.spin_once(self, timeout_sec=0.05)

    def _wait_until(self, due: float) -> None:
        while rclpy.ok() and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def pause_after(span: float, count: int) -> float:
    """
    Find the time between the last message of a round and the first of the next.

    :param span: seconds from the first message of a round to its last.
    :param count: messages of its busiest topic in it.
    :returns: seconds: their mean distance, or more where the round would be too short.
    """
    return max(span / max(count - 1, 1), _SHORTEST_ROUND - span)


def message_type(name: str) -> Any:
    """
    Find the class of a message.

    :param name: as bags have it, ``sensor_msgs/msg/Image``.
    :returns: the class.
    :raises ImportError: when its package is not installed.
    :raises AttributeError: when its package has no such message.
    :raises ValueError: when the name is none of a message.
    """
    package, folder, kind = name.split('/')
    return getattr(importlib.import_module(f'{package}.{folder}'), kind)


def _qos(connection: Connection) -> QoSProfile:
    """Offer what was recorded as offered: reliable and volatile unless the bag says otherwise."""
    recorded = getattr(connection.ext, 'offered_qos_profiles', None) or []
    best_effort = any(qos.reliability.name == 'BEST_EFFORT' for qos in recorded)
    latched = any(qos.durability.name == 'TRANSIENT_LOCAL' for qos in recorded)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=10,
        reliability=(
            ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE),
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE))


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
        ``--ros-args`` may follow, for remapping.
    :returns: 0, or 1 after a mistake that was told in one line.
    """
    arguments = _parse(argv)
    os.environ.update(profile_environment(os.environ))
    keep_large_buffers()
    # With rclpy's own handlers, SIGTERM would take the context from publishers at work.
    rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Reader(Path(arguments.bag)) as reader:
            return _play(reader, arguments)
    except (ReaderError, OSError) as error:
        print(f'videomt_play: {arguments.bag}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C may come twice, from launch too
            signal.signal(number, signal.SIG_IGN)
        rclpy.try_shutdown()


def _play(reader: Reader, arguments: argparse.Namespace) -> int:
    connections = [
        connection for connection in reader.connections
        if not arguments.topics or connection.topic in arguments.topics]
    missing = set(arguments.topics or ()) - {connection.topic for connection in connections}
    if missing or not connections:
        print(
            f'videomt_play: {arguments.bag}: no topic {", ".join(sorted(missing)) or "at all"}; '
            f'it has {", ".join(sorted({c.topic for c in reader.connections})) or "none"}',
            file=sys.stderr)
        return 1
    player = Player(connections, arguments.clock)
    connections = [connection for connection in connections if connection.topic in player.topics]
    try:
        if not connections:
            raise ReaderError('none of its message types is installed')
        lonely = player.wait_for_subscribers(arguments.wait)
        if arguments.wait and lonely:
            player.get_logger().warning(f'nobody subscribes to {", ".join(lonely)}')
        count = 0
        while True:
            played = player.play(reader.messages(connections), arguments.rate)
            count += played
            if not (arguments.loop and rclpy.ok()):
                break
            if not played:
                names = ', '.join(sorted(player.topics))
                raise ReaderError(f'no message on {names}, so nothing to repeat')
            player.rest()
        # Reliable publishers that vanish take along what has not been acknowledged.
        for topic in player.topics.values():
            topic.wait_for_all_acked(rclpy.duration.Duration(seconds=2))
        player.get_logger().info(f'played {count} messages')
    finally:
        player.destroy_node()
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='videomt_play', description='Play a rosbag2 recording (MCAP or sqlite3).')
    parser.add_argument('bag', help='folder with metadata.yaml, or a single .mcap or .db3 file')
    parser.add_argument('--rate', type=_positive, default=1.0, help='times faster, default 1')
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument('--clock', action='store_true', help='publish /clock')
    parser.add_argument('--topics', nargs='+', help='only these')
    parser.add_argument(
        '--wait', type=float, default=0.0, metavar='SECONDS',
        help='wait so long for subscribers of every topic before playing')
    words = [sys.argv[0], *argv] if argv is not None else sys.argv
    return parser.parse_args(remove_ros_args(words)[1:])


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f'{text}: expected a positive number')
    return value


if __name__ == '__main__':
    sys.exit(main())
