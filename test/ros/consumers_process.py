"""
Those who combine outputs, in a process of their own: they print what they understand, as JSON.

As Nav2's semantic segmentation layer they want a class mask, its confidence and latched labels,
and as nvblox a mask and its calibration under exactly the stamp of the image.
"""

import json

import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from videomt_ros.ros.images import image_to_labels
from vision_msgs.msg import Detection2DArray, LabelInfo


class Consumers:

    def __init__(self, node):
        self.names = None
        self.waiting = {}
        latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(LabelInfo, 'videomt/label_info', self.on_labels, latched)
        node.create_subscription(Detection2DArray, 'videomt/detections', self.on_detections, 10)
        for types, names, consume in (
                ((Image, Image), ('class_mask', 'confidence'), self.navigate),
                ((Image, CameraInfo), ('mask_image', 'mask/camera_info'), self.reconstruct)):
            for message_type, name in zip(types, names, strict=True):
                node.create_subscription(
                    message_type, f'videomt/{name}',
                    lambda m, name=name, names=names, consume=consume: self.join(
                        m, name, names, consume), qos_profile_sensor_data)

    def join(self, message, name, names, consume):
        stamp = message.header.stamp
        pair = self.waiting.setdefault((names, stamp.sec, stamp.nanosec), {})
        pair[name] = message
        if len(pair) == 2:
            consume(stamp, *(pair[each] for each in names))

    def tell(self, what, stamp, **values):
        print(json.dumps({'what': what, 'stamp': stamp.sec * 10 ** 9 + stamp.nanosec, **values}),
              flush=True)

    def on_labels(self, labels):
        self.names = {each.class_id: each.class_name for each in labels.class_map}
        self.tell('labels', labels.header.stamp, names=list(self.names.values()),
                  ids=list(self.names), threshold=labels.threshold)

    def navigate(self, stamp, class_mask, confidence):
        assert class_mask.encoding == confidence.encoding == 'mono8'
        assert class_mask.step == class_mask.width == confidence.step  # the layer counts on it
        assert class_mask.header == confidence.header
        classes, sure = image_to_labels(class_mask), image_to_labels(confidence)
        self.tell('navigation', stamp, frame_id=class_mask.header.frame_id, pixels={
            self.names[value]: int((classes == value).sum())
            for value in np.unique(classes).tolist() if value in self.names},
            nothing=int((classes == 255).sum()), least_sure=int(sure[classes != 255].min()),
            size=classes.shape)

    def reconstruct(self, stamp, mask, info):
        assert mask.encoding == 'mono8' and mask.header == info.header
        self.tell('reconstruction', stamp, pixels=int((image_to_labels(mask) > 0).sum()),
                  focal=info.k[0], fits=(info.height, info.width) == (mask.height, mask.width))

    def on_detections(self, detections):
        found = {}
        for each in detections.detections:
            assert each.header == detections.header
            result, = each.results
            found[each.id] = [
                self.names[int(result.hypothesis.class_id)], result.hypothesis.score,
                each.bbox.center.position.x, each.bbox.center.position.y, each.bbox.center.theta,
                each.bbox.size_x, each.bbox.size_y]
        self.tell('detections', detections.header.stamp, found=found)


def main():
    rclpy.init()
    node = rclpy.create_node('consumers')
    consumers = Consumers(node)
    assert consumers.names is None
    rclpy.spin(node)


if __name__ == '__main__':
    main()
