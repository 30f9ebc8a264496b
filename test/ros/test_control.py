"""A node that is paused, and one that is told which images are worth their work."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from harness import header, image_of
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool
from videomt_ros.msg import TrackArray

RED = {'red': (32, 16, 32, 32)}


@pytest.fixture
def tracks(probe):
    return probe.listen(TrackArray, 'videomt/tracks')


@pytest.fixture
def status(probe):
    """Give a function that waits for the next status of the first camera: it and its values."""
    got = probe.listen(DiagnosticArray, '/diagnostics')

    def read():
        got.clear()
        probe.wait(lambda: got, 'diagnostics')
        status = got[-1].status[0]
        return status, {value.key: value.value for value in status.values}

    return read


def put(probe, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    result, = probe.call(SetParameters, 'videomt/set_parameters', request).results
    assert result.successful, result.reason


def test_set_enabled(start_node, probe, tracks, status):
    start_node()
    camera = probe.publisher('image')
    probe.ask(camera, image_of(0, **RED), tracks)
    response = probe.call(SetBool, 'videomt/set_enabled', SetBool.Request(data=False))
    assert response.success and response.message.startswith('paused')
    for number in range(3):
        camera.publish(image_of(0.1 + number / 10, **RED))
        probe.spin(0.1)
    told, values = status()
    assert told.level == b'\0' and told.message.startswith('paused by ~/set_enabled')
    assert (values['enabled'], values['images dropped while paused']) == ('false', '3')
    assert len(tracks) == 1
    response = probe.call(SetBool, 'videomt/set_enabled', SetBool.Request(data=True))
    assert response.success and response.message.startswith('enabled')
    answer = probe.ask(camera, image_of(0.5, **RED), tracks)
    assert (answer.skipped, answer.epoch, answer.tracks[0].age) == (3, 0, 2)
    assert status()[1]['enabled'] == 'true'


def test_a_pause_outlasts_the_states(host, probe, tracks):
    node = host()
    assert probe.call(SetBool, 'videomt/set_enabled', SetBool.Request(data=False)).success
    node.trigger_configure()
    node.trigger_activate()
    camera = probe.publisher('image')
    camera.publish(image_of(0, **RED))
    probe.spin(0.5)
    assert not tracks
    probe.call(SetBool, 'videomt/set_enabled', SetBool.Request(data=True))
    assert probe.ask(camera, image_of(0.1, **RED), tracks).skipped == 1


def test_max_age(start_node, probe, tracks, status):
    node = start_node(max_age=5.0)
    camera = probe.publisher('image')
    now = time.time() - 1_700_000_000.123456789
    for seconds in (now - 20, now - 10):
        camera.publish(image_of(seconds, **RED))
        probe.spin(0.2)
    told = status()[0]
    assert told.level == b'\1' and 's old at its turn and was dropped' in told.message
    assert len(node.find('s old at its turn and was dropped, see max_age')) == 1
    for seconds in (now, now + 60):
        answer = probe.ask(camera, image_of(seconds, **RED), tracks)
        assert answer.header == header(seconds)
    assert [each.skipped for each in tracks] == [2, 0]
    told, values = status()
    assert told.level == b'\0' and values['images dropped as older than max_age'] == '2'
    put(probe, 'max_age', 0.0)
    probe.ask(camera, image_of(now - 20, **RED), tracks)


def test_max_age_on_a_simulated_clock(start_node, probe, tracks, status):
    """The clock stands still, far from the wall's; stamps are held against it alone."""
    start_node(max_age=0.5, use_sim_time=True)
    camera = probe.publisher('image')
    clock = probe.publisher('/clock', message_type=Clock)

    def set_clock(seconds):
        clock.publish(Clock(clock=header(seconds).stamp))
        probe.spin(0.3)

    probe.ask(camera, image_of(-9, **RED), tracks)  # without a clock nothing is known to be old
    set_clock(1.0)
    probe.ask(camera, image_of(0.8, **RED), tracks)
    set_clock(2.0)
    camera.publish(image_of(1.2, **RED))
    probe.spin(0.3)
    answer = probe.ask(camera, image_of(1.9, **RED), tracks)
    assert answer.skipped == 1 and len(tracks) == 3
    assert status()[1]['images dropped as older than max_age'] == '1'


def test_max_rate(start_node, probe, status):
    start_node(cameras='[front, rear]', max_rate=5.0)
    answers = {name: probe.listen(TrackArray, f'videomt/{name}/tracks')
               for name in ('front', 'rear')}
    cameras = {name: probe.publisher(f'{name}/image') for name in answers}
    began = time.monotonic()
    number = 0
    while time.monotonic() - began < 3.0:
        cameras['front'].publish(image_of(number / 25, **RED))
        if number % 10 == 0:
            cameras['rear'].publish(image_of(number / 25, **RED))
        number += 1
        probe.spin(0.04)
    probe.spin(0.5)
    assert 10 <= len(answers['front']) <= 17
    assert len(answers['rear']) == (number + 9) // 10, 'a slow camera loses nothing'
    assert sum(1 + each.skipped for each in answers['front']) >= number - 8
    values = status()[1]
    # Of all that came, as a busy machine may lose some; one may be at work.
    assert int(values['images dropped above max_rate']) >= (
        int(values['images received']) - 18 - int(values['images skipped for a newer one']))
