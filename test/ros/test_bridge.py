"""Encodings that only cv_bridge knows: where it is installed, where it is not, where it fails."""

import os
import subprocess
import sys

from harness import header
import numpy as np
import pytest
from sensor_msgs.msg import Image
from videomt_ros.msg import TrackArray

# Stands in for cv_bridge, which PyPI has only for ROS 1: it knows pixels of 5, 6 and 5 bits.
STAND_IN = """
import numpy as np

class CvBridge:
    def imgmsg_to_cv2(self, image, desired_encoding='passthrough'):
        assert desired_encoding == 'rgb8'
        if image.encoding == 'float':
            return np.zeros((image.height, image.width), np.float32)
        if image.encoding != 'rgb565':
            raise RuntimeError(f'[{image.encoding}] is not\\na color format')
        words = np.frombuffer(image.data, '<u2').reshape(image.height, image.width)
        red, green, blue = words >> 11, words >> 5 & 63, words & 31
        return np.dstack([red * 255 // 31, green * 255 // 63, blue * 255 // 31]).astype(np.uint8)
"""


def image_565(encoding='rgb565'):
    words = np.zeros((96, 128), '<u2')
    words[16:48, 32:64] = 31 << 11
    image = Image(header=header(0), height=96, width=128, encoding=encoding, step=256)
    image.data.frombytes(words.tobytes())
    return image


@pytest.fixture
def with_bridge(tmp_path):
    """Give a function that installs a cv_bridge of some text; gives a process its variables."""

    def install(text):
        package = tmp_path / 'cv_bridge'
        package.mkdir()
        (package / '__init__.py').write_text(text)
        inherited = filter(None, [os.environ.get('PYTHONPATH')])
        return {'PYTHONPATH': os.pathsep.join([str(tmp_path), *inherited])}

    return install


def test_cv_bridge_converts_what_we_do_not_know(start, probe, checkpoint, with_bridge):
    node = start('-m', 'videomt_ros.ros.node', '--ros-args', '-p', f'checkpoint:={checkpoint}',
                 '-p', 'engine:=eager', environment=with_bridge(STAND_IN))
    node.wait_for('Configured')
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    answer = probe.ask(camera, image_565(), tracks)
    assert [track.class_name for track in answer.tracks] == ['red']
    for encoding, words in (('16SC1', 'it says: [16SC1] is not a color format'),
                            ('float', 'shape (96, 128) and type float32')):
        camera.publish(image_565(encoding))
        text = node.wait_for(f"'{encoding}' is not supported")
        assert f'cv_bridge cannot convert it either, {words}' in text \
            or 'it gave an array of ' + words in text
    assert node.stop() == 0


@pytest.mark.parametrize('text,words', [
    (None, 'cv_bridge, which knows more, is not installed'),
    ("raise AttributeError('_ARRAY_API not found')",
     'cv_bridge is installed but does not work here: _ARRAY_API not found'),
])
def test_without_a_cv_bridge_that_works(with_bridge, text, words):
    code = ('from sensor_msgs.msg import Image\n'
            'from videomt_ros.ros.images import image_to_rgb, ImageError\n'
            'try:\n    image_to_rgb(Image(height=1, width=1, step=2, encoding="rgb565"))\n'
            'except ImageError as error:\n    print(error)')
    environment = {**os.environ, **(with_bridge(text) if text else {})}
    printed = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True,
                             text=True, check=True).stdout
    assert words in printed and 'expected one of rgb8' in printed and printed.count('\n') == 1
