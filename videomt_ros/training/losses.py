"""
The losses of VidEoMT and the binding of objects to queries (DVIS, Mask2Former, PointRend).

An object is bound to one query in the first frame of the clip in which it is seen, at the lowest
cost among the free queries, and keeps it to the end of the clip. From that frame on the query is
taught the object's class, also while the object is hidden, then with an empty mask; before it,
and for queries without an object, the target is no object. (The released code of the paper also
teaches the class before the object appears, and takes classes from the last frame alone.)

A clip may have a lead that is watched and not learned. A query that lost its object there has
nothing left to find it by; with :attr:`LossWeights.loyalty` the object is then bound anew, in the
first frame that counts, to the query that has it now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
from typing import TypeAlias

from scipy.optimize import linear_sum_assignment
import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass(frozen=True)
class ClipTargets:
    """
    What is to be seen in B clips of T frames.

    :param labels: (B, N) int64 class of each object, -1 where a clip has fewer objects.
    :param masks: (B, N, T, H, W) bool, empty where the object is hidden or absent.
    :param first: (B, N) int64 first frame in which the object is seen, T where it never is.
    """

    labels: Tensor
    masks: Tensor
    first: Tensor

    def to(self, device: torch.device) -> ClipTargets:
        """
        Move to a device.

        :param device: the target device.
        :returns: a copy there.
        """
        return ClipTargets(
            self.labels.to(device), self.masks.to(device), self.first.to(device))


@dataclass(frozen=True)
class Prediction:
    """
    What one layer says of one frame of B clips.

    :param class_logits: (B, Q, K + 1) float32.
    :param mask_logits: (B, Q, h, w).
    """

    class_logits: Tensor
    mask_logits: Tensor


PredictionsByFrame: TypeAlias = 'Mapping[int, Prediction] | Sequence[Prediction]'


@dataclass(frozen=True)
class LossWeights:
    """
    Weights of the loss terms and of the matching costs, and how masks are sampled.

    :param classes: cross entropy, and the probability in the matching cost.
    :param mask: binary cross entropy of sampled mask points.
    :param dice: dice loss of sampled mask points.
    :param no_object: weight of the no-object class within the cross entropy.
    :param num_points: points sampled of each mask.
    :param oversample: so many times more candidates are drawn for the uncertain points.
    :param importance: share of the points that are the most uncertain candidates.
    :param loyalty: by so much another query's matching cost has to be lower before an object
        leaves the one that it had in the lead; infinite: it never leaves.
    :param dense: of what every patch is taught by itself (see :mod:`.dense`); 0 is nothing.
    """

    classes: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1
    num_points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75
    loyalty: float = math.inf
    dense: float = 0.0


def bind(
        predictions: PredictionsByFrame, targets: ClipTargets, weights: LossWeights,
        generator: torch.Generator, lead: int = 0) -> Tensor:
    """
    Bind every object that is ever seen to one query.

    :param predictions: one for each of the T frames in which an object is first seen, and for
        frame ``lead``.
    :param targets: the clips' objects.
    :param weights: of the costs.
    :param generator: draws the points at which masks are compared.
    :param lead: the first frame that counts, in which objects may change their query.
    :returns: (B, N) int64 query of each object, -1 for objects that are never seen (or, with
        more objects than queries, found none left).
    """
    queries = torch.full_like(targets.labels, -1)
    for t in range(targets.masks.shape[2]):
        free = targets.first == t  # the objects that are bound in this frame
        if math.isfinite(weights.loyalty) and t == lead:
            seen = targets.masks[:, :, t].flatten(2).any(dim=2)
            free = free | (queries >= 0) & seen
        if not free.any():
            continue
        costs = _matching_cost(predictions[t], targets, t, weights, generator).cpu().numpy()
        for b in free.any(dim=1).nonzero().flatten().tolist():
            objects = free[b].nonzero().flatten()
            cost = costs[b][:, objects.cpu().numpy()]
            taken = queries[b][~free[b] & (queries[b] >= 0)]
            cost[taken.cpu().numpy()] = 1e6
            for column, row in enumerate(queries[b, objects].tolist()):
                if row >= 0:
                    cost[row, column] -= weights.loyalty
            queries[b, objects] = -1
            rows, columns = linear_sum_assignment(cost)
            for row, column in zip(rows, columns, strict=True):
                if cost[row, column] < 1e6:
                    queries[b, objects[column]] = int(row)
    return queries


@torch.no_grad()
def _matching_cost(
        prediction: Prediction, targets: ClipTargets, t: int, weights: LossWeights,
        generator: torch.Generator) -> Tensor:
    """Compute the cost (B, Q, N) of each query for each object in frame t, in float32."""
    with torch.autocast(prediction.class_logits.device.type, enabled=False):
        return _cost(prediction, targets, t, weights, generator)


def _cost(
        prediction: Prediction, targets: ClipTargets, t: int, weights: LossWeights,
        generator: torch.Generator) -> Tensor:
    B, N = targets.labels.shape
    points = _random_points(B, weights.num_points, prediction.class_logits.device, generator)
    logits = sample_points(prediction.mask_logits.float(), points)  # (B, Q, P)
    truth = sample_points(targets.masks[:, :, t].float(), points, mode='nearest')  # (B, N, P)
    positive = torch.einsum('bqp,bnp->bqn', F.softplus(-logits), truth)
    negative = torch.einsum('bqp,bnp->bqn', F.softplus(logits), 1 - truth)
    probability = logits.sigmoid()
    overlap = torch.einsum('bqp,bnp->bqn', probability, truth)
    sizes = probability.sum(-1)[:, :, None] + truth.sum(-1)[:, None]
    dice = 1 - (2 * overlap + 1) / (sizes + 1)
    classes = prediction.class_logits.softmax(-1)
    labels = targets.labels.clamp(min=0)[:, None].expand(-1, classes.shape[1], -1)
    cost = (weights.mask * (positive + negative) / weights.num_points + weights.dice * dice
            - weights.classes * classes.gather(2, labels))
    return cost.nan_to_num(1e5).clamp(max=1e5)


def clip_loss(
        predictions: PredictionsByFrame, targets: ClipTargets, queries: Tensor,
        weights: LossWeights, num_masks: float, generator: torch.Generator,
        lead: int = 0) -> dict[str, Tensor]:
    """
    Compute the losses of one layer over the frames of the clips.

    :param predictions: one for each of the T frames that counts.
    :param targets: the clips' objects.
    :param queries: (B, N) as :func:`bind` gave them.
    :param weights: of the terms.
    :param num_masks: by which sums over masks are divided, at least 1.
    :param generator: draws the points at which masks are compared.
    :param lead: so many of the first frames do not count.
    :returns: weighted scalars ``class``, ``mask`` and ``dice``.
    """
    learned = [predictions[t] for t in range(lead, targets.masks.shape[2])]
    logits = torch.stack([p.class_logits for p in learned], dim=1)  # (B, T, Q, K + 1)
    B, T, Q, K = logits.shape[0], logits.shape[1], logits.shape[2], logits.shape[3] - 1
    classes = torch.full((B, T, Q), K, dtype=torch.int64, device=logits.device)
    clip, item = (queries >= 0).nonzero(as_tuple=True)
    chosen: list[Tensor] = []
    truths: list[Tensor] = []
    for t, prediction in enumerate(learned):
        bound = targets.first[clip, item] <= lead + t
        b, n = clip[bound], item[bound]
        q = queries[b, n]
        classes[b, t, q] = targets.labels[b, n]
        chosen.append(prediction.mask_logits[b, q])
        truths.append(targets.masks[b, n, lead + t])
    balance = class_balance(K, weights.no_object, logits.device)
    loss_class = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), weight=balance)
    masks, truth = torch.cat(chosen)[:, None].float(), torch.cat(truths)[:, None].float()
    with torch.no_grad():
        points = _uncertain_points(masks, weights, generator)
        truth = sample_points(truth, points, mode='nearest')[:, 0]
    sampled = sample_points(masks, points)[:, 0]  # (M, P)
    loss_mask = F.binary_cross_entropy_with_logits(
        sampled, truth, reduction='none').mean(1).sum() / num_masks
    probability = sampled.sigmoid()
    loss_dice = (1 - (2 * (probability * truth).sum(1) + 1)
                 / (probability.sum(1) + truth.sum(1) + 1)).sum() / num_masks
    return {
        'class': weights.classes * loss_class,
        'mask': weights.mask * loss_mask,
        'dice': weights.dice * loss_dice,
    }


def class_balance(num_classes: int, no_object: float, device: torch.device) -> Tensor:
    """
    Weigh the classes of a cross entropy.

    :param num_classes: K.
    :param no_object: weight of the class after them.
    :param device: of the result.
    :returns: (K + 1,) float32, 1 for the others.
    """
    balance = torch.ones(num_classes + 1, device=device)
    balance[num_classes] = no_object
    return balance


def sample_points(masks: Tensor, points: Tensor, mode: str = 'bilinear') -> Tensor:
    """
    Read masks at points.

    :param masks: (M, N, h, w).
    :param points: (M, P, 2) as x, y in 0..1 of the picture.
    :param mode: ``bilinear`` for logits, ``nearest`` for true masks.
    :returns: (M, N, P).
    """
    grid = (2 * points - 1)[:, None]
    return F.grid_sample(masks, grid, mode=mode, align_corners=False)[:, :, 0]


def _random_points(
        count: int, num_points: int, device: torch.device, generator: torch.Generator) -> Tensor:
    return torch.rand(count, num_points, 2, generator=generator).to(device)


def _uncertain_points(
        masks: Tensor, weights: LossWeights, generator: torch.Generator) -> Tensor:
    """Draw points (M, P, 2), most of them where the logits (M, 1, h, w) are next to zero."""
    M, P = masks.shape[0], weights.num_points
    candidates = _random_points(M, int(P * weights.oversample), masks.device, generator)
    doubt = -sample_points(masks, candidates)[:, 0].abs()
    kept = int(P * weights.importance)
    best = doubt.topk(kept, dim=1).indices[..., None].expand(-1, -1, 2)
    drawn = _random_points(M, P - kept, masks.device, generator)
    return torch.cat((candidates.gather(1, best), drawn), dim=1)
