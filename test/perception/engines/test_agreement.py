"""An engine that differs is told apart from one that does not."""

import pytest
import torch
from videomt_ros.network import QueryState, VideoMTOutput
from videomt_ros.perception.engines import EngineError
from videomt_ros.perception.engines.agreement import check, difference


@torch.inference_mode()
def test_the_network_agrees_with_itself(network):
    found = difference(network, network)
    assert (found.class_logits, found.mask_logits, found.queries) == (0, 0, 0)
    check(network, network, 0, 'the network')


@pytest.mark.parametrize('part', ['class_logits', 'mask_features', 'queries'])
@pytest.mark.parametrize('error', [0.01, float('nan')])
def test_a_wrong_part_is_found(network, part, error):
    def engine(pixels, state):
        right = network(pixels, state)
        parts = {
            'class_logits': right.class_logits, 'mask_embeddings': right.mask_embeddings,
            'mask_features': right.mask_features, 'queries': right.state.queries}
        parts[part] = parts[part] * (1 + error)
        queries = parts.pop('queries')
        return VideoMTOutput(**parts, state=QueryState(queries, state.initial))

    with pytest.raises(EngineError, match='the other does not do what PyTorch does'):
        check(network, engine, 1e-3, 'the other')
