"""Outputs for those who combine: the mask's calibration, and the overlay for a thin link."""

import cv2
from harness import header, image_of, scene
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from videomt_ros.msg import TrackArray
from videomt_ros.ros.images import array_to_jpeg, image_to_rgb

RED = {'red': (32, 16, 32, 32)}


def calibration(seconds, focal):
    info = CameraInfo(header=header(seconds), height=96, width=128, distortion_model='plumb_bob')
    info.k = [focal, 0., 64., 0., focal, 48., 0., 0., 1.]
    return info


@pytest.mark.parametrize('name', ['', 'front'])
def test_calibration_under_the_stamp_of_the_mask(start_node, probe, name):
    start_node(**({'cameras': f'[{name}, rear]'} if name else {}))
    inside, outside = (f'{name}/', f'videomt/{name}/') if name else ('', 'videomt/')
    tracks = probe.listen(TrackArray, f'{outside}tracks')
    masks = probe.listen(Image, f'{outside}mask_image')
    infos = probe.listen(CameraInfo, f'{outside}mask/camera_info')
    camera = probe.publisher(f'{inside}image')
    calibrator = probe.publisher(f'{inside}camera_info', qos_profile_sensor_data, CameraInfo)
    probe.ask(camera, image_of(0, **RED), tracks)
    probe.spin(0.3)
    assert len(masks) == 1 and not infos, 'nothing is known yet'
    for number, focal in ((1, 100.0), (2, 200.0)):
        info = calibration(number - 0.001, focal)
        calibrator.publish(info)
        probe.spin(0.3)
        image = image_of(number, **RED)
        probe.ask(camera, image, tracks)
        probe.wait(lambda n=number: len(infos) == n, 'the calibration')
        probe.wait(lambda n=number: len(masks) == n + 1, 'the mask')
        assert infos[-1].header == masks[-1].header == image.header
        info.header = image.header
        assert infos[-1] == info


def test_compressed_overlay(start_node, probe):
    start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    probe.ask(camera, image_of(0, **RED), tracks)
    raw = probe.listen(Image, 'videomt/overlay')
    compressed = probe.listen(CompressedImage, 'videomt/overlay/compressed')
    probe.wait(lambda: probe.node.count_publishers('videomt/overlay/compressed'), 'the topic')
    probe.spin(0.5)
    image = image_of(0.1, **RED)
    probe.ask(camera, image, tracks)
    probe.wait(lambda: raw and compressed, 'both pictures')
    picture, = compressed
    assert picture.header == raw[0].header == image.header
    assert picture.format == 'rgb8; jpeg compressed bgr8'
    truth = image_to_rgb(raw[0])
    difference = np.abs(image_to_rgb(picture).astype(int) - truth)
    assert image_to_rgb(picture).shape == truth.shape and difference.mean() < 6


def test_jpeg_keeps_the_colours():
    picture = cv2.blur(scene(red=(16, 16, 48, 64), blue=(64, 16, 48, 64)), (5, 5))
    image = array_to_jpeg(picture, header(3))
    assert image.header == header(3) and bytes(image.data[:2]) == b'\xff\xd8'
    assert np.abs(image_to_rgb(image).astype(int) - picture).mean() < 6
