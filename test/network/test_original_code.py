"""
Hold the network against outputs of the authors' own code.

The files in `golden/` hold what `VidEoMT_CLASS` of tue-mps/videomt (commit 39411e9, with timm
1.0.20 and transformers 4.56.1, on a CPU) answers to four frames, the last two in a second call
with `resume=True`: `logits` (T, Q, K + 1) and `masks` (T, Q, h, w). Weights and frames come from a
generator whose numbers NumPy does not change between releases.
"""

from pathlib import Path

from networks import make_network, original_weights
import numpy as np
import pytest
import torch
from videomt_ros.network import load_network

GOLDEN = Path(__file__).parent / 'golden'
CASES = {
    'dinov2_square': ({}, (64, 64)),
    'dinov2_rectangle': ({'num_query_blocks': 1}, (48, 80)),
    'dinov3_square': ({'backbone': 'dinov3'}, (64, 64)),
    'dinov3_rectangle': ({'backbone': 'dinov3', 'num_query_blocks': 1}, (80, 48)),
    'dinov2_norm_queries': ({'norm_queries': True}, (48, 64)),
    'dinov3_norm_queries': ({'backbone': 'dinov3', 'norm_queries': True}, (48, 64)),
}


def weights_and_frames(fields, size):
    """Give the content of an original file, and frames (T, 3, H, W)."""
    network = make_network(num_layers=3, num_queries=4, class_names=tuple('abc'),
                           thing_classes=frozenset(), **fields)
    random = np.random.RandomState(7)

    def draw(*shape):
        return torch.from_numpy(random.standard_normal(shape).astype(np.float32))
    weights = original_weights(network)
    for name in sorted(weights):
        drawn = draw(*weights[name].shape)
        weights[name] = drawn * 0.1 if drawn.dim() > 1 else drawn * 0.3 + ('norm' in name)
    return weights, draw(4, 3, *size)


@pytest.mark.parametrize('case', CASES)
def test_four_frames_equal_the_answers_of_the_original_code(case, tmp_path):
    fields, size = CASES[case]
    weights, frames = weights_and_frames(fields, size)
    torch.save({'model': weights}, tmp_path / 'model.pth')
    network = load_network(
        tmp_path / 'model.pth', norm_queries=fields.get('norm_queries', False))
    golden = np.load(GOLDEN / f'{case}.npz')
    assert golden['logits'].std() > 0.3 and golden['masks'].std() > 1
    state = None
    with torch.inference_mode():
        for t, frame in enumerate(frames):
            out = network(frame[None], state)
            state = out.state
            for ours, theirs in ((out.class_logits, 'logits'), (out.mask_logits, 'masks')):
                np.testing.assert_allclose(ours[0].numpy(), golden[theirs][t], atol=2e-4, rtol=0)
