"""Recordings of moving squares, the weights that see them, and the program that is tested."""

from dataclasses import dataclass, field
from pathlib import Path

from colour_network import colour_network
import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.tools.bag import main
from videomt_ros.tools.bags.messages import typestore

START = 1_700_000_000_123_456_789
STEP = 100_000_000  # nanoseconds from frame to frame
HEIGHT, WIDTH = 96, 128
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
STORE = get_typestore(Stores.ROS2_HUMBLE)


def new(kind, **fields):
    return STORE.types[kind](**fields)


def header(stamp, frame_id='eye'):
    return new('std_msgs/msg/Header', frame_id=frame_id, stamp=new(
        'builtin_interfaces/msg/Time', sec=stamp // 10 ** 9, nanosec=stamp % 10 ** 9))


def squares(number, offset=0):
    """Paint frame `number`: a red square walks right, a green one comes and goes."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x = 16 * (number // 4 % 5) + offset
    picture[16:48, x:x + 32, 0] = 255
    if number % 12 < 8:
        picture[64:96, 80:112, 1] = 255
    return picture


def image(picture, stamp, encoding='rgb8', frame_id='eye'):
    """Serialise a raw image."""
    height, width = picture.shape[:2]
    data = np.ascontiguousarray(picture).reshape(-1).view(np.uint8)
    return bytes(STORE.serialize_cdr(new(
        IMAGE, header=header(stamp, frame_id), height=height, width=width, encoding=encoding,
        is_bigendian=0, step=len(data) // height, data=data), IMAGE))


def compressed(picture, stamp, ending='.png', kind='rgb8; png compressed bgr8', frame_id='eye'):
    """Serialise a compressed image; PNG keeps colours pure."""
    code = cv2.imencode(ending, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    return bytes(STORE.serialize_cdr(new(
        COMPRESSED, header=header(stamp, frame_id), format=kind, data=code.ravel()), COMPRESSED))


def text(content):
    """Serialise a text."""
    return bytes(STORE.serialize_cdr(
        new('std_msgs/msg/String', data=content), 'std_msgs/msg/String'))


@dataclass
class Scene:
    """
    What is recorded: by topic its type, and (time, content) of each message.

    Without more said: 24 frames of one camera, and a text beside each.
    """

    topics: dict = field(default_factory=dict)

    def camera(self, topic='/camera/image_raw', frames=24, offset=0, delay=0, **how):
        self.topics[topic] = (IMAGE, [
            (START + i * STEP + delay, image(squares(i, offset), START + i * STEP, **how))
            for i in range(frames)])
        return self

    def compressed_camera(self, topic, frames=24, offset=0, delay=0, **how):
        self.topics[topic] = (COMPRESSED, [
            (START + i * STEP + delay, compressed(squares(i, offset), START + i * STEP, **how))
            for i in range(frames)])
        return self

    def texts(self, topic='/chatter', count=24):
        self.topics[topic] = ('std_msgs/msg/String', [
            (START + i * STEP + 5, text(f'text {i}')) for i in range(count)])
        return self

    def empty(self, topic, kind):
        self.topics[topic] = (kind, [])
        return self

    def messages(self):
        """Give (time, topic, type, content) in order of time."""
        return sorted((time, topic, kind, data) for topic, (kind, messages) in self.topics.items()
                      for time, data in messages)

    def write(self, folder, storage='mcap', mode='none'):
        """Write a rosbag2 folder; gives it."""
        bag = Writer(folder, version=8, storage_plugin=StoragePlugin[storage.upper()])
        bag.set_compression(CompressionMode[mode.upper()], CompressionFormat.ZSTD)
        with bag:
            connections = {
                topic: bag.add_connection(topic, kind, typestore=STORE)
                for topic, (kind, _) in self.topics.items()}
            for time, topic, _, data in self.messages():
                bag.write(connections[topic], time, data)
        return folder


def read(path):
    """Read a recording with rosbags: topic -> list of (time, message)."""
    found = {}
    with Reader(path) as reader:
        for connection in reader.connections:
            found.setdefault(connection.topic, [])
        for connection, time, data in reader.messages():
            kind = connection.msgtype
            store = typestore() if kind.startswith('videomt_ros') else STORE
            found[connection.topic].append((time, store.deserialize_cdr(data, kind)))
    return found


def stamp_of(message):
    return message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec


@pytest.fixture
def scene():
    """Give the class of scenes."""
    return Scene


@pytest.fixture
def drive(tmp_path):
    """Give a recording: 24 frames of one camera with a text beside each, MCAP."""
    return Scene().camera().texts().write(tmp_path / 'drive')


@pytest.fixture(scope='session')
def colours(tmp_path_factory):
    """Give a folder with weights that see red, green and blue."""
    folder = tmp_path_factory.mktemp('weights') / 'colours'
    colour_network(size=HEIGHT).save_pretrained(folder)
    return folder


def random_weights(folder, scale=0.3, **fields):
    """Write random weights, which are sure of what they see, however wrong."""
    torch.manual_seed(3)
    network = VideoMT(NetworkConfig(**{
        'hidden_size': 32, 'num_layers': 4, 'num_heads': 2, 'mlp_size': 64, 'num_queries': 12,
        'num_query_blocks': 2, 'grid_size': 4, 'class_names': ('person', 'dog', 'cup'),
        'thing_classes': frozenset(range(3)), 'preprocessing': Preprocessing(size=64), **fields}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale)
        network.class_head.weight *= 8
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope='session')
def lively(tmp_path_factory):
    """Give a folder with random weights, whose answers hang on all that was seen before."""
    return random_weights(tmp_path_factory.mktemp('weights') / 'lively')


@pytest.fixture(scope='session')
def heavy(tmp_path_factory):
    """Give a folder with weights that take their time: a recording lasts for seconds."""
    return random_weights(
        tmp_path_factory.mktemp('weights') / 'heavy', 0.1, hidden_size=128, num_layers=12,
        mlp_size=512, preprocessing=Preprocessing(size=224))


@pytest.fixture
def bag(colours, capsys):
    """Give a function that runs videomt_bag in this process: exit code, stdout and stderr."""
    def run(*arguments, checkpoint=colours):
        code = main([*map(str, arguments), '--checkpoint', str(checkpoint), '--engine', 'eager',
                     '--workers', '1'])
        captured = capsys.readouterr()
        return code, captured.out, captured.err
    return run


@pytest.fixture(scope='session')
def kit():
    """Give what tests of recordings need: functions of this file."""
    class Kit:
        pass
    for each in (new, header, squares, image, compressed, text, read, stamp_of):
        setattr(Kit, each.__name__, staticmethod(each))
    Kit.start, Kit.step, Kit.store, Kit.path = START, STEP, STORE, Path
    return Kit
