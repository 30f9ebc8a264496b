"""Every encoding on its way through DDS into the node: what is red in it is found."""

import cv2
from harness import header, scene
import numpy as np
import pytest
from test_images import message
from videomt_ros.msg import TrackArray
from videomt_ros.ros.encodings import ENCODINGS

RED = {'red': (32, 32, 48, 48)}
RGB = scene(**RED)


def mosaic(pattern, dtype):
    """Let each pixel see one colour, as the sensor of a camera does."""
    picture = np.zeros(RGB.shape[:2], dtype)
    for index, colour in enumerate(pattern):
        channel = 'rgb'.index(colour)
        picture[index // 2::2, index % 2::2] = RGB[index // 2::2, index % 2::2, channel]
    return picture * np.array(257 if dtype == np.uint16 else 1, dtype)


def planar(order):
    planes = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420)
    height, width = RGB.shape[:2]
    colours = planes[height:].reshape(2, height // 2, width // 2)
    return np.vstack([planes[:height],
                      np.dstack(colours[::order]).reshape(height // 2, width)])


def samples(encoding):
    if encoding.startswith('bayer'):
        pattern = encoding[6:10]
        return mosaic(pattern, np.uint16 if encoding.endswith('16') else np.uint8)
    if encoding in ('nv12', 'nv21'):
        return planar(1 if encoding == 'nv12' else -1)
    codes = {'rgb8': None, 'bgr8': cv2.COLOR_RGB2BGR, '8UC3': cv2.COLOR_RGB2BGR,
             'rgba8': cv2.COLOR_RGB2RGBA, 'bgra8': cv2.COLOR_RGB2BGRA,
             'mono8': cv2.COLOR_RGB2GRAY, 'mono16': cv2.COLOR_RGB2GRAY,
             'yuv422': cv2.COLOR_RGB2YUV_UYVY, 'uyvy': cv2.COLOR_RGB2YUV_UYVY,
             'yuv422_yuy2': cv2.COLOR_RGB2YUV_YUY2, 'yuyv': cv2.COLOR_RGB2YUV_YUY2}
    code = codes[encoding]
    pixels = RGB if code is None else cv2.cvtColor(RGB, code)
    return pixels.astype(np.uint16) * 257 if encoding.endswith('16') else pixels


@pytest.mark.parametrize('padding,bigendian', [(0, False), (6, True)])
def test_red_is_red(host, probe, padding, bigendian):
    node = host()
    node.trigger_configure()
    node.trigger_activate()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    truth = RGB[..., 0] > 0
    for number, encoding in enumerate(ENCODINGS):
        image = message(samples(encoding), encoding, padding, bigendian and '16' in encoding,
                        height=RGB.shape[0])
        image.header = header(number / 10)
        answer = probe.ask(camera, image, tracks)
        assert answer.header == image.header and answer.epoch == 0
        seen = [track for track in answer.tracks if track.area]
        if encoding.startswith('mono'):
            assert not seen, 'grey is not red'
            continue
        track, = seen
        assert track.class_name == 'red', encoding
        assert abs(track.area - truth.sum()) < 0.06 * truth.sum(), encoding
