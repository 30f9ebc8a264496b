"""Learning rates: layer-wise decay over depth, warm-up, polynomial decay; groups by them."""

from __future__ import annotations

from typing import Any

from torch import nn
from videomt_ros.network import VideoMT


def parameter_groups(
        network: VideoMT, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """
    Sort the parameters into an optimizer's groups by depth and kind.

    A block i of L learns at ``layer_decay ** (L - 1 - i)`` of the base rate, the embedding at
    that of block 0; heads, queries and the final norm learn at the full rate. Norms, biases,
    layer scales and tokens are not decayed.

    :param network: whose parameters are sorted.
    :param weight_decay: of matrices.
    :param layer_decay: 0..1, 1 is the same rate everywhere; the paper takes 0.6.
    :returns: groups with ``params``, ``weight_decay``, ``scale`` (of the base rate), ``encoder``
        (True for what a pre-trained backbone brings along) and ``parts`` (of how many matrices
        between hidden channels a parameter consists, 0 for what is none; see Muon).
    """
    groups: dict[tuple[float, bool, bool, int], list[nn.Parameter]] = {}
    last = network.config.num_layers - 1
    for name, parameter in network.named_parameters():
        part = name.split('.')
        if part[0] == 'blocks':
            depth: int | None = int(part[1])
        else:
            depth = 0 if part[0] == 'embed' else None
        scale = 1.0 if depth is None else layer_decay ** (last - depth)
        encoder = depth is not None or part[0] == 'norm'
        decayed = parameter.dim() > 1 and not name.endswith(
            ('queries', 'cls_token', 'register_tokens', 'positions'))
        parts = 0
        if parameter.dim() == 2 and part[0] in ('blocks', 'query_updater', 'mask_head'):
            parts = 3 if part[-2] == 'qkv' else 1
        groups.setdefault((scale, encoder, decayed, parts), []).append(parameter)
    return [
        {'params': parameters, 'weight_decay': weight_decay if decayed else 0.0,
         'scale': scale, 'encoder': encoder, 'parts': parts}
        for (scale, encoder, decayed, parts), parameters in groups.items()]


def learning_rate(
        step: int, steps: int, base: float, warmup: int, frozen: int = 0,
        power: float = 0.9) -> float:
    """
    Give the rate of a step: zero while frozen, linear warm-up, polynomial decay to zero.

    :param step: 0..steps - 1.
    :param steps: of the stage.
    :param base: rate after the warm-up.
    :param warmup: steps of linear growth after the frozen ones.
    :param frozen: first steps without learning (the encoder, while new heads settle).
    :param power: of the decay.
    :returns: the learning rate.
    """
    if step < frozen:
        return 0.0
    step, steps = step - frozen, max(steps - frozen, 1)
    if step < warmup:
        return base * (step + 1) / warmup
    return base * (1 - (step - warmup) / max(steps - warmup, 1)) ** power
