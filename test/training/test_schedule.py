"""Learning rates by depth and by step, and the parameters that are not decayed."""

import pytest
from videomt_ros.network import NetworkConfig, VideoMT
from videomt_ros.training.schedule import learning_rate, parameter_groups


@pytest.fixture(scope='module')
def network():
    return VideoMT(NetworkConfig(
        hidden_size=32, num_layers=4, num_heads=2, mlp_size=64, num_queries=3, grid_size=2))


def by_name(network, groups):
    """Give for each parameter the group that holds it; every one must be in exactly one."""
    names = {id(p): name for name, p in network.named_parameters()}
    found = [(names[id(p)], group) for group in groups for p in group['params']]
    assert len(found) == len(names) and len(dict(found)) == len(names)
    return dict(found)


def test_blocks_learn_slower_the_deeper_they_lie_and_heads_at_the_full_rate(network):
    groups = by_name(network, parameter_groups(network, 0.05, 0.6))
    scales = {name: group['scale'] for name, group in groups.items()}
    for i in range(4):
        assert scales[f'blocks.{i}.attention.qkv.weight'] == pytest.approx(0.6 ** (3 - i))
        assert scales[f'blocks.{i}.norm1.bias'] == pytest.approx(0.6 ** (3 - i))
    assert {scales[f'embed.{name}'] for name in (
        'projection.weight', 'cls_token', 'register_tokens', 'positions')} == {0.6 ** 3}
    heads = [name for name in scales if not name.startswith(('blocks', 'embed'))]
    assert {scales[name] for name in heads} == {1.0}
    assert {name.split('.')[0] for name in heads} == {
        'norm', 'queries', 'query_updater', 'class_head', 'mask_head', 'upscale'}


def test_without_layer_decay_all_learn_alike(network):
    assert {group['scale'] for group in parameter_groups(network, 0.05, 1.0)} == {1.0}


def test_what_a_backbone_brings_along_is_the_encoder(network):
    groups = by_name(network, parameter_groups(network, 0.05, 0.6))
    encoder = {name.split('.')[0] for name, group in groups.items() if group['encoder']}
    assert encoder == {'embed', 'blocks', 'norm'}
    others = {name.split('.')[0] for name, group in groups.items() if not group['encoder']}
    assert not encoder & others


def test_matrices_alone_are_decayed(network):
    groups = by_name(network, parameter_groups(network, 0.05, 0.6))
    decay = {name: group['weight_decay'] for name, group in groups.items()}
    assert set(decay.values()) == {0.05, 0.0}
    for name, value in decay.items():
        parts = name.split('.')
        free = parts[-1] in (
            'bias', 'scale1', 'scale2', 'queries', 'cls_token', 'register_tokens',
            'positions') or any(part.startswith('norm') for part in parts)
        assert value == (0.0 if free else 0.05), name


def test_a_rate_warms_up_and_decays_to_nothing():
    rates = [learning_rate(step, 110, 1.0, 10) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5 ** 0.9)
    assert rates[109] == pytest.approx(0.01 ** 0.9)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_frozen_encoder_begins_later_and_ends_with_the_others():
    rates = [learning_rate(step, 130, 2.0, 10, frozen=20) for step in range(130)]
    assert rates[:20] == [0.0] * 20
    assert rates[20:] == pytest.approx([learning_rate(step, 110, 2.0, 10) for step in range(110)])


@pytest.mark.parametrize('warmup, frozen', ((0, 0), (5, 0), (50, 0), (0, 50), (5, 5)))
def test_a_stage_may_be_shorter_than_its_warm_up(warmup, frozen):
    rates = [learning_rate(step, 5, 1.0, warmup, frozen) for step in range(5)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[0] == (1.0 if not warmup and not frozen else 0.0 if frozen else 1 / warmup)
