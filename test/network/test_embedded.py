"""The checkpoint that the package carries: small, whole, and able to see a duck."""

from collections import Counter
import json
import math

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_typestore, Stores
import torch
from videomt_ros.network import load_network
from videomt_ros.network.checkpoint import EMBEDDED
from videomt_ros.perception import TrackState, VideoSegmenter
from videomt_ros.share import share_directory


def drive(count):
    """Read the first frames of the demo's recording: seconds and RGB."""
    store = get_typestore(Stores.LATEST)
    with Reader(share_directory() / 'demo' / 'drive') as reader:
        topic = [c for c in reader.connections if c.topic == '/camera/image_raw']
        for _, (connection, stamp, content) in zip(
                range(count), reader.messages(topic), strict=False):
            image = store.deserialize_cdr(content, connection.msgtype)
            yield stamp * 1e-9, np.ascontiguousarray(
                image.data.reshape(image.height, image.width, 3))


def test_it_is_small_and_says_what_it_is():
    files = sum(path.stat().st_size for path in EMBEDDED.iterdir())
    assert files <= 12 * 2 ** 20
    network = load_network()
    assert network.config.num_classes == 12 and network.config.class_names[0] == 'duck'
    assert next(network.parameters()).dtype is torch.float32
    record = json.loads((EMBEDDED / 'config.json').read_text())
    assert record['id2label']['0'] == 'duck'
    memory = network.initial_state(1).queries
    assert memory.numel() * memory.element_size() < 2 ** 20


def test_its_weights_are_stored_in_half_the_space():
    with (EMBEDDED / 'model.safetensors').open('rb') as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), 'little')))
    header.pop('__metadata__', None)
    kinds = {
        name: each['dtype'] for name, each in header.items() if math.prod(each['shape']) > 100}
    assert len(kinds) > 100
    assert not [name for name, kind in kinds.items() if kind != 'F16']
    files = [path for path in EMBEDDED.rglob('*') if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12 * 2 ** 20


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_it_holds_on_to_what_the_demo_shows():
    segmenter = VideoSegmenter.from_pretrained()
    seen, classes = Counter(), {}
    for stamp, frame in drive(80):
        for i in segmenter.process(frame, stamp).instances:
            if i.area and i.state is TrackState.TRACKED:
                seen[i.track_id] += 1
                classes[i.track_id] = i.class_name
    # Both cars and the teddy are there all the time; the mugs come into view after three seconds.
    long = sorted((classes[track], count) for track, count in seen.items() if count > 20)
    assert [name for name, _ in long] == ['mug', 'mug', 'racecar', 'racecar', 'teddy']
    assert all(count > 70 for name, count in long if name != 'mug')
    assert sum(seen.values()) - sum(count for _, count in long) < 15
