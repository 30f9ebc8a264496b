"""Small recordings of the coloured squares that the network of test/ros sees."""

from harness import image_of
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from std_msgs.msg import Header
from videomt_ros.bag_qos import offered

IMAGE = '/camera/image_raw'


def frames(count, period=0.1):
    """Make images in which a red square moves to the right, 16 pixels a frame, and back."""
    return [
        image_of(i * period, red=(16 * min(i % 12, 12 - i % 12), 32, 32, 32))
        for i in range(count)]


def record(path, images, extra=True):
    """Write images, and what else a robot records: a latched header and a foreign type."""
    store = get_typestore(Stores.LATEST)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection(IMAGE, 'sensor_msgs/msg/Image', typestore=store)
        first = images[0].header.stamp.sec * 10 ** 9 + images[0].header.stamp.nanosec
        if extra:
            latched = bag.add_connection(
                '/once', 'std_msgs/msg/Header', typestore=store,
                offered_qos_profiles=[offered(1, latched=True)])
            bag.write(latched, first, serialize_message(Header(frame_id='latched')))
            foreign = bag.add_connection(
                '/foreign', 'nowhere_msgs/msg/Thing', msgdef='int32 x\n', rihs01='RIHS01_00')
            bag.write(foreign, first, b'\x00\x01\x00\x00\x01\x00\x00\x00')
        for image in images:
            stamp = image.header.stamp
            bag.write(topic, stamp.sec * 10 ** 9 + stamp.nanosec, serialize_message(image))
    return path
