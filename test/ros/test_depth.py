"""Depth images in the encodings of REP 118, and the matrix of the camera that took them."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from videomt_ros.ros.depth import read_depth
from videomt_ros.ros.pinhole import CalibrationError, Pinhole, read_pinhole
from videomt_ros.ros.pixels import ImageError

MILLIMETRES = np.array([[0, 1, 1500], [65535, 2000, 0]], np.uint16)


def message(pixels, encoding, padding=0, big=False):
    data = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<'))
    rows = np.pad(data.view(np.uint8).reshape(len(data), -1), ((0, 0), (0, padding)),
                  constant_values=255)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                  is_bigendian=big, step=rows.shape[1])
    image.data.frombytes(rows.tobytes())
    return image


def everything(depth):
    height, width = depth.samples.shape
    return depth.metres(np.arange(height), np.arange(width))


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 3, 8])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_millimetres(encoding, padding, big):
    found = everything(read_depth(message(MILLIMETRES, encoding, padding, big)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 0.001, 1.5], [65.535, 2, 0]], rtol=1e-6)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 3, 8])
def test_metres_of_which_some_were_not_measured(padding, big):
    metres = np.array([[0, -1, np.nan, 1.25], [np.inf, -np.inf, 30.5, 1e-3], [3e38] * 4],
                      np.float32)
    with np.errstate(all='raise'):
        found = everything(read_depth(message(metres, '32FC1', padding, big)))
    np.testing.assert_allclose(found, [[0, 0, 0, 1.25], [0, 0, 30.5, 1e-3], [0] * 4], rtol=1e-6)


def test_what_lies_outside_was_not_measured():
    depth = read_depth(message(MILLIMETRES, '16UC1'))
    found = depth.metres(np.array([-1, 0, 1, 2]), np.array([-5, 2, 1, 3, 0]))
    np.testing.assert_allclose(found, [[0] * 5, [0, 1.5, 0.001, 0, 0], [0, 0, 2, 0, 65.535],
                                       [0] * 5], rtol=1e-6)


@pytest.mark.parametrize('changes,words', [
    ({'encoding': '16UC1; compressedDepth'}, ["'16UC1; compressedDepth'", 'one of 16UC1']),
    ({'encoding': 'rgb8'}, ["'rgb8'", '32FC1']),
    ({'width': 0}, ['no pixels']),
    ({'step': 5}, ['step 5', 'at least 6']),
    ({'height': 3}, ['truncated', '12 bytes', 'expected 18']),
    ({'height': 1}, ['overlong', '12 bytes', 'expected 6']),
])
def test_what_is_no_depth_image_says_why(changes, words):
    image = message(MILLIMETRES, '16UC1')
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ImageError) as error:
        read_depth(image)
    assert all(word in str(error.value) for word in words), error.value


def calibration(**changes):
    info = CameraInfo(width=640, height=480)
    info.k = [500., 0., 320., 0., 510., 240., 0., 0., 1.]
    info.p = [520., 0., 310., -30., 0., 530., 250., 0., 0., 0., 1., 0.]
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def test_matrix_of_rectified_images_comes_first():
    assert read_pinhole(calibration(), 480, 640) == Pinhole(520, 530, 310, 250)
    assert read_pinhole(calibration(p=[0.] * 12), 480, 640) == Pinhole(500, 510, 320, 240)
    assert read_pinhole(calibration(width=0, height=0), 96, 64) == Pinhole(520, 530, 310, 250)


def test_matrix_of_a_smaller_image_and_of_a_part():
    half = read_pinhole(calibration(binning_x=2, binning_y=2), 240, 320)
    assert half == Pinhole(260, 265, 154.75, 124.75)
    part = calibration()
    part.roi.x_offset, part.roi.y_offset, part.roi.width, part.roi.height = 100, 50, 320, 240
    assert read_pinhole(part, 240, 320) == Pinhole(520, 530, 210, 200)


@pytest.mark.parametrize('changes,size,words', [
    ({'k': [0.] * 9, 'p': [0.] * 12}, (480, 640), 'focal lengths 0 and 0'),
    ({'p': [float('nan')] * 12}, (480, 640), 'nan'),
    ({}, (720, 1280), '640x480 pixels, the image of 1280x720'),
])
def test_calibration_that_cannot_be_used_says_why(changes, size, words):
    with pytest.raises(CalibrationError, match=words):
        read_pinhole(calibration(**changes), *size)


def test_points_are_where_the_pixels_look():
    z = np.array([[1., 2., 4.]], np.float32)
    points = Pinhole(100, 50, 10, 20).points(np.array([30.]), np.array([0., 10., 35.]), z,
                                             np.array([0, 2]))
    np.testing.assert_allclose(points, [[-0.1, 0.2, 1], [1, 0.8, 4]], rtol=1e-6)
