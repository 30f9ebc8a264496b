"""Weights that give no finite numbers: each image is told apart, and at last the node gives up."""

from colour_network import colour_network
from diagnostic_msgs.msg import DiagnosticArray
from harness import image_of
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
import torch
from videomt_ros.msg import TrackArray

RED, BLUE = {'red': (32, 16, 32, 32)}, {'blue': (32, 16, 32, 32)}


@pytest.fixture
def broken_checkpoint(tmp_path):
    """Give a folder with weights whose class scores are never a number."""
    network = colour_network()
    with torch.no_grad():
        network.class_head.bias.fill_(float('nan'))
    network.save_pretrained(tmp_path / 'nan')
    return tmp_path / 'nan'


def test_weights_that_give_nan(start_node, probe, broken_checkpoint, checkpoint):
    node = start_node(checkpoint=broken_checkpoint, max_failures=4)
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics')
    camera = probe.publisher('image')

    def status():
        diagnostics.clear()  # the next may have been filled before
        probe.wait(lambda: len(diagnostics) >= 2, 'diagnostics')
        return diagnostics[-1].status[0]

    def state():
        return probe.call(GetState, 'videomt/get_state').current_state.id

    def fail(number):
        camera.publish(image_of(number / 10, **RED))
        probe.spin(0.4)

    for number in range(3):
        fail(number)
    told = status()
    assert told.level == b'\2' and 'FloatingPointError' in told.message
    assert {value.key: value.value for value in told.values}[
        'images failed: network: FloatingPointError'] == '3'
    assert state() == State.PRIMARY_STATE_ACTIVE

    fail(3)
    assert '4 times in a row' in node.wait_for('Giving up')
    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    told = status()
    assert told.level == b'\2' and 'not finite' in told.message
    assert '4 times in a row' in told.message and 'configure the node again' in told.message
    probe.wait(lambda: not camera.get_subscription_count(), 'the end of the subscription')
    assert not tracks and len(node.find('The network failed on the camera')) == 1

    # With other weights the same process serves again.
    request = SetParameters.Request(
        parameters=[Parameter('checkpoint', value=str(checkpoint)).to_parameter_msg()])
    assert probe.call(SetParameters, 'videomt/set_parameters', request).results[0].successful
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert probe.call(ChangeState, 'videomt/change_state', ChangeState.Request(
            transition=Transition(id=transition))).success
    probe.wait(camera.get_subscription_count, 'the new subscription')
    probe.spin(0.3)
    answer = probe.ask(camera, image_of(1, **RED), tracks)
    assert [track.class_name for track in answer.tracks] == ['red']
    assert status().level == b'\0'
    assert node.stop() == 0


def test_failures_between_results_are_survived(host, probe, monkeypatch):
    """A picture that the device has no memory for costs the memory, not the node."""
    node = host(max_failures=2)
    node.trigger_configure()
    node.trigger_activate()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    run = node._segmenter._engine

    def scarce(pixels, *rest):
        if pixels[:, 2].any():  # blue
            raise torch.OutOfMemoryError('CUDA out of memory')
        return run(pixels, *rest)

    monkeypatch.setattr(node._segmenter, '_engine', scarce)
    for number in range(3):
        camera.publish(image_of(number, **BLUE))
        probe.spin(0.3)
        answer = probe.ask(camera, image_of(number + 0.5, **RED), tracks)
        assert (answer.epoch, answer.tracks[-1].track_id) == (number, number + 1)
    assert len(tracks) == 3
