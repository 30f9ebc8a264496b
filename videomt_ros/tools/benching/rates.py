"""The real node under images at given rates, as a camera would send them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
import itertools
import os
from pathlib import Path
import random
import re
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from videomt_ros.msg import SegmentationMask, TrackArray
from videomt_ros.perception import FrameInput
from videomt_ros.ros.dds import keep_large_buffers, profile_environment
from videomt_ros.ros.images import array_to_image
from videomt_ros.ros.stamps import nanoseconds

from .arena import memory_megabytes
from .contenders import Contender

_START_TIMEOUT = 300.0  # seconds: a graph may have to be exported first
_ANSWER_TIMEOUT = 10.0  # seconds, after which an image counts as lost
_SILENCE = 2.0  # seconds without an answer after which none is coming, at high rates
_LEAST_IMAGES = 8  # at any rate
_PATIENCE = 2.0  # seconds, after which an image is sent again while the node starts
_DIAGNOSTICS_TIMEOUT = 5.0  # seconds; they come every second
_NANO = 1_000_000_000


class NodeError(Exception):
    """Why the node could not be measured, in one sentence."""


@dataclass(frozen=True)
class RateRecord:
    """
    What became of images sent at one rate.

    :param rate: images a second; None where each waited for the answer to the one before.
    :param sent: images.
    :param answered: of them, with tracks and mask.
    :param seconds: between the first and the last answer.
    :param latency: milliseconds of each answer, from before the image was published until the
        mask had arrived.
    :param interval: milliseconds between successive answers.
    """

    rate: float | None
    sent: int
    answered: int
    seconds: float
    latency: list[float]
    interval: list[float]


class NodeBench:
    """
    The node in a process of its own, with a camera and a consumer in this one.

    To be used as a context manager, by one at a time.

    :param contender: what the node runs.
    :param frames: that the camera sends, over and over.
    :param log: file for what the node says.
    """

    def __init__(self, contender: Contender, frames: Sequence[FrameInput], log: Path) -> None:
        self._contender = contender
        self._frames = frames
        self._log = log
        self._sent: dict[int, float] = {}  # by stamp
        self._answers: dict[int, float] = {}
        self._stages: dict[str, dict[str, float]] = {}
        self._arrived = threading.Condition()

    def __enter__(self) -> NodeBench:
        # A domain of its own keeps the images out of a running robot's graph.
        os.environ.setdefault('ROS_DOMAIN_ID', str(random.randint(1, 100)))
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        os.environ.update(profile_environment(os.environ))
        keep_large_buffers()
        # A signal ends the benchmark, and not only its part in ROS.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node('videomt_bench')
        self._publisher = self._node.create_publisher(Image, '/bench/image', QoSProfile(depth=1))
        self._node.create_subscription(
            TrackArray, '/videomt/tracks', lambda _: None, QoSProfile(depth=10))
        self._node.create_subscription(
            SegmentationMask, '/videomt/mask', self._take, QoSProfile(depth=10))
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics', self._diagnose, QoSProfile(depth=10))
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        words = {
            'engine': self._contender.engine, 'precision': self._contender.precision,
            'device': self._contender.device, 'resize': self._contender.resize,
            'max_gap': 3600.0, **(
                {'checkpoint': self._contender.checkpoint} if self._contender.checkpoint else {})}
        with self._log.open('wb') as file:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'videomt_ros.ros.node', '--ros-args',
                 '-r', 'image:=/bench/image', *itertools.chain.from_iterable(
                     ('-p', f'{name}:={value}') for name, value in words.items())],
                stdout=file, stderr=file)
        try:
            self._wait_for_node()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        self._stop()

    def closed_loop(self, count: int) -> RateRecord:
        """
        Send each image when the one before is answered, or lost.

        :param count: of images.
        :returns: what became of them.
        :raises NodeError: when no answer comes at all.
        """
        self._sent.clear()
        for i in range(count):
            answered = partial(self._answers.get, self._send(i))
            with self._arrived:
                self._arrived.wait_for(answered, _ANSWER_TIMEOUT)
        record = self._record(None)
        if not record.answered:
            raise NodeError(f'the node does not answer: {self._last_line()}')
        return record

    def open_loop(self, rate: float, seconds: float) -> RateRecord:
        """
        Send images at a rate, whether they are answered or not.

        :param rate: images a second.
        :param seconds: for so long, or longer if that is only a few images.
        :returns: what became of them.
        """
        self._sent.clear()
        began = time.perf_counter()
        for i in range(max(_LEAST_IMAGES, round(rate * seconds))):
            time.sleep(max(0.0, began + i / rate - time.perf_counter()))
            self._send(i)
        patience = max(_SILENCE, 4 / rate)
        before, answered = -1, 0
        while before < answered < len(self._sent):
            time.sleep(patience)
            before, answered = answered, len(self._sent.keys() & self._answers.keys())
        return self._record(rate)

    def stages(self) -> dict[str, dict[str, float]]:
        """
        Wait for the node's diagnostics.

        :returns: 'p50' and 'p95' of each of its stages in the last ten seconds, milliseconds.
        """
        with self._arrived:
            self._stages = {}
            self._arrived.wait_for(lambda: self._stages, _DIAGNOSTICS_TIMEOUT)
            return self._stages

    def memory(self) -> dict[str, float]:
        """Give the resident megabytes of the node, 'now' and 'peak'."""
        return memory_megabytes(self._process.pid)

    def _send(self, number: int) -> int:
        frame = self._frames[number % len(self._frames)]
        stamp = time.time_ns()
        header = Header(frame_id='camera')
        header.stamp.sec, header.stamp.nanosec = divmod(stamp, _NANO)
        image = array_to_image(frame.frame, header)
        self._sent[stamp] = time.perf_counter()
        self._publisher.publish(image)
        return stamp

    def _take(self, message: SegmentationMask) -> None:
        now = time.perf_counter()
        with self._arrived:
            self._answers[nanoseconds(message.header.stamp)] = now
            self._arrived.notify()

    def _diagnose(self, message: DiagnosticArray) -> None:
        found: dict[str, dict[str, float]] = {}
        for value in (value for status in message.status for value in status.values):
            name = re.fullmatch(r'stage (.+) (p50|p95) \[ms\]', value.key)
            # 'none' when nothing came for a while
            if name and re.fullmatch(r'[0-9.]+', value.value):
                found.setdefault(name[1], {})[name[2]] = float(value.value)
        with self._arrived:
            self._stages = found
            self._arrived.notify()

    def _record(self, rate: float | None) -> RateRecord:
        pairs = [(sent, self._answers[key]) for key, sent in self._sent.items()
                 if key in self._answers]
        arrivals = [answered for _, answered in pairs]
        return RateRecord(
            rate, len(self._sent), len(pairs),
            arrivals[-1] - arrivals[0] if len(pairs) > 1 else 0.0,
            [(answered - sent) * 1e3 for sent, answered in pairs],
            (np.diff(arrivals) * 1e3).tolist())

    def _wait_for_node(self) -> None:
        """Send the first image until it is answered: by then all have found each other."""
        end = time.monotonic() + _START_TIMEOUT
        while not self._answers:
            if self._process.poll() is not None or time.monotonic() > end:
                raise NodeError(f'the node does not start: {self._last_line()}')
            if self._publisher.get_subscription_count():
                self._send(0)
            with self._arrived:
                self._arrived.wait(_PATIENCE)

    def _last_line(self) -> str:
        lines = self._log.read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else 'it said nothing'

    def _stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()
