"""Images between messages and arrays: every encoding against OpenCV, and every way to be wrong."""

from array import array
import sys
import tracemalloc

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from videomt_ros.ros.encodings import ENCODINGS
from videomt_ros.ros.images import array_to_image, image_to_labels, image_to_rgb, ImageError

HEIGHT, WIDTH = 6, 10
RNG = np.random.default_rng(7)


def message(samples, encoding, padding=0, bigendian=False, height=None):
    """Lay samples, (rows, ...) in native order, into an image message."""
    order = '>' if bigendian else '<'
    rows = samples.astype(samples.dtype.newbyteorder(order)).reshape(len(samples), -1)
    rows = rows.view(np.uint8)
    noise = RNG.integers(0, 256, (len(rows), padding), dtype=np.uint8)
    data = np.hstack([rows, noise])
    image = Image(height=len(rows) if height is None else height, width=samples.shape[1],
                  encoding=encoding, step=data.shape[1], is_bigendian=bigendian)
    image.data.frombytes(data.tobytes())
    return image


def random(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def to_8_bit(picture):
    return np.rint(picture.astype(np.float64) * 255 / 65535).astype(np.uint8)


COLOUR = random(HEIGHT, WIDTH, 3)
ALPHA = random(HEIGHT, WIDTH, 4)
GREY = random(HEIGHT, WIDTH)
GREY16 = random(HEIGHT, WIDTH, dtype=np.uint16)
PAIRS = random(HEIGHT, WIDTH, 2)
PLANES = random(HEIGHT * 3 // 2, WIDTH)

CASES = {
    'rgb8': (COLOUR, COLOUR),
    'bgr8': (COLOUR, COLOUR[..., ::-1]),
    '8UC3': (COLOUR, COLOUR[..., ::-1]),
    'rgba8': (ALPHA, ALPHA[..., :3]),
    'bgra8': (ALPHA, ALPHA[..., 2::-1]),
    'mono8': (GREY, np.dstack([GREY] * 3)),
    'mono16': (GREY16, np.dstack([to_8_bit(GREY16)] * 3)),
    'yuv422': (PAIRS, cv2.cvtColor(PAIRS, cv2.COLOR_YUV2RGB_Y422)),
    'uyvy': (PAIRS, cv2.cvtColor(PAIRS, cv2.COLOR_YUV2RGB_Y422)),
    'yuv422_yuy2': (PAIRS, cv2.cvtColor(PAIRS, cv2.COLOR_YUV2RGB_YUY2)),
    'yuyv': (PAIRS, cv2.cvtColor(PAIRS, cv2.COLOR_YUV2RGB_YUY2)),
    'nv12': (PLANES, cv2.cvtColor(PLANES, cv2.COLOR_YUV2RGB_NV12)),
    'nv21': (PLANES, cv2.cvtColor(PLANES, cv2.COLOR_YUV2RGB_NV21)),
}
# The first row's first two pixels name the pattern, as in sensor_msgs and in these OpenCV names.
for pattern in ('RGGB', 'BGGR', 'GBRG', 'GRBG'):
    code = getattr(cv2, f'COLOR_Bayer{pattern}2RGB')
    CASES[f'bayer_{pattern.lower()}8'] = (GREY, cv2.cvtColor(GREY, code))
    CASES[f'bayer_{pattern.lower()}16'] = (GREY16, to_8_bit(cv2.cvtColor(GREY16, code)))


def test_every_encoding_has_a_case():
    assert set(CASES) == set(ENCODINGS)


@pytest.mark.parametrize('padding', [0, 2, 5])
@pytest.mark.parametrize('encoding', CASES)
def test_encoding_against_opencv(encoding, padding):
    samples, expected = CASES[encoding]
    rgb = image_to_rgb(message(samples, encoding, padding, height=HEIGHT))
    assert rgb.shape == (HEIGHT, WIDTH, 3) and rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize('encoding', [name for name in CASES if name.endswith('16')])
def test_big_endian(encoding):
    samples, expected = CASES[encoding]
    np.testing.assert_array_equal(image_to_rgb(message(samples, encoding, 4, bigendian=True)),
                                  expected)


@pytest.mark.parametrize('pattern,first', [('rggb', 0), ('bggr', 2)])
def test_bayer_pattern_is_named_by_its_first_pixel(pattern, first):
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[::2, ::2] = 200  # only the first pixel of each 2x2 sees light: pure red or pure blue
    rgb = image_to_rgb(message(mosaic, f'bayer_{pattern}8'))
    colour = [0, 0, 0]
    colour[first] = 200
    assert rgb[4, 4].tolist() == colour


def test_rgb8_is_a_view_of_the_message():
    image = message(COLOUR, 'rgb8', padding=3)
    assert np.shares_memory(image_to_rgb(image), np.frombuffer(image.data, np.uint8))


def test_last_row_may_lack_its_padding():
    image = message(COLOUR, 'rgb8', padding=4)
    del image.data[-4:]
    np.testing.assert_array_equal(image_to_rgb(image), COLOUR)


def good(**changes):
    image = message(COLOUR, 'rgb8')
    for name, value in changes.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize('image,cause,words', [
    (good(encoding='rgb7'), 'encoding rgb7', ["'rgb7'", 'expected one of rgb8, bgr8']),
    (good(encoding=''), 'encoding ', ["encoding ''"]),
    (good(encoding='16UC1'), 'encoding 16UC1', ["'16UC1'"]),
    (good(data=bytes(179)), 'truncated rgb8', ['10x6', '179 bytes', 'expected 180']),
    (good(data=b''), 'truncated rgb8', ['carries 0 bytes']),
    (good(data=bytes(181)), 'overlong rgb8', ['181 bytes', 'expected 180']),
    (good(height=0), 'zero size', ['10x0']),
    (good(width=0), 'zero size', ['0x6']),
    (good(step=29), 'step rgb8', ['step 29', 'at least 30 bytes']),
    (good(step=0), 'step rgb8', ['step 0']),
    (good(width=2**32 - 1, height=2**32 - 1), 'step rgb8', ['4294967295x4294967295']),
    (good(height=2**32 - 1), 'truncated rgb8', ['10x4294967295']),
    (message(random(4, 5, 2), 'yuv422'), 'odd size yuv422', ['5x4']),
    (message(random(7, 10), 'nv12', height=5), 'odd size nv12', ['10x5']),
])
def test_unusable_image(image, cause, words):
    with pytest.raises(ImageError) as error:
        image_to_rgb(image)
    assert error.value.cause == cause
    for word in words:
        assert word in str(error.value)
    assert '\n' not in str(error.value)


def compressed(extension, picture, label=None):
    data = cv2.imencode(extension, picture[..., ::-1])[1]
    image = CompressedImage(format=label or extension[1:])
    image.data.frombytes(data.tobytes())
    return image


def test_png_is_exact():
    np.testing.assert_array_equal(image_to_rgb(compressed('.png', COLOUR)), COLOUR)


def test_jpeg_is_what_opencv_decodes():
    smooth = cv2.resize(COLOUR, (80, 60))
    image = compressed('.jpg', smooth, 'rgb8; jpeg compressed bgr8')
    expected = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(image_to_rgb(image), expected)
    assert np.abs(expected.astype(int) - smooth).mean() < 6
    image.data.frombytes(bytes(100))  # as some cameras pad their buffers
    np.testing.assert_array_equal(image_to_rgb(image), expected)


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_truncated_compressed_image(extension):
    image = compressed(extension, cv2.resize(COLOUR, (80, 60)))
    del image.data[len(image.data) // 2:]
    with pytest.raises(ImageError, match='truncated') as error:
        image_to_rgb(image)
    assert error.value.cause == f'truncated {extension[1:]}'


@pytest.mark.parametrize('data', [b'', b'no picture at all', bytes(1000)])
def test_unreadable_compressed_image(data):
    image = CompressedImage(format='16UC1; compressedDepth')
    image.data.frombytes(data)
    with pytest.raises(ImageError, match='expected a whole JPEG or PNG'):
        image_to_rgb(image)


@pytest.mark.parametrize('pixels,encoding', [
    (COLOUR, 'rgb8'), (GREY, 'mono8'), (GREY16, 'mono16'), (COLOUR[:, ::2], 'rgb8'),
])
def test_array_to_image(pixels, encoding):
    header = Header(frame_id='cam')
    header.stamp.nanosec = 123456789
    image = array_to_image(pixels, header)
    assert image.header == header
    assert (image.encoding, image.height, image.width) == (encoding, *pixels.shape[:2])
    assert image.step * image.height == len(image.data) == pixels.nbytes
    assert image.is_bigendian == (sys.byteorder == 'big')
    assert image.data.tobytes() == pixels.tobytes()


@pytest.mark.parametrize('pixels', [
    np.zeros((720, 1280, 3), np.uint8), np.zeros((720, 1280), np.uint8),
    np.zeros((720, 1280), np.uint16),
], ids=['rgb8', 'mono8', 'mono16'])
def test_an_image_going_out_is_copied_once(pixels):
    header = Header()
    array_to_image(pixels, header)  # what is made once only is made now
    tracemalloc.start()
    try:
        image = array_to_image(pixels, header)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(image.data, array) and image.data.typecode == 'B'
    # An array that grows takes a sixteenth more than it needs.
    assert pixels.nbytes <= kept <= peak < 1.1 * pixels.nbytes


@pytest.mark.parametrize('pixels', [
    np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3), np.uint16),
])
def test_array_without_encoding(pixels):
    with pytest.raises(ValueError, match='expected'):
        array_to_image(pixels, Header())


@pytest.mark.parametrize('labels', [GREY, GREY16])
def test_labels_round_trip(labels):
    image = array_to_image(labels, Header())
    back = image_to_labels(image)
    assert back.dtype == labels.dtype
    np.testing.assert_array_equal(back, labels)


def test_labels_of_a_colour_image():
    with pytest.raises(ImageError, match='expected mono8 or mono16'):
        image_to_labels(array_to_image(COLOUR, Header()))
