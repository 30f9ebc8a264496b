"""
A VidEoMT network with weights set by hand: it sees pure red, green and blue.

Query slot 0 is the class red and its mask covers the patches that are red, and so on; slot 3 is
nothing. Blocks do nothing (their scales are zero) and the memory is never used. What it makes of
squares that lie on the grid of 16 pixels is known: they themselves, without the corner pixels.
"""

import torch
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT

COLOURS = {'red': (255, 0, 0), 'green': (0, 255, 0), 'blue': (0, 0, 255)}
PATCH = 16
# Channels 2 k, 2 k + 1 carry colour k and its negative, 8 + 2 s, 9 + 2 s mark query slot s, and 6
# and 7 are so large that each LayerNorm divides all patches by nearly the same.
_CONSTANT, _SLOTS = 6, 8


def colour_network(size=96):
    """Make the network; frames whose shorter side is ``size`` reach it unresized."""
    network = VideoMT(NetworkConfig(
        hidden_size=16, num_layers=2, num_heads=1, mlp_size=16, patch_size=PATCH, num_registers=0,
        num_queries=4, num_query_blocks=1, num_upscale_blocks=2, grid_size=4,
        class_names=tuple(COLOURS), thing_classes=frozenset(range(3)),
        preprocessing=Preprocessing(
            rule='short_side', size=size, max_size=10_000, multiple=PATCH, mean=(0., 0., 0.),
            std=(1., 1., 1.)))).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            is_norm_weight = 'norm' in name and name.endswith('weight')
            parameter.fill_(1.0 if is_norm_weight else 0.0)
        _see_colours(network.embed.projection)
        for slot in range(4):
            network.queries[slot, _SLOTS + 2 * slot] = 3
            network.queries[slot, _SLOTS + 2 * slot + 1] = -3
            network.class_head.weight[slot, _SLOTS + 2 * slot] = 4
        for layer in (network.mask_head.fc1, network.mask_head.fc2):
            layer.weight.copy_(torch.eye(16))
        for colour in range(3):
            network.mask_head.fc3.weight[2 * colour, _SLOTS + 2 * colour] = 80
            network.mask_head.fc3.weight[2 * colour + 1, _SLOTS + 2 * colour] = -80
        for block in network.upscale:
            for channel in range(16):  # gelu(x) - gelu(-x) = x: the pairs survive
                block.conv1.weight[channel, channel] = 1
                block.conv2.weight[channel, 0, 1, 1] = 1
    return network


def _see_colours(projection):
    for colour in range(3):
        for sign, channel in ((1, 2 * colour), (-1, 2 * colour + 1)):
            projection.weight[channel] = sign * -0.5 / 100 / PATCH ** 2
            projection.weight[channel, colour] = sign * 1 / 100 / PATCH ** 2
            projection.bias[channel] = -sign * 127.5 / 100
    projection.bias[_CONSTANT], projection.bias[_CONSTANT + 1] = 50, -50
