"""What is recorded and replayed on CUDA, seen with stand-ins for PyTorch's part of it."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from videomt_ros.network import QueryState
from videomt_ros.perception.engines.cuda_graph import CudaGraphEngine


class Gpu:
    """A network that is said to be on a GPU, and a recorder of what it does there."""

    device = torch.device('cuda')

    def __init__(self, network):
        self._network, self.dtype = network, network.dtype
        self.calls, self.events = [], []  # each call: whether it ran to be recorded, and its batch
        self._graph = None

    def __call__(self, pixels, state):
        output = self._network(pixels, state)
        self.calls.append((self._graph is not None, tuple(pixels.shape)))
        if self._graph is not None:
            self._graph.recorded = (pixels, state, output)
        return output

    @contextmanager
    def record(self, graph):
        self._graph = graph
        yield
        self._graph = None

    def make_graph(self):
        """Give a graph that reads and writes the very memory that it was recorded with."""
        graph = SimpleNamespace(recorded=None)

        def replay():
            pixels, state, output = graph.recorded
            again = self._network(pixels, state)
            for name in ('class_logits', 'mask_embeddings', 'mask_features'):
                getattr(output, name).copy_(getattr(again, name))
            output.state.queries.copy_(again.state.queries)
        graph.replay = replay
        return graph

    def stream(self, name):
        return SimpleNamespace(wait_stream=lambda other: self.events.append(
            (name, other.name)), name=name)


@pytest.fixture
def gpu(network, monkeypatch):
    gpu = Gpu(network)
    for name, stand_in in {
            'device': lambda device: nullcontext(), 'stream': lambda stream: nullcontext(),
            'Stream': lambda: gpu.stream('side'), 'current_stream': lambda: gpu.stream('main'),
            'CUDAGraph': gpu.make_graph, 'graph': gpu.record}.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return gpu


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@torch.inference_mode()
def test_replays_say_what_the_network_says(network, gpu):
    engine = CudaGraphEngine(gpu)
    for batch, height, width in ((1, 64, 96), (2, 64, 96), (1, 32, 64), (1, 64, 96)):
        ours = theirs = network.initial_state(batch)
        for frame in range(3):
            pixels = noise(batch, 3, height, width) + frame
            answer, expected = engine(pixels, ours), network(pixels, theirs)
            for name in ('class_logits', 'mask_embeddings', 'mask_features', 'mask_logits'):
                torch.testing.assert_close(getattr(answer, name), getattr(expected, name))
            torch.testing.assert_close(answer.state.queries, expected.state.queries)
            ours, theirs = answer.state, expected.state
    recorded = [shape for recording, shape in gpu.calls if recording]
    assert recorded == [(1, 3, 64, 96), (2, 3, 64, 96), (1, 3, 32, 64)], 'once for each size'


@torch.inference_mode()
def test_what_was_answered_stays_and_what_was_given_too(network, gpu):
    engine = CudaGraphEngine(gpu)
    pixels, state = noise(1, 3, 64, 64), network.initial_state(1)
    given = pixels.clone(), state.queries.clone()
    first = engine(pixels, state)
    kept = [each.clone() for each in (
        first.class_logits, first.mask_embeddings, first.state.queries)]
    second = engine(pixels + 1, QueryState(first.state.queries, first.state.initial))
    assert not torch.allclose(second.class_logits, first.class_logits)
    for before, now in zip(kept, (
            first.class_logits, first.mask_embeddings, first.state.queries), strict=True):
        assert torch.equal(before, now)
    assert torch.equal(pixels, given[0]) and torch.equal(state.queries, given[1])


@torch.inference_mode()
def test_a_recording_comes_after_runs_beside_it(network, gpu):
    engine = CudaGraphEngine(gpu)
    engine(noise(1, 3, 64, 64), network.initial_state(1))
    *warm_up, last = [recording for recording, _ in gpu.calls]
    assert last and warm_up and not any(warm_up)
    # The side stream begins after what was there, and nothing is recorded before it is done.
    assert gpu.events == [('side', 'main'), ('main', 'side')]


@torch.inference_mode()
def test_pictures_of_many_sizes_do_not_fill_the_memory(network, gpu):
    engine = CudaGraphEngine(gpu)
    sizes = [32, 48, 64, 80, 96]
    for width in (*sizes, sizes[1], sizes[0], sizes[1]):
        engine(noise(1, 3, 32, width), network.initial_state(1))
    recorded = [shape[-1] for recording, shape in gpu.calls if recording]
    assert recorded == [*sizes, sizes[0]], 'four are kept, and the first has gone'
