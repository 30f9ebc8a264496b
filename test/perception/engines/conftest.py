"""A small network, and a cache folder that is not the user's."""

import pytest
import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT


def make_network(seed=0, **fields):
    """Make a random network that sees objects, however wrong."""
    torch.manual_seed(seed)
    network = VideoMT(NetworkConfig(**{
        'hidden_size': 32, 'num_layers': 3, 'num_heads': 2, 'mlp_size': 64, 'num_queries': 8,
        'num_query_blocks': 1, 'grid_size': 4, 'class_names': ('a', 'b'),
        'thing_classes': frozenset((0, 1)), 'preprocessing': Preprocessing(size=64), **fields}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
        network.class_head.weight *= 4
    return network.eval()


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    """Keep graphs for the time of the tests only; the same network is exported once."""
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder))
        yield folder / 'videomt_ros'


@pytest.fixture
def network():
    """Give the same network to every test."""
    return make_network()


@pytest.fixture(name='make_network')
def make_network_fixture():
    """Give the function that makes networks."""
    return make_network
