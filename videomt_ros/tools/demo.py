"""
``videomt_demo``: a recorded drive goes through the real node, and what it says is shown.

Three processes over DDS: the node, a player that publishes the recording in its own rhythm, and
this one, which receives the tracks. Everything shown comes out of the received messages.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rich.console import Console
from rosbags.rosbag2 import Reader, ReaderError
from sensor_msgs.msg import Image
from videomt_ros.msg import TrackArray
from videomt_ros.perception import FrameResult, overlay
from videomt_ros.ros.dds import profile_environment
from videomt_ros.ros.images import image_to_rgb, ImageError
from videomt_ros.ros.messages import frame_result
from videomt_ros.ros.stamps import nanoseconds
from videomt_ros.share import share_directory
from videomt_ros.tools.pictures import contact_sheet, summarise, track_table, write_video

START_TIMEOUT = 120.0  # seconds: a large checkpoint may have to be downloaded before
SILENCE = 3.0  # seconds without an answer after which the last frame was answered
SHEET_PICTURES = 12


class DemoError(Exception):
    """What keeps the demo from going on, in one sentence."""


class Collector(Node):
    """A node that keeps every message of ``/videomt/tracks``, by the stamp of its image."""

    def __init__(self) -> None:
        super().__init__('videomt_demo')
        self.tracks: dict[int, TrackArray] = {}
        self.last_answer = 0.0
        self.create_subscription(
            TrackArray, '/videomt/tracks', self._keep, QoSProfile(depth=100))

    def _keep(self, message: TrackArray) -> None:
        self.tracks[nanoseconds(message.header.stamp)] = message
        self.last_answer = time.monotonic()

    def wait_for_node(self, image: str, process: subprocess.Popen[bytes], log: Path) -> None:
        """
        Wait until the node listens to the image topic.

        :param image: the topic.
        :param process: the node's.
        :param log: file with its output, for the message.
        :raises DemoError: when it ends, or does not listen in time.
        """
        end = time.monotonic() + START_TIMEOUT
        while not (self.count_subscribers(image) and self.count_publishers('/videomt/tracks')):
            rclpy.spin_once(self, timeout_sec=0.1)
            if process.poll() is not None:
                raise DemoError(f'the node has ended with code {process.returncode}: '
                                f'{_last_line(log)}')
            if time.monotonic() > end:
                raise DemoError(f'the node does not listen to {image} after '
                                f'{START_TIMEOUT:.0f} s: {_last_line(log)}')

    def collect(self, player: subprocess.Popen[bytes], expected: int) -> None:
        """
        Receive until every frame is answered, or nothing more comes after the player's end.

        :param player: its process.
        :param expected: frames in the recording.
        """
        while len(self.tracks) < expected:
            rclpy.spin_once(self, timeout_sec=0.1)
            if player.poll() is None:
                self.last_answer = time.monotonic()
            elif time.monotonic() - self.last_answer > SILENCE:
                break


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line program.

    :param argv: arguments without the program's name; None takes those of the process.
    :returns: 0, or 1 after a mistake that was told in one line, or 130 after Ctrl-C.
    """
    arguments = _parse(argv)
    try:
        _run(arguments)
    except (DemoError, ReaderError, ImageError, OSError) as error:
        print(f'videomt_demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(arguments: argparse.Namespace) -> None:
    bag, output = Path(arguments.bag or _own_bag()), Path(arguments.output)
    with Reader(bag) as reader:
        image = arguments.image or _colour_topic(reader, bag)
        expected = sum(c.msgcount for c in reader.connections if c.topic == image)
    if not expected:
        raise DemoError(f'{bag}: no images on {image}')
    output.mkdir(parents=True, exist_ok=True)
    # A domain of its own keeps the demo out of a running robot's graph.
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 100)))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.update(profile_environment(os.environ))
    print(f'{bag}: {expected} frames on {image}')
    tracks = _through_the_node(arguments, bag, image, expected, output / 'node.log')
    print(f'{len(tracks)} of {expected} frames answered')
    if not tracks:
        raise DemoError(f'no tracks arrived; see {output / "node.log"}')
    _show(bag, image, tracks, output)


