"""
Half an hour in the life of a node: nothing grows, nothing is lost, every image has its answer.

    python -m pytest test/ros/test_soak.py --soak 30

Three cameras, one of them a recording that loops with its clock, one that is killed and comes back
with another offer; parameters that change, and subscribers that come, go and are killed.
"""

from collections import Counter
import itertools
from pathlib import Path
import random
import signal
import statistics
import time

from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger
from videomt_ros.msg import SegmentationMask, TrackArray
from videomt_ros.share import share_directory

HERE = Path(__file__).parent
CAMERAS = 'front', 'left', 'right'
MOST_GROWTH_MIB = 20
LISTENER = """
import sys, rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('listener')
for name in sys.argv[1:]:
    node.create_subscription(Image, name, lambda image: None, 5)
rclpy.spin(node)
"""
CHANGES = [
    ('start_score', [0.4, 0.5, 0.8]), ('max_rate', [0.0, 4.0]), ('max_age', [0.0, 60.0]),
    ('publish_mask_runs', [True, False]), ('outputs', [[''], ['mask', 'overlay']]),
    ('confirm_frames', [1, 5]), ('max_lost', [0.5, 3.0]), ('min_area', [0.0001, 0.01]),
]


class Watch:
    """What the process of the node takes, sampled."""

    def __init__(self, process):
        self._folder = Path(f'/proc/{process.pid}')
        self.memory, self.threads = [], []

    def look(self):
        values = dict(line.split(':', 1) for line in
                      (self._folder / 'status').read_text().splitlines())
        self.memory.append(int(values['VmRSS'].split()[0]) / 1024)
        self.threads.append(int(values['Threads']))


