"""The states of the node: what each transition takes, gives back, and why it fails."""

import gc
from pathlib import Path
import threading
import weakref

from diagnostic_msgs.msg import DiagnosticArray
from harness import image_of
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from videomt_ros.msg import TrackArray

RED = {'red': (32, 16, 32, 32)}


def test_a_manager_leads_the_node(start_node, probe, checkpoint):
    node = start_node(ready=None, autostart='false', checkpoint='/no/such/folder')
    tracks = probe.listen(TrackArray, 'videomt/tracks')

    def change(transition):
        return probe.call(ChangeState, 'videomt/change_state', ChangeState.Request(
            transition=Transition(id=transition))).success

    def state():
        return probe.call(GetState, 'videomt/get_state').current_state.id

    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    assert not change(Transition.TRANSITION_CONFIGURE), 'a bad checkpoint'
    assert '/no/such/folder' in node.wait_for('Cannot configure')
    assert state() == State.PRIMARY_STATE_UNCONFIGURED, 'the node lives'
    set_checkpoint(probe, checkpoint)
    assert change(Transition.TRANSITION_CONFIGURE)
    assert state() == State.PRIMARY_STATE_INACTIVE
    assert probe.node.count_subscribers('image') == 0
    assert not probe.call(Trigger, 'videomt/reset').success
    assert change(Transition.TRANSITION_ACTIVATE)
    camera = probe.publisher('image')
    probe.ask(camera, image_of(0, **RED), tracks)
    assert change(Transition.TRANSITION_DEACTIVATE)
    probe.wait(lambda: not camera.get_subscription_count(), 'the end of the subscription')
    assert change(Transition.TRANSITION_ACTIVATE)
    probe.wait(camera.get_subscription_count, 'the new subscription')
    probe.spin(0.3)
    assert probe.ask(camera, image_of(0.1, **RED), tracks).tracks[0].age == 2
    assert change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state() == State.PRIMARY_STATE_FINALIZED
    assert node.stop() == 0


def set_checkpoint(probe, checkpoint):
    request = SetParameters.Request(
        parameters=[Parameter('checkpoint', value=str(checkpoint)).to_parameter_msg()])
    assert probe.call(SetParameters, 'videomt/set_parameters', request).results[0].successful


def workers():
    return sum(thread.name == 'videomt_worker' for thread in threading.enumerate())


def test_ten_cycles_leave_nothing_behind(probe, host):
    node = host()
    networks, counts = [], set()
    for _ in range(10):
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        networks.append(weakref.ref(node._segmenter.network))
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        assert workers() == 1
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        counts.add((len(list(node.publishers)), len(list(node.subscriptions)),
                    workers()))
    assert len(counts) == 1 and counts.pop()[2] == 0
    gc.collect()
    assert not [alive for network in networks if (alive := network())]


def test_ten_cycles_of_a_process_take_nothing(start_node, probe):
    """Memory, threads and endpoints of a real node that has worked in each cycle."""
    node = start_node(ready=None, autostart='false')
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.node.create_publisher(Image, 'image', 1)

    def change(transition):
        assert probe.call(ChangeState, 'videomt/change_state', ChangeState.Request(
            transition=Transition(id=transition))).success

    def status():
        lines = Path(f'/proc/{node.pid}/status').read_text().splitlines()
        values = dict(line.split(':', 1) for line in lines)
        return int(values['VmRSS'].split()[0]) / 1024, int(values['Threads'])

    memory, threads = [], []
    for number in range(10):
        change(Transition.TRANSITION_CONFIGURE)
        change(Transition.TRANSITION_ACTIVATE)
        probe.wait(camera.get_subscription_count, 'the subscription')
        probe.spin(0.2)
        answer = probe.ask(camera, image_of(number, **RED), tracks)
        assert [track.track_id for track in answer.tracks] == [1], 'it knows of no cycle before'
        change(Transition.TRANSITION_DEACTIVATE)
        change(Transition.TRANSITION_CLEANUP)
        probe.wait(lambda: not camera.get_subscription_count(), 'the end of the subscription')
        probe.wait(lambda: not probe.node.count_publishers('videomt/tracks'), 'that of the topics')
        taken = status()
        memory.append(taken[0])
        threads.append(taken[1])
    print(memory, threads)
    assert memory[-1] - memory[2] < 5, 'MiB'
    assert set(threads[2:]) == {threads[2]}
    assert node.stop() == 0


@pytest.mark.parametrize('parameters,words', [
    ({'classes': ['purple']}, 'purple'),
    ({'cameras': ['not a name']}, 'not a name'),
    ({'device': 'toaster'}, 'toaster'),
])
def test_configure_fails_with_the_reason(host, capfd, parameters, words):
    node = host(**parameters)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    line, = capfd.readouterr().err.splitlines()
    assert 'Cannot configure' in line and words in line
    assert not list(node.subscriptions)


def test_activate_fails_with_the_reason(host, capfd):
    node = host(**{'qos_overrides./image.subscription.reliability': 'perhaps'})
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert "'perhaps'; expected auto, reliable or best_effort" in capfd.readouterr().err
    assert workers() == 0


def test_diagnostics_of_an_inactive_node(probe, host):
    node = host(cameras=['front', 'rear'])
    got = probe.listen(DiagnosticArray, '/diagnostics')
    probe.wait(lambda: got, 'diagnostics')
    status, = got[-1].status
    assert (status.level, status.message) == (b'\3', 'not configured')
    node.trigger_configure()
    got.clear()
    probe.wait(lambda: got, 'diagnostics')
    assert [s.name for s in got[-1].status] == ['videomt: camera front', 'videomt: camera rear']
    assert all(s.level == b'\3' and s.message == 'not active' for s in got[-1].status)
