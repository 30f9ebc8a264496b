"""Records that do not fit together are refused in a sentence."""

import pytest
from videomt_ros.network import NetworkConfig, Preprocessing


@pytest.mark.parametrize(('fields', 'message'), [
    ({'hidden_size': 10, 'num_heads': 3}, 'hidden_size 10 .* num_heads 3'),
    ({'hidden_size': 64.0}, 'hidden_size 64.0: expected a whole number'),
    ({'num_layers': 10 ** 7}, 'num_layers 10000000: expected a whole number of 1 to 1024'),
    ({'num_registers': -1}, 'num_registers -1'), ({'norm_queries': 'yes'}, "norm_queries 'yes'"),
    ({'layer_norm_eps': float('nan')}, 'layer_norm_eps nan'),
    ({'class_names': ('a', 3), 'thing_classes': frozenset()}, 'class_names'),
    ({'num_query_blocks': 13}, 'num_query_blocks 13'),
    ({'backbone': 'resnet'}, "'resnet'"),
    ({'mask_parts': 'some'}, "mask_parts 'some': expected one of"),
    ({'renew_below': 1.5}, 'renew_below 1.5: expected 0 to 1'),
    ({'renew_below': True}, 'renew_below True: expected'),
    ({'class_names': (), 'thing_classes': frozenset()}, 'class_names is empty'),
    ({'thing_classes': frozenset({40})}, 'thing_classes'),
    ({'backbone': 'dinov3', 'hidden_size': 12, 'num_heads': 2}, 'multiple of 4'),
])
def test_network_config(fields, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**fields)


@pytest.mark.parametrize(('fields', 'message'), [
    ({'rule': 'crop'}, "'crop'"), ({'size': 0}, 'size 0'),
    ({'std': (1., 0., 1.)}, 'std .* above 0'), ({'mean': (1., 2.)}, 'mean .* three numbers')])
def test_preprocessing(fields, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)