class Disturbance:
    """All that happens around the node; each method does its share and returns."""

    def __init__(self, start, probe, bag):
        self._start, self._probe, self._bag = start, probe, bag
        self._random = random.Random(7)
        self._offers = itertools.cycle(['best_effort', 'reliable'])
        self._heard, self._listener = [], None
        self.done = Counter()
        self._player = self._play()
        self._camera('left', 'reliable', 240, 320)
        self._right = self._camera('right', next(self._offers), 120, 160)

    def _play(self):
        return self._start('-m', 'videomt_ros.tools.play', self._bag, '--loop', '--clock',
                           '--ros-args', '-r', '/camera/image_raw:=/front/image')

    def _camera(self, name, reliability, *size):
        return self._start(HERE / 'camera_process.py', '--topic', f'{name}/image',
                           '--reliability', reliability, '--rate', 7, '--size', *size)

    def kill_a_camera(self):
        self._right.send(signal.SIGKILL)
        self._right.end()
        self._right = self._camera('right', next(self._offers), 120, 160)

    def restart_the_recording(self):
        assert self._player.stop() == 0
        self._player = self._play()

    def set_a_parameter(self):
        name, values = self._random.choice(CHANGES)
        request = SetParameters.Request(parameters=[
            Parameter(name, value=self._random.choice(values)).to_parameter_msg()])
        result, = self._probe.call(SetParameters, 'videomt/set_parameters', request).results
        assert result.successful, result.reason

    def reset(self):
        assert self._probe.call(Trigger, 'videomt/reset').success

    def pause(self):
        for data in (False, True):
            assert self._probe.call(
                SetBool, 'videomt/set_enabled', SetBool.Request(data=data)).success

    def change_subscriptions(self):
        for subscription in self._heard:
            self._probe.node.destroy_subscription(subscription)
        camera = self._random.choice(CAMERAS)
        self._heard = [
            self._probe.node.create_subscription(kind, f'videomt/{camera}/{name}',
                                                 lambda message: None, 5)
            for kind, name in self._random.sample([
                (SegmentationMask, 'mask'), (Image, 'overlay'), (Image, 'class_mask'),
                (CompressedImage, 'overlay/compressed'), (Image, 'confidence')], 3)]

    def kill_a_listener(self):
        if self._listener is not None:
            self._listener.send(signal.SIGKILL)
            self._listener.end()
        self._listener = self._start(
            '-c', LISTENER, *(f'videomt/{name}/overlay' for name in CAMERAS))

    def run(self, seconds, then):
        """Go on for so long, and do something after each round."""
        rounds = [(2, self.set_a_parameter), (5, self.change_subscriptions), (17, self.reset),
                  (23, self.kill_a_camera), (31, self.kill_a_listener), (41, self.pause),
                  (67, self.restart_the_recording)]
        began = time.monotonic()
        due = {act: began + period for period, act in rounds}
        while time.monotonic() - began < seconds:
            self._probe.spin(1.0)
            for period, act in rounds:
                if time.monotonic() >= due[act]:
                    act()
                    due[act] = time.monotonic() + period
                    self.done[act.__name__] += 1
            then()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_soak(start, probe, request):
    minutes = request.config.getoption('--soak')
    if not minutes:
        pytest.skip('takes half an hour: `make soak` runs it')
    # The weights of the package and the recording of its demo, as a user meets them.
    node = start('--ros-args', '-p', 'cameras:=[front, left, right]', '-p', 'engine:=eager',
                 '-p', 'use_sim_time:=true', kind=NodeProcess)
    node.wait_for('Configured')
    answers = {name: [] for name in CAMERAS}
    for name, got in answers.items():
        probe.node.create_subscription(
            TrackArray, f'videomt/{name}/tracks', lambda message, got=got: got.append((
                message.epoch, message.header.stamp.sec, message.header.stamp.nanosec,
                message.skipped)), QoSProfile(depth=1000))
    reports = []

    def keep(report):
        if any(status.name == 'videomt: camera front' for status in report.status):
            reports[:] = [report]

    probe.node.create_subscription(DiagnosticArray, '/diagnostics', keep, 10)
    probe.spin(1.0)
    around = Disturbance(start, probe, share_directory() / 'demo' / 'drive')
    watch = Watch(node)

    warm_up = min(180.0, minutes * 60 / 3)
    around.run(warm_up, watch.look)
    warm = len(watch.memory)
    around.run(minutes * 60 - warm_up, watch.look)
    probe.call(SetBool, 'videomt/set_enabled', SetBool.Request(data=False))

    def open_images():
        """Count the images that have come and have no fate yet, such as that at work."""
        return sum(int(value.value) * (1 if value.key == 'images received' else -1)
                   for status in reports[-1].status for value in status.values
                   if value.key.startswith('images ') and 'lost' not in value.key)

    probe.wait(lambda: reports and not open_images(), lambda: f'{reports[-1:]}')

    tenth = max(5, (len(watch.memory) - warm) // 10)
    before = statistics.median(watch.memory[warm:warm + tenth])
    after = statistics.median(watch.memory[-tenth:])
    print(f'{minutes:g} minutes: {before:.1f} MiB after warm-up, {after:.1f} MiB at the end, '
          f'{max(watch.memory[warm:]):.1f} MiB at most; {watch.threads[warm]} threads, then '
          f'{min(watch.threads[warm:])} to {max(watch.threads[warm:])}; {dict(around.done)}')
    for status in reports[-1].status:
        name = status.name.split()[-1]
        values = {value.key: value.value for value in status.values}
        got = answers[name]
        failed = {key: value for key, value in values.items() if 'failed' in key}
        drops = {key: int(value) for key, value in values.items()
                 if key.startswith(('images skipped', 'images dropped')) and value != '0'}
        dropped = sum(drops.values())
        print(f'{name}: {values["images received"]} received, {len(got)} answered, {drops}, '
              f'epoch {values["epoch"]}')
        assert not failed, failed
        assert len(got) == int(values['images answered']), 'each result has been heard'
        assert len(set(got)) == len(got), 'no image is answered twice'
        assert int(values['images received']) == len(got) + dropped
        assert [each[0] for each in got] == sorted(each[0] for each in got)
        assert sum(1 + each[3] for each in got) <= int(values['images received'])
        assert len(got) > 10 * minutes
    assert after - before < MOST_GROWTH_MIB
    assert set(watch.threads[warm:]) == {watch.threads[warm]}
    assert not node.find('Traceback') and not node.find('[ERROR]'), node.find('[ERROR]')
    assert node.stop() == 0
