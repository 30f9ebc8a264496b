"""A camera in a process of its own: a red square that moves, at a steady rate."""

import argparse
import time

from harness import header
import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from videomt_ros.ros.images import array_to_image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--reliability', choices=['reliable', 'best_effort'])
    parser.add_argument('--frames', type=int, default=1_000_000_000)
    parser.add_argument('--topic', default='image')
    parser.add_argument('--rate', type=float, default=10)
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'))
    arguments = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, arguments.topic, QoSProfile(
        depth=1, reliability=ReliabilityPolicy[arguments.reliability.upper()]))
    height, width = arguments.size
    began = time.time() - header(0).stamp.sec
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(1.0)  # until the node has asked for what is offered here
    for number in range(arguments.frames):
        picture = np.zeros((height, width, 3), np.uint8)
        left = 4 * number % (width * 3 // 4)
        picture[height // 3:height * 2 // 3, left:left + width // 4, 0] = 255
        publisher.publish(array_to_image(picture, header(began + number / arguments.rate)))
        time.sleep(1 / arguments.rate)
    time.sleep(0.5)
    print('done', flush=True)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
