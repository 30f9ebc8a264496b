"""What is made only when it is wanted, of a node that stands in a namespace as on a fleet."""

from diagnostic_msgs.msg import DiagnosticArray
from harness import image_of
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger
from videomt_ros.msg import SegmentationMask, TrackArray

RED = {'red': (32, 16, 32, 32)}


def test_outputs_and_single_images_on_demand(start_node, probe):
    node = start_node('-r', '__ns:=/robot_3')
    own = '/robot_3/videomt'
    tracks = probe.listen(TrackArray, f'{own}/tracks')
    reports = probe.listen(DiagnosticArray, '/diagnostics')
    camera = probe.publisher('/robot_3/image')

    def values():
        reports.clear()
        probe.wait(lambda: len(reports) > 1, 'diagnostics')
        status, = reports[-1].status
        assert status.name == 'robot_3/videomt: the camera'
        return {value.key: value.value for value in status.values}

    def allow(*names):
        request = SetParameters.Request(parameters=[
            Parameter('outputs', value=list(names)).to_parameter_msg()])
        return probe.call(SetParameters, f'{own}/set_parameters', request).results[0]

    probe.ask(camera, image_of(0, **RED), tracks)
    told = values()
    assert told['outputs that somebody hears'] == 'tracks'
    assert 50 < int(told['memory of the process [MiB]']) < 2000

    masks = probe.listen(SegmentationMask, f'{own}/mask')
    overlays = probe.listen(Image, f'{own}/overlay')
    compressed = probe.listen(CompressedImage, f'{own}/overlay/compressed')
    probe.wait(lambda: values()['outputs that somebody hears']
               == 'tracks, mask, overlay, overlay/compressed', 'all subscriptions')

    def ask(seconds):
        for got in (masks, overlays, compressed):
            got.clear()
        answer = probe.ask(camera, image_of(seconds, **RED), tracks)
        probe.spin(0.4)
        assert all(each.header == answer.header for got in (masks, overlays, compressed)
                   for each in got)
        return len(masks), len(overlays), len(compressed)

    assert ask(0.1) == (1, 1, 1)
    assert allow('mask', 'overlay/compressed').successful
    assert ask(0.2) == (1, 0, 1)
    refused = allow('mask', 'overlai')
    assert not refused.successful and "'overlai'" in refused.reason
    assert allow('').successful
    assert ask(0.3) == (1, 1, 1)

    # A single image now and then: the node is paused, and asked for one.
    response = probe.call(Trigger, f'{own}/process_once')
    assert not response.success and 'nothing is paused' in response.message
    assert probe.call(SetBool, f'{own}/set_enabled', SetBool.Request(data=False)).success
    count = len(tracks)
    for number in range(3):
        camera.publish(image_of(0.4 + number / 10, **RED))
        probe.spin(0.1)
    assert probe.call(Trigger, f'{own}/process_once').success
    answer = probe.ask(camera, image_of(0.8, **RED), tracks)
    assert (answer.skipped, answer.tracks[0].age) == (3, 5)
    camera.publish(image_of(0.9, **RED))
    probe.spin(0.5)
    assert len(tracks) == count + 1
    topics = {name for name, _ in probe.node.get_topic_names_and_types()}
    strangers = {name for name in topics if not name.startswith('/robot_3/')}
    assert strangers <= {'/diagnostics', '/parameter_events', '/rosout', '/clock'}
    assert node.stop() == 0
