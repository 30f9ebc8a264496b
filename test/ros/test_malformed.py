"""Hundreds of images of which none is one, quickly one after the other: the node goes on."""

from harness import header, image_of
import numpy as np
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from test_images import compressed
from videomt_ros.msg import TrackArray
from videomt_ros.ros.encodings import ENCODINGS

RED = {'red': (32, 16, 32, 32)}
RNG = np.random.default_rng(11)
HUGE = 2 ** 32 - 1


def noise(length):
    return RNG.integers(0, 256, length, dtype=np.uint8).tobytes()


def raw(seconds, **fields):
    image = image_of(seconds, **RED)
    for name, value in fields.items():
        setattr(image, name, value)
    return image


def malformed_images():
    """Make a few of every kind; none of them holds a picture."""
    size = 96 * 128 * 3
    for encoding in ENCODINGS:
        yield {'encoding': encoding, 'data': b''}
        yield {'encoding': encoding, 'data': noise(77)}
        yield {'encoding': encoding, 'step': 1}
        yield {'encoding': encoding, 'height': HUGE, 'width': HUGE, 'step': HUGE}
        yield {'encoding': encoding, 'width': 0}
    for encoding in ('', ' ', 'RGB8', 'rgb88', 'jpeg', '16UC1', '32FC1', 'rgb8; jpeg', 'ü' * 300,
                     'yuv420p', 'bayer_rggb12', '8UC0', '64FC1000', '../../etc/passwd', '%s%n{}'):
        yield {'encoding': encoding}
        yield {'encoding': encoding, 'data': b'', 'height': 0, 'width': 0, 'step': 0}
    for length in (1, 2, size - 1, size + 1, 2 * size):
        yield {'data': noise(length)}
    for step in (0, 383, HUGE):
        yield {'step': step}
    for field in ('height', 'width'):
        for value in (0, 97 if field == 'height' else 129, 2 ** 31, HUGE):
            yield {field: value}
    for encoding, field in (('nv12', 'height'), ('nv21', 'width'), ('yuyv', 'width')):
        yield {'encoding': encoding, field: 95, 'step': 128, 'data': noise(96 * 128 * 3 // 2)}


def test_malformed_images(start_node, probe):
    """Each is refused and counted, the memory is untouched, each cause is told at most once."""
    node = start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image', QoSProfile(depth=500))
    probe.spin(1.0)  # until it is asked for reliable
    first = probe.ask(camera, image_of(0, **RED), tracks)
    sent = 0
    for number, fields in enumerate(malformed_images()):
        image = raw(0.1 + number / 1000, **fields)
        camera.publish(image)
        probe.spin(0.005)
        sent += 1
    assert sent >= 150
    answer = probe.ask(camera, image_of(1, **RED), tracks)
    assert len(tracks) == 2 and answer.epoch == 0
    assert [(t.track_id, t.age) for t in answer.tracks] == [(first.tracks[0].track_id, 2)]
    errors = node.find('[ERROR]')
    assert 10 < len(errors) <= 50 and len(set(errors)) == len(errors)
    assert not node.find('Traceback')
    # What is no message at all does not even reach the node, nor end it.
    content = serialize_message(image_of(1.1, **RED))
    for number in range(60):
        cut = int(RNG.integers(4, 120))
        camera.publish([content[:cut], content[:4] + noise(cut), content[:4],
                        content[:cut] + b'\xff' * 40][number % 4])
        probe.spin(0.005)
    answer = probe.ask(camera, image_of(2, **RED), tracks)
    assert answer.header == header(2) and not node.find('Traceback')
    assert node.stop() == 0


def test_malformed_compressed_images(start_node, probe):
    node = start_node(image_transport='compressed')
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image/compressed', QoSProfile(depth=500), CompressedImage)
    probe.spin(1.0)

    def publish(seconds, data, label):
        image = CompressedImage(header=header(seconds), format=label)
        image.data.frombytes(data)
        camera.publish(image)
        probe.spin(0.005)

    def ask(seconds):
        image = compressed('.png', np.dstack([np.full((96, 128), 255, np.uint8)] * 3))
        image.header = header(seconds)
        return probe.ask(camera, image, tracks)

    ask(0)
    number = 0
    for extension in ('.jpg', '.png'):
        whole = bytes(compressed(extension, RNG.integers(0, 256, (60, 80, 3), np.uint8)).data)
        for cut in np.linspace(0, len(whole) - 3, 20).astype(int):
            publish(0.1 + number / 1000, whole[:cut], extension[1:])
            number += 1
        for label in ('', 'jpeg', 'png', '16UC1; compressedDepth', 'h264', 'x' * 1000):
            for data in (b'', noise(10), noise(5000), whole[:8], b'\xff\xd8\xff\xd9',
                         whole[:4] + noise(50)):
                publish(0.1 + number / 1000, data, label)
                number += 1
    # A head that promises more pixels than any machine has memory for.
    huge = bytearray(compressed('.png', RNG.integers(0, 256, (6, 8, 3), np.uint8)).data)
    huge[16:24] = b'\x7f\xff\xff\xff' * 2
    publish(0.5, bytes(huge), 'png')
    answer = ask(1)
    assert number >= 110 and len(tracks) == 2 and answer.epoch == 0
    assert not node.find('Traceback') and len(node.find('[ERROR]')) <= 50
    assert node.stop() == 0


def test_pictures_of_odd_shapes_are_pictures(host, probe):
    """They are of no use, but they are no failure of the network either."""
    node = host()
    node.trigger_configure()
    node.trigger_activate()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    for number, (height, width) in enumerate([(1, 1), (1, 8), (8, 1), (2, 3)]):
        image = Image(header=header(number), height=height, width=width, encoding='mono8',
                      step=width, data=bytes(height * width))
        answer = probe.ask(camera, image, tracks)
        assert (answer.height, answer.width, answer.epoch) == (height, width, number)