def _through_the_node(
        arguments: argparse.Namespace, bag: Path, image: str, expected: int,
        log: Path) -> dict[int, TrackArray]:
    """Run node and player; gives the received messages by the stamp of their image in ns."""
    node_command = [
        sys.executable, '-m', 'videomt_ros.ros.node', '--ros-args', '-r', f'image:={image}',
        '-p', 'publish_mask_runs:=true']
    if arguments.checkpoint:
        node_command += ['-p', f'checkpoint:={arguments.checkpoint}']
    play_command = [
        sys.executable, '-m', 'videomt_ros.tools.play', str(bag), '--topics', image,
        '--rate', str(arguments.rate), '--wait', '30']
    rclpy.init(args=[])
    collector = Collector()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with log.open('wb') as file:
            processes.append(subprocess.Popen(node_command, stdout=file, stderr=file))
            collector.wait_for_node(image, processes[0], log)
            processes.append(subprocess.Popen(play_command, stdout=file, stderr=file))
            collector.collect(processes[1], expected)
    finally:
        for process in processes:
            _stop(process)
        collector.destroy_node()
        rclpy.try_shutdown()
    if processes[0].returncode:
        raise DemoError(f'the node has ended with code {processes[0].returncode}: '
                        f'{_last_line(log)}')
    return collector.tracks


def _show(bag: Path, image: str, tracks: dict[int, TrackArray],
          output: Path) -> None:
    """Draw what arrived over the frames, write video and sheet, print the table."""
    results: list[FrameResult] = []

    def draw() -> Iterator[np.ndarray]:
        for key, frame in _frames(bag, image):
            if key in tracks:
                results.append(frame_result(tracks[key]))
                yield overlay(frame, results[-1])

    stamps = [stamp * 1e-9 for stamp in sorted(tracks)]
    gap = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.1
    chosen = set(np.linspace(0, len(tracks) - 1, SHEET_PICTURES).round().astype(int).tolist())
    video, sheet = output / 'overlay.mp4', output / 'contact_sheet.png'
    kept = [
        picture for i, picture in enumerate(write_video(video, draw(), 1 / max(gap, 1e-3)))
        if i in chosen]
    if not cv2.imwrite(str(sheet), cv2.cvtColor(contact_sheet(kept), cv2.COLOR_RGB2BGR)):
        raise DemoError(f'{sheet}: cannot be written')
    Console().print(track_table(summarise(results), stamps[0]))
    print(f'{video}\n{sheet}')


def _frames(bag: Path, image: str) -> Iterator[tuple[int, np.ndarray]]:
    """Read the frames of a recording: stamp in nanoseconds and (H, W, 3) uint8 RGB."""
    with Reader(bag) as reader:
        connections = [c for c in reader.connections if c.topic == image]
        for _, _, content in reader.messages(connections):
            message = deserialize_message(content, Image)
            yield nanoseconds(message.header.stamp), image_to_rgb(message)


def _colour_topic(reader: Reader, bag: Path) -> str:
    """Find the first topic of colour images."""
    for connection in reader.connections:
        if connection.msgtype == 'sensor_msgs/msg/Image':
            for _, _, content in reader.messages([connection]):
                if not deserialize_message(content, Image).encoding.startswith(('16U', '32F')):
                    return connection.topic
                break
    raise DemoError(f'{bag}: no topic of colour images; it has '
                    f'{", ".join(c.topic for c in reader.connections) or "none"}')


def _own_bag() -> Path:
    return share_directory() / 'demo' / 'drive'


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process as Ctrl-C would, and not so gently if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors='replace').strip().splitlines()
    return lines[-1] if lines else 'it said nothing'


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='videomt_demo',
        description='Play a recording through the node; leave an overlay video, a contact sheet '
                    'and a table of tracks.')
    parser.add_argument('--bag', help='rosbag2 recording; default is the one of this package')
    parser.add_argument('--image', help='image topic in it; default is the first in colour')
    parser.add_argument('--checkpoint', default='', help='default is the embedded one')
    parser.add_argument('--output', default='demo_output', help='folder, made where missing')
    parser.add_argument('--rate', type=float, default=1.0, help='times faster than recorded')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
