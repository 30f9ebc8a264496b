"""Every encoding on its way through DDS into the node: what is red in it is found."""

import cv2
from harness import header, scene
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from test_images import message
from videomt_ros.msg import TrackArray
from videomt_ros.ros.encodings import ENCODINGS
from videomt_ros.ros.images import image_to_rgb

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


@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_the_compressed_mosaic_of_a_bayer_camera(pattern, depth):
    encoding = f'bayer_{pattern}{depth}'
    pixels = samples(encoding)
    raw = image_to_rgb(message(pixels, encoding))
    for extension, word, tolerance in (('.png', 'png', 0), ('.jpg', 'jpeg', 40)):
        if word == 'jpeg':  # which has no 16 bits
            pixels = (pixels >> depth - 8).astype(np.uint8)
        image = CompressedImage(format=f'{encoding}; {word} compressed ')
        image.data = cv2.imencode(extension, pixels)[1].tobytes()
        found = image_to_rgb(image)
        assert np.abs(found.astype(int) - raw)[34:46, 34:46].max() <= tolerance
    # What the sender has made grey is not taken apart again.
    image.format = f'{encoding}; jpeg compressed mono8'
    grey = image_to_rgb(image)
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize('tail', [b'\r\n', b'\xff' * 16, bytes(500), b'\r\n--frame\r\n'])
@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_what_senders_append_to_a_picture(extension, tail):
    whole = cv2.imencode(extension, RGB)[1].tobytes()
    found, wanted = (
        image_to_rgb(CompressedImage(format=extension[1:], data=data))
        for data in (whole + tail, whole))
    np.testing.assert_array_equal(found, wanted)
