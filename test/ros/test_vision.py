"""What vision_msgs is for, with a build of its messages: labels that are latched, and boxes."""

import json
from pathlib import Path

from harness import header, image_of
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from videomt_ros.msg import TrackArray
from videomt_ros.ros.stamps import nanoseconds

HERE = Path(__file__).parent
RED, BLUE = (32, 16, 32, 32), (0, 64, 48, 16)


def test_navigation_reconstruction_and_boxes(
        start, probe, checkpoint, stand_in):
    vision_environment = stand_in('vision_msgs')
    node = start('-m', 'videomt_ros.ros.node', '--ros-args', '-p', f'checkpoint:={checkpoint}',
                 '-p', 'engine:=eager', environment=vision_environment)
    node.wait_for('Configured')
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    calibrator = probe.publisher('camera_info', qos_profile_sensor_data, CameraInfo)
    info = CameraInfo(header=header(0), height=96, width=128)
    info.k = [100., 0., 64., 0., 100., 48., 0., 0., 1.]
    calibrator.publish(info)
    probe.ask(camera, image_of(0, red=RED, blue=BLUE), tracks)
    # The labels were told long before those come who need them.
    consumers = start(HERE / 'consumers_process.py', environment=vision_environment)
    labels = json.loads(consumers.wait_for('"labels"'))
    assert labels['names'] == ['red', 'green', 'blue'] and labels['ids'] == [0, 1, 2]
    assert labels['threshold'] == pytest.approx(0.3)
    probe.wait(lambda: probe.node.count_subscribers('videomt/mask/camera_info'), 'the consumers')
    probe.spin(0.5)

    image = image_of(0.1, red=RED, blue=BLUE)
    answer = probe.ask(camera, image, tracks)
    told = {what: json.loads(consumers.wait_for(f'"{what}"'))
            for what in ('navigation', 'reconstruction', 'detections')}
    assert {each['stamp'] for each in told.values()} == {nanoseconds(image.header.stamp)}
    areas = {track.class_name: track.area for track in answer.tracks}
    navigation = told['navigation']
    assert navigation['pixels'] == areas and set(areas) == {'red', 'blue'}
    assert navigation['nothing'] == 96 * 128 - sum(areas.values())
    assert navigation['least_sure'] > 64 and navigation['size'] == [96, 128]
    assert navigation['frame_id'] == image.header.frame_id
    reconstruction = told['reconstruction']
    assert reconstruction['pixels'] == sum(areas.values())
    assert reconstruction['focal'] == 100 and reconstruction['fits']
    found = told['detections']['found']
    assert set(found) == {str(track.track_id) for track in answer.tracks}
    for track in answer.tracks:
        x, y, width, height = RED if track.class_name == 'red' else BLUE
        assert found[str(track.track_id)] == [
            track.class_name, pytest.approx(track.score), x + width / 2, y + height / 2, 0.0,
            width, height]

    # An object that is gone has no box, and another threshold is told to all who listen.
    probe.ask(camera, image_of(0.2, blue=BLUE), tracks)
    told = json.loads(consumers.wait_for('"detections"', times=2))
    assert [each[0] for each in told['found'].values()] == ['blue']
    request = SetParameters.Request(
        parameters=[Parameter('keep_score', value=0.2).to_parameter_msg()])
    assert probe.call(SetParameters, 'videomt/set_parameters', request).results[0].successful
    assert json.loads(consumers.wait_for('"labels"', times=2))['threshold'] == pytest.approx(0.2)
    assert consumers.find('Traceback') == [] and node.stop() == 0
