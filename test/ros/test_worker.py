"""The worker thread: newest image first, batches, errors once per cause, and a quick end."""

from dataclasses import dataclass, field
import threading
import time

from harness import header, image_of, wait_until
import numpy as np
import pytest
from rclpy.clock import Clock
from videomt_ros.perception import FrameResult
from videomt_ros.ros.drops import Drop
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

    def process_many(self, frames):
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


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.run(100)
    bench.worker.stop()


def stamps(camera):
    return [answer.result.stamp for answer in camera.answers]


def test_the_newest_image_wins_and_the_others_are_counted(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    started = time.perf_counter()
    bench.offer(bench.front, 0.1, 0.2, 0.3, 0.4)  # while the network runs
    assert time.perf_counter() - started < 1, 'handing over waits for nothing'
    bench.run(2)
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0.0, 0.4]
    assert [a.result.skipped for a in bench.front.answers] == [0, 3]
    state = bench.front.statistics.snapshot()
    assert (state.received, state.answered, state.dropped) == (5, 2, {Drop.NEWER: 3})
    bench.offer(bench.front, 0.5)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 3)
    assert bench.front.answers[-1].result.skipped == 0


def test_a_pause_drops_what_waits_and_what_comes(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bench.worker.pause(True)
    bench.offer(bench.front, 0.2, 0.3)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    bench.worker.pause(False)
    bench.offer(bench.front, 0.4)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0.0, 0.4]
    assert bench.front.answers[1].result.skipped == 3
    assert bench.front.statistics.snapshot().dropped == {Drop.PAUSED: 3}


def test_an_image_that_has_waited_too_long(bench):
    bench.settings = Settings(max_age=1.0)
    now = time.time() - 1_700_000_000.123456789
    bench.offer(bench.front, now)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, now - 0.5)  # young enough, but its turn comes a second later
    bench.offer(bench.rear, now + 10)
    time.sleep(1.0)
    bench.run(2)
    bench.wait(lambda: bench.rear.answers)
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['rear']]
    state = bench.front.statistics.snapshot()
    assert state.dropped == {Drop.MAX_AGE: 1} and 1.5 <= state.late_by < 60
    warning, = bench.log.warnings
    assert warning.startswith('camera front: the newest image was')


def test_cameras_that_wait_are_one_batch(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bench.offer(bench.rear, 7.0, 7.1)
    bench.run(2)
    bench.wait(lambda: bench.rear.answers and len(bench.front.answers) == 2)
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['front', 'rear']]
    given = bench.segmenter.batches[1]['rear']
    assert (given.stamp, given.frame_id, given.skipped) == (7.1, 'rear', 1)
    assert given.frame.shape == (96, 128, 3)
    assert bench.rear.answers[0].header == header(7.1, 'rear')


def test_images_skipped_before_a_bad_one_are_reported_with_the_next_answer(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bad = image_of(0.2)
    bad.encoding = 'secret'
    bench.worker.offer(bench.front, bad)
    bench.run()
    bench.wait(lambda: bench.front.statistics.snapshot().failed)
    bench.offer(bench.front, 0.3)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.front.answers[-1].result.skipped == 1


def test_a_bad_image_of_one_camera_is_no_matter_to_another(bench):
    bench.offer(bench.rear, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bad = image_of(0)
    bad.data = bytes(7)
    bench.worker.offer(bench.front, bad)
    bench.offer(bench.rear, 0.1)
    bench.run(2)
    bench.wait(lambda: len(bench.rear.answers) == 2)
    assert not bench.front.answers
    error, = bench.log.errors
    assert 'camera front' in error and '7 bytes' in error


def test_a_failing_network_is_told_once_and_forgets(bench):
    bench.segmenter.faults = [RuntimeError('out of memory')] * 3
    for number in range(3):
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda n=number: bench.front.statistics.snapshot().failed.get(
            'network: RuntimeError') == n + 1)
    error, = bench.log.errors
    assert 'out of memory' in error and 'Traceback' in error
    assert bench.segmenter.resets[-1][1:] == ('front', 'the network failed: out of memory')
    assert len(bench.segmenter.resets) == 3
    bench.offer(bench.front, 3)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    assert bench.front.statistics.snapshot().failing is None


def test_a_network_that_fails_too_often_is_given_up(bench):
    bench.settings = Settings(max_failures=3)
    fault = RuntimeError('CUDA out of\nmemory')
    bench.segmenter.faults = [fault, fault]

    def offer(number):
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda: len(bench.segmenter.batches) == number + 1)
        bench.wait(lambda: sum(bench.front.statistics.snapshot().failed.values())
                   + len(bench.front.answers) == number + 1)

    for number in range(3):
        offer(number)
    assert bench.front.answers and bench.worker.broken is None, 'two in a row, then a result'
    bench.segmenter.faults = [fault] * 3
    for number in range(3, 6):
        assert bench.worker.broken is None
        offer(number)
    bench.wait(lambda: bench.worker.broken)
    assert bench.worker.broken == (
        'the network has failed 3 times in a row: CUDA out of memory')
    bench.offer(bench.front, 6)
    time.sleep(0.1)
    assert len(bench.segmenter.batches) == 6


