"""A robot in a process of its own that says where it was: it drives along x and turns left."""

import math
import time

from geometry_msgs.msg import TransformStamped
from harness import header
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile

STEP, LAST, TURN = 0.1, 10.0, 0.2  # seconds, seconds, radians a second
CAMERA_HEIGHT = 0.5


def transform(seconds, parent, child, x=0.0, z=0.0, quaternion=(0.0, 0.0, 0.0, 1.0)):
    message = TransformStamped(header=header(seconds, parent), child_frame_id=child)
    message.transform.translation.x, message.transform.translation.z = x, z
    rotation = message.transform.rotation
    rotation.x, rotation.y, rotation.z, rotation.w = quaternion
    return message


def main():
    from tf2_msgs.msg import TFMessage  # a stand-in, which only this process finds
    rclpy.init()
    node = rclpy.create_node('robot')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    fixed = node.create_publisher(TFMessage, '/tf_static', latched)
    fixed.publish(TFMessage(transforms=[
        transform(0, 'base_link', 'camera_optical_frame', z=CAMERA_HEIGHT,
                  quaternion=(-0.5, 0.5, -0.5, 0.5))]))
    moving = node.create_publisher(TFMessage, '/tf', 100)
    while not moving.get_subscription_count() or not fixed.get_subscription_count():
        time.sleep(0.05)
    time.sleep(0.5)  # the other side may discover later
    for number in range(round(LAST / STEP) + 1):
        seconds = number * STEP
        half = seconds * TURN / 2
        moving.publish(TFMessage(transforms=[
            transform(seconds, 'map', 'base_link', x=seconds,
                      quaternion=(0.0, 0.0, math.sin(half), math.cos(half)))]))
        time.sleep(0.002)
    print('driven', flush=True)
    time.sleep(60)


if __name__ == '__main__':
    main()
