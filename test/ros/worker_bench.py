"""A worker among stand-ins for what surrounds it, which a test steps frame by frame."""

from dataclasses import dataclass, field
import threading

from harness import header, image_of, wait_until
import numpy as np
from rclpy.clock import Clock
from videomt_ros.perception import FrameResult
from videomt_ros.ros.markers import Markers
from videomt_ros.ros.parameters import Settings
from videomt_ros.ros.scene import Locator
from videomt_ros.ros.stamps import StampScale
from videomt_ros.ros.statistics import Statistics
from videomt_ros.ros.worker import Worker


class Segmenter:
    """Takes what it is given when the test allows it."""

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.batches, self.configured, self.resets, self.faults = [], [], [], []

    def configure(self, **changes):
        self.configured.append(changes)

    def reset(self, camera, reason):
        self.resets.append((len(self.batches), camera, reason))

    def process_many(self, frames, failed):
        self.batches.append(frames)
        assert self.gate.acquire(timeout=10)
        if self.faults:
            raise self.faults.pop(0)
        return {name: FrameResult(
            camera=name, stamp=each.stamp, height=96, width=128, task='instance', instances=(),
            epoch=0, reset_reason=None, skipped=each.skipped, dt=None, timings={'network': 1.0},
            label_dtype=np.uint8) for name, each in frames.items()}


@dataclass(eq=False)
class Camera:
    name: str
    statistics: Statistics = field(default_factory=Statistics)
    answers: list = field(default_factory=list)
    fault: Exception | None = None
    camera_info: None = None

    def __post_init__(self):
        self.outputs = self
        self.markers = Markers()
        self.locator = Locator(str(self), print, '', None)

    def __str__(self):
        return f'camera {self.name}'

    def scale(self, header_of_image):
        return StampScale(header(0).stamp)

    def publish(self, answer, wanted=()):
        if self.fault:
            raise self.fault
        self.answers.append(answer)


class Log:

    def __init__(self):
        self.errors, self.warnings, self.infos = [], [], []
        self.warning = self.warnings.append
        self.error, self.info = self.errors.append, self.infos.append


@dataclass
class Bench:
    segmenter: Segmenter = field(default_factory=Segmenter)
    log: Log = field(default_factory=Log)
    settings: Settings = field(default_factory=Settings)
    front: Camera = field(default_factory=lambda: Camera('front'))
    rear: Camera = field(default_factory=lambda: Camera('rear'))

    def __post_init__(self):
        self.worker = Worker(self.segmenter, lambda: self.settings, Clock(), self.log)

    def offer(self, camera, *times, **squares):
        for seconds in times:
            self.worker.offer(camera, image_of(seconds, camera.name, **squares))

    def run(self, batches=1):
        self.segmenter.gate.release(batches)

    def wait(self, condition, what=''):
        wait_until(condition, what)