def test_a_result_is_published_while_the_network_is_at_the_next_image(bench):
    publish, gate = bench.front.publish, threading.Event()
    bench.front.publish = lambda *given: gate.wait(10) and publish(*given)
    bench.run(2)
    for number in range(2):
        bench.offer(bench.front, number)
        bench.wait(lambda: len(bench.segmenter.batches) == number + 1)  # noqa: B023
    assert not bench.front.answers
    gate.set()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0, 1]


def test_the_end_waits_for_what_is_published(bench):
    publish = bench.front.publish
    bench.front.publish = lambda *given: time.sleep(0.3) or publish(*given)
    bench.run()
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.worker.stop()
    assert stamps(bench.front) == [0]


def test_a_result_that_cannot_be_published(bench):
    bench.front.fault = ValueError('no such shape')
    bench.offer(bench.front, 0)
    bench.run()
    bench.wait(lambda: bench.log.errors)
    assert 'could not be published: no such shape' in bench.log.errors[0]
    bench.front.fault = None
    bench.offer(bench.front, 1)
    bench.run()
    bench.wait(lambda: bench.front.answers)


def test_reset_comes_before_the_next_image(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.worker.reset(bench.front, 'why')
    bench.offer(bench.front, 0.1)
    bench.run(2)
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.segmenter.resets == [(1, 'front', 'why')]


def test_settings_are_taken_between_two_images(bench):
    for number, score in enumerate((0.5, 0.5, 0.8)):
        if score != bench.settings.start_score:
            bench.settings = Settings(start_score=score, classes=('a',))
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda n=number: len(bench.front.answers) == n + 1)
    assert [(c['start_score'], c['classes']) for c in bench.segmenter.configured] == [
        (0.5, None), (0.8, ('a',))]


def test_end_waits_for_the_image_at_work_alone():
    bench = Bench()
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 1)
    threading.Timer(0.2, bench.run).start()
    bench.worker.stop()
    assert stamps(bench.front) == [0.0]
    assert len(bench.segmenter.batches) == 1


def test_causes_are_remembered_up_to_a_limit(bench):
    for number in range(60):
        bad = image_of(0)
        bad.encoding = f'secret {number}'
        bench.worker.offer(bench.front, bad)
        bench.wait(lambda n=number: sum(
            bench.front.statistics.snapshot().failed.values()) == n + 1)
    assert len(bench.log.errors) == 50
    failed = bench.front.statistics.snapshot().failed
    assert len(failed) == 51 and failed['other'] == 10


def test_what_waits_is_dropped_when_the_clock_goes_back(bench):
    def on_clock(seconds):
        stamp = header(seconds).stamp
        return stamp.sec * 10 ** 9 + stamp.nanosec

    bench.offer(bench.front, 90)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 99.9)
    bench.offer(bench.rear, 50.1)  # of the new time already
    bench.worker.clock_went_back(on_clock(100), on_clock(50))
    bench.run(2)
    bench.wait(lambda: bench.rear.answers)
    assert bench.segmenter.resets == [(1, 'front', 'the clock went back by 50.000 s')]
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['rear']]
    assert bench.front.statistics.snapshot().dropped == {Drop.CLOCK: 1}
    bench.offer(bench.front, 50.2)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.front.answers[-1].result.skipped == 1


def test_one_image_through_a_pause(bench):
    assert not bench.worker.process_once([bench.front])
    bench.worker.pause(True)
    assert bench.worker.process_once([bench.front])
    bench.offer(bench.rear, 0)
    bench.offer(bench.front, 0, 1)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    assert stamps(bench.front) == [0.0] and not bench.rear.answers
    assert bench.front.statistics.snapshot().dropped == {Drop.PAUSED: 1}
    bench.worker.process_once([bench.rear])
    bench.worker.pause(True)
    bench.offer(bench.rear, 1)
    assert bench.rear.statistics.snapshot().dropped == {Drop.PAUSED: 2}, 'a new pause'


def test_a_failure_of_one_camera_is_no_matter_to_another(bench, monkeypatch):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    process = bench.segmenter.process_many

    def process_many(frames):
        if 'front' in frames:
            bench.segmenter.batches.append(frames)
            raise MemoryError('front is too large')
        return process(frames)

    monkeypatch.setattr(bench.segmenter, 'process_many', process_many)
    for number in range(1, 4):
        bench.offer(bench.front, number)
        bench.offer(bench.rear, number)
        bench.run(2)
        bench.wait(lambda n=number: len(bench.rear.answers) == n)
    assert bench.front.statistics.snapshot().failed == {'network: MemoryError': 3}
    assert [sorted(batch) for batch in bench.segmenter.batches[1:4]] == [
        ['front', 'rear'], ['front'], ['rear']]
    assert {name for _, name, _ in bench.segmenter.resets} == {'front'}
    assert not bench.rear.statistics.snapshot().failed and bench.worker.broken is None
    assert len(bench.log.errors) == 1


def test_what_nobody_thought_of_is_no_silent_end(bench, monkeypatch):
    def fail(camera, reason):
        raise KeyError('a fault of ours')

    monkeypatch.setattr(bench.segmenter, 'reset', fail)
    bench.worker.reset(bench.front, 'why')
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.worker.broken)
    assert 'a fault of ours' in bench.worker.broken
    assert 'Traceback' in bench.log.errors[0]
