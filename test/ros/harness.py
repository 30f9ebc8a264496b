"""A node in a process of its own, and a probe in this one that talks to it over DDS."""

from contextlib import contextmanager
import fcntl
from itertools import cycle, islice
import multiprocessing.reduction
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from videomt_ros.ros.images import array_to_image
from videomt_ros.ros.node import main

PATIENCE = 90.0  # seconds; the machine may be busy


_domains = cycle(range(1, 100))


@contextmanager
def own_domain():
    """
    Take a DDS domain that no other test on this machine uses.

    Nor one that was used just now: what is left of a context may still answer there.
    """
    for number in islice(_domains, 99):
        with Path(tempfile.gettempdir(), f'videomt_ros_domain_{number}').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise RuntimeError('every DDS domain is taken')


def _environment(domain, more):
    """Give the variables of a process in a domain; DDS as it comes, unless ``more`` says how."""
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith(('FASTDDS', 'FASTRTPS'))}
    return {**variables, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1',
            'PYTHONUNBUFFERED': '1', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', **(more or {})}


class Process:
    """A program whose output is kept line by line; SIGINT reaches it as from a terminal."""

    def __init__(self, command, domain, environment=None):
        reader, writer = os.pipe()
        self._process = self._begin(list(map(str, command)), _environment(domain, environment),
                                    writer)
        os.close(writer)
        self.pid = self._process.pid
        self.lines = []
        self._reader = threading.Thread(target=self._read, args=[reader], daemon=True)
        self._reader.start()

    @staticmethod
    def _begin(command, environment, output):
        return subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=output, stderr=output,
            start_new_session=True,
            # What a script starts with & ignores SIGINT, and so would all below it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def _read(self, reader):
        with os.fdopen(reader, errors='replace') as output:
            for line in output:
                self.lines.append(line.rstrip('\n'))

    def poll(self):
        """Give the exit code; None while it runs."""
        return self._process.poll()

    def _wait(self):
        return self._process.wait(PATIENCE)

    def find(self, text):
        return [line for line in self.lines if text in line]

    def wait_for(self, text, times=1):
        wait_until(lambda: len(self.find(text)) >= times or self.poll() is not None,
                   lambda: f'{text!r} in:\n' + '\n'.join(self.lines))
        assert len(self.find(text)) >= times, '\n'.join(self.lines)
        return self.find(text)[-1]

    def libraries(self):
        """Give the map of its memory, which names what it has loaded."""
        return Path(f'/proc/{self.pid}/maps').read_text()

    def send(self, number):
        os.kill(self.pid, number)

    def end(self):
        """Wait for the end; gives the exit code."""
        code = self._wait()
        self._reader.join()
        return code

    def stop(self):
        """End it as Ctrl-C does; gives the exit code."""
        if self.poll() is None:
            self.send(signal.SIGINT)
        return self.end()

    def kill(self):
        if self.poll() is None:
            self._process.kill()
            self.end()
        print(*self.lines, sep='\n')  # pytest shows it where a test has failed


class NodeProcess(Process):
    """
    The node, forked from a process that has loaded torch already.

    That saves most of its start, and is the only difference from ``videomt_node`` in a shell.
    """

    _nursery = multiprocessing.get_context('forkserver')
    _nursery.set_forkserver_preload(['videomt_ros.ros.node', 'videomt_ros.ros.lifecycle'])

    @classmethod
    def _begin(cls, command, environment, output):
        inheritable = multiprocessing.reduction.DupFd(output)
        process = cls._nursery.Process(target=_be_node, args=[command, environment, inheritable])
        process.start()
        return process

    def poll(self):
        return self._process.exitcode

    def _wait(self):
        self._process.join(PATIENCE)
        assert self.poll() is not None, 'the node does not end'
        return self.poll()


def _be_node(arguments, environment, output):
    os.setsid()
    descriptor = output.detach()
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ['videomt_node', *arguments]
    sys.exit(main())


def wait_until(condition, what, step=lambda: time.sleep(0.02)):
    """Make steps until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f'waited in vain for {what() if callable(what) else what}'
        step()


class Probe:
    """A ROS node of this process, in a context and a domain of its own."""

    def __init__(self, domain):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node('probe', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clients = {}

    def close(self):
        for node in self._executor.get_nodes():
            self._executor.remove_node(node)
            node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def listen(self, message_type, topic, qos=10):
        """Subscribe; gives the list that fills while the probe spins."""
        got = []
        self.node.create_subscription(message_type, topic, got.append, qos)
        return got

    def host(self, make_node, **parameters):
        """Make a node in this process that lives while the probe spins."""
        node = make_node(context=self._context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
        self._executor.add_node(node)
        return node

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)

    def wait(self, condition, what):
        wait_until(condition, what, lambda: self._executor.spin_once(timeout_sec=0.02))

    def call(self, service_type, name, request=None):
        """Call a service; gives its response."""
        if name not in self._clients:
            client = self._clients[name] = self.node.create_client(service_type, name)
            self.wait(client.service_is_ready, name)
            self.spin(0.3)  # the other side may discover later, and then its answer is lost
        future = self._clients[name].call_async(request or service_type.Request())
        self.wait(future.done, name)
        return future.result()

    def publisher(self, topic, qos=1, message_type=Image):
        """Create a publisher and wait until the node hears it."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait(publisher.get_subscription_count, f'a subscriber of {topic}')
        self.spin(0.3)  # the other side may discover later
        return publisher

    def ask(self, publisher, image, answers):
        """Publish an image and wait for its answer; gives it."""
        count = len(answers)
        publisher.publish(image)
        self.wait(lambda: len(answers) > count, f'an answer to {image.header}')
        return answers[-1]


def header(seconds, frame_id='camera_optical_frame'):
    """Make the header of an image that was taken then."""
    result = Header(frame_id=frame_id)
    nanoseconds = round(seconds * 1e9) + 1_700_000_000_123_456_789
    result.stamp.sec, result.stamp.nanosec = divmod(nanoseconds, 10 ** 9)
    return result


def scene(height=96, width=128, **squares):
    """Paint squares (x, y, width, height) of the colours red, green, blue on black."""
    picture = np.zeros((height, width, 3), np.uint8)
    for channel, colour in enumerate(('red', 'green', 'blue')):
        if colour in squares:
            x, y, w, h = squares[colour]
            picture[y:y + h, x:x + w, channel] = 255
    return picture


def image_of(seconds, frame_id='camera_optical_frame', **squares):
    """Make the image message of a scene."""
    return array_to_image(scene(**squares), header(seconds, frame_id))
