"""
The optimizers: AdamW, with which the paper trains, and Muon for a training from scratch.

Muon takes the matrices between hidden channels; embeddings, the class head, biases, norms and
tokens stay with AdamW. What it gains is told in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn, Tensor
from videomt_ros.network import VideoMT

from .config import Stage
from .schedule import parameter_groups


def make_optimizers(
        network: VideoMT, stage: Stage, head: nn.Module | None = None,
) -> list[torch.optim.Optimizer]:
    """
    Make the optimizers of a stage.

    :param network: whose parameters they change.
    :param stage: its optimizer, rates, weight decay and layer decay count.
    :param head: of the training alone; learns at the stage's ``dense_rate``, without decay.
    :returns: one or two; together they hold every parameter once, in the groups of
        :func:`parameter_groups` and one for the head.
    """
    groups = parameter_groups(network, stage.weight_decay, stage.layer_decay)
    if head is not None:
        groups.append({
            'params': list(head.parameters()), 'weight_decay': 0.0,
            'scale': stage.dense_rate, 'encoder': False, 'parts': 0})
    if stage.optimizer == 'adamw':
        return [torch.optim.AdamW(groups, lr=stage.lr)]
    return [
        Muon([group for group in groups if group['parts']], stage.lr),
        torch.optim.AdamW([group for group in groups if not group['parts']], lr=stage.lr)]


class Muon(torch.optim.Optimizer):
    """
    Descent with momentum whose steps are orthogonal matrices.

    Follows Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). Steps
    are as long as AdamW's usually are, as in Liu et al., "Muon is scalable for LLM training"
    (2025), so that rates and weight decay mean the same. PyTorch has one too, from 2.9 on; that
    takes a fused projection for one matrix, and works in bf16, 20 times slower on a CPU without.

    :param groups: of parameters with two axes; ``parts`` is the number of equally high matrices of
        which each consists, and ``weight_decay`` as for AdamW.
    :param lr: learning rate.
    :param momentum: share of the past in the mean gradient, 0..1.
    """

    def __init__(
            self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {
            'lr': lr, 'momentum': momentum, 'weight_decay': 0.0, 'parts': 1})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """
        Take one step; parameters without a gradient stay.

        :param closure: computes the loss anew, where the caller wants that.
        :returns: what the closure does.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state['mean'] = torch.zeros_like(parameter)
        state['mean'].lerp_(gradient, 1 - group['momentum'])
        ahead = gradient.lerp(state['mean'], group['momentum'])  # Nesterov's
        matrices = ahead.unflatten(0, (group['parts'], -1))
        length = 0.2 * max(matrices.shape[1:]) ** 0.5
        parameter.mul_(1 - group['lr'] * group['weight_decay'])
        parameter.add_(orthogonal(matrices).flatten(0, 1), alpha=-group['lr'] * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """
    Bring all singular values near one, by five Newton-Schulz steps.

    :param matrices: (N, rows, columns).
    :returns: the same singular vectors with singular values of about 0.7 to 1.2; zero stays zero.
    """
    high = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if high else matrices  # the smaller square
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x.mT if high else x
