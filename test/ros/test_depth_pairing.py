"""Which depth image belongs to an image."""

from harness import header
from sensor_msgs.msg import Image
from videomt_ros.ros.depth_pairing import DepthPairing, KEPT
from videomt_ros.ros.stamps import nanoseconds


def depth(seconds):
    return Image(header=header(seconds))


def stamp(seconds):
    return nanoseconds(header(seconds).stamp)


def test_the_nearest_one_within_the_tolerance():
    pairing = DepthPairing()
    images = {seconds: depth(seconds) for seconds in (0.0, 0.1, 0.2, 0.3)}
    for seconds in (0.1, 0.0, 0.3, 0.2):
        pairing.add(images[seconds])
    for wanted, found in ((0.1, 0.1), (0.14, 0.1), (0.16, 0.2), (0.31, 0.3)):
        pairing.expect(stamp(wanted))
        assert pairing.take(stamp(wanted), 0.05) is images[found]
    pairing.expect(stamp(0.4))
    assert pairing.take(stamp(0.4), 0.05) is None
    assert pairing.take(stamp(0.4), 0.1) is images[0.3]


def test_what_comes_while_the_network_runs():
    pairing = DepthPairing()
    assert pairing.latest() is None
    pairing.add(depth(0.0))
    pairing.expect(stamp(0.1))
    assert pairing.take(stamp(0.1), 0.02) is None
    late = depth(0.1)
    pairing.add(late)
    assert pairing.take(stamp(0.1), 0.02) is late


def test_a_slow_network_loses_nothing():
    pairing = DepthPairing()
    mine = depth(0.0)
    pairing.add(mine)
    pairing.expect(stamp(0.0))
    for number in range(1, 3 * KEPT):
        pairing.add(depth(number / 30))
    assert pairing.take(stamp(0.0), 0.02) is mine
    pairing.expect(stamp(0.0))
    assert pairing.take(stamp(0.0), 0.02) is None, 'it is not kept for ever'


def test_an_image_keeps_its_depth_while_the_next_one_is_in_the_network():
    pairing = DepthPairing()
    images = {seconds: depth(seconds) for seconds in (0.0, 0.1, 0.2)}
    pairing.add(images[0.0])
    pairing.expect(stamp(0.0))
    pairing.add(images[0.1])
    pairing.expect(stamp(0.1))
    assert pairing.take(stamp(0.0), 0.02) is images[0.0]
    assert pairing.take(stamp(0.1), 0.02) is images[0.1]
    pairing.expect(stamp(0.2))
    pairing.add(images[0.2])
    assert pairing.take(stamp(0.1), 0.02) is images[0.1]
    assert pairing.take(stamp(0.2), 0.02) is images[0.2]
    assert pairing.take(stamp(0.0), 0.02) is None, 'no more than two are kept'


def test_nothing_is_left_when_the_stream_is_closed():
    pairing = DepthPairing()
    pairing.add(depth(0.0))
    pairing.expect(stamp(0.0))
    pairing.clear()
    assert pairing.latest() is None and pairing.take(stamp(0.0), 1.0) is None
