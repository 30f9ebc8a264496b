"""Muon's steps are orthogonal, as long as told, and made for each part; AdamW takes the rest."""

import pytest
import torch
from toy import stage
from videomt_ros.network import NetworkConfig, VideoMT
from videomt_ros.training.dense import DenseHead
from videomt_ros.training.optimizer import make_optimizers, Muon, orthogonal


def network():
    torch.manual_seed(0)
    return VideoMT(NetworkConfig(
        hidden_size=32, num_layers=3, num_heads=2, mlp_size=64, num_queries=3, grid_size=2))


def stepped(value, gradients, **fields):
    """Give a parameter after one step for each gradient."""
    parameter = torch.nn.Parameter(value.clone())
    optimizer = Muon([{'params': [parameter], **fields}], lr=0.1)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize('shape', ((1, 8, 8), (3, 8, 20), (2, 20, 8)))
def test_singular_values_come_near_one_and_vectors_stay(shape):
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    made = orthogonal(given)
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.4 and values.max() < 1.3
    u, _, v = torch.linalg.svd(given, full_matrices=False)
    inside = u.mT @ made @ v.mT  # diagonal, if the vectors are the same
    off = inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-3


def test_zero_stays_zero():
    assert not orthogonal(torch.zeros(1, 4, 6)).any()


def test_a_step_has_the_length_of_adamw_whatever_the_gradient_has():
    gradient = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    for scale in (1e-4, 1.0, 1e4):
        change = stepped(torch.zeros(32, 64), [scale * gradient])
        rms = change.square().mean().sqrt().item() / 0.1
        assert rms == pytest.approx(0.2, rel=0.25)
        assert (change * gradient).sum() < 0


def test_fused_parts_are_treated_each_for_itself():
    gradients = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    gradients *= torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    fused = stepped(torch.zeros(48, 16), [gradients.flatten(0, 1)], parts=3)
    alone = torch.cat([stepped(torch.zeros(16, 16), [each]) for each in gradients])
    assert torch.allclose(fused, alone, atol=1e-6)


def test_the_past_counts_and_weights_decay():
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 8, 8, generator=random)
    assert not torch.allclose(
        stepped(torch.zeros(8, 8), [first, second]),
        stepped(torch.zeros(8, 8), [first]) + stepped(torch.zeros(8, 8), [second]), atol=1e-3)
    start = torch.randn(8, 8, generator=random)
    decayed = stepped(start, [first], weight_decay=0.5)
    assert torch.allclose(
        decayed - stepped(torch.zeros(8, 8), [first]), start * (1 - 0.1 * 0.5), atol=1e-6)


def test_matrices_between_hidden_channels_are_for_muon_and_nothing_is_left_out():
    net = network()
    names = {id(p): name for name, p in net.named_parameters()}
    muon, adamw = make_optimizers(net, stage(optimizer='muon'))
    held = [[names[id(p)] for group in optimizer.param_groups for p in group['params']]
            for optimizer in (muon, adamw)]
    assert sorted(held[0] + held[1]) == sorted(names.values())
    assert {name.split('.', 2)[-1] for name in held[0] if name.startswith('blocks')} == {
        'attention.qkv.weight', 'attention.out.weight', 'mlp.fc1.weight', 'mlp.fc2.weight'}
    assert {name for name in held[0] if not name.startswith('blocks')} == {
        'query_updater.weight', 'mask_head.fc1.weight', 'mask_head.fc2.weight',
        'mask_head.fc3.weight'}
    parts = {names[id(p)].split('.')[-2]: group['parts']
             for group in muon.param_groups for p in group['params']}
    assert parts.pop('qkv') == 3 and set(parts.values()) == {1}


@pytest.mark.parametrize('optimizer', ('adamw', 'muon'))
def test_a_head_of_the_training_alone_learns_at_the_full_rate(optimizer):
    net = network()
    head = DenseHead(net.config)
    *_, adamw = make_optimizers(net, stage(optimizer=optimizer, layer_decay=0.5), head)
    group = adamw.param_groups[-1]
    assert {id(p) for p in group['params']} == {id(p) for p in head.parameters()}
    assert (group['scale'], group['encoder'], group['weight_decay']) == (1.0, False, 0.0)


def test_a_head_of_the_training_alone_may_learn_faster_than_the_rest():
    net = network()
    head = DenseHead(net.config)
    optimizers = make_optimizers(net, stage(optimizer='muon', dense_rate=8.0), head)
    scales = {id(p): group['scale'] for optimizer in optimizers
              for group in optimizer.param_groups for p in group['params']}
    assert {scales[id(p)] for p in head.parameters()} == {8.0}
    assert max(scales[id(p)] for p in net.parameters()) == 1.0


def test_adamw_is_what_a_stage_takes_unasked():
    one, = make_optimizers(network(), stage())
    assert isinstance(one, torch.optim.AdamW)
