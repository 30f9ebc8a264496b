"""The engine is chosen by name and device, and none changes the result."""

import shutil

import numpy as np
import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.engines import make_engine


@pytest.fixture
def network():
    torch.manual_seed(0)
    return VideoMT(NetworkConfig(
        hidden_size=32, num_layers=2, num_heads=1, mlp_size=64, num_queries=8, num_query_blocks=1,
        grid_size=4, class_names=('a', 'b'), thing_classes=frozenset(),
        preprocessing=Preprocessing(size=64))).eval()


@pytest.mark.parametrize('name', ['eager', 'auto'])
def test_on_a_cpu_the_network_runs_as_it_is(network, name):
    assert make_engine(name, network) is network


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs a C++ compiler')
def test_compiling_changes_no_result(network):
    options = {'start_score': 0.1, 'keep_score': 0.1}
    eager = VideoSegmenter(network, engine='eager', **options)
    compiled = VideoSegmenter(network, engine='compile', **options)
    for frame in np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8):
        ours, theirs = compiled.process(frame), eager.process(frame)
        assert [i.track_id for i in ours.instances] == [i.track_id for i in theirs.instances] != []
        assert (ours.label_map != theirs.label_map).mean() < 0.001
