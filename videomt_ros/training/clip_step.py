"""
One training step: clips through the network with propagated queries, deep supervision, losses.

Every query block is preceded by a prediction that is supervised as the final one is. While masked
attention is on (EoMT), each query sees only the patches inside the mask predicted before the
block; :func:`anneal` lets it fade away, so that the trained network needs no mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math

import torch
from torch import nn, Tensor
import torch.distributed as dist
import torch.nn.functional as F
from videomt_ros.network import QueryState, VideoMT
from videomt_ros.network.videomt import FrameTokens

from .dense import dense_loss, DenseHead, patch_targets
from .losses import bind, clip_loss, ClipTargets, LossWeights, Prediction


class ClipStep(nn.Module):
    """
    The network together with its losses, as one module that DDP can wrap.

    :param network: is trained.
    :param weights: of the losses; with one for ``dense`` the module has a :class:`DenseHead`,
        ``dense``, which learns with the network.
    """

    def __init__(self, network: VideoMT, weights: LossWeights) -> None:
        super().__init__()
        self.network = network
        self.weights = weights
        self.dense = DenseHead(network.config) if weights.dense else None

    def forward(
            self, pixels: Tensor, targets: ClipTargets, mask_shares: tuple[float, ...],
            generator: torch.Generator, lead: int = 0) -> dict[str, Tensor]:
        """
        Compute the losses of a batch of clips.

        :param pixels: (B, T, 3, H, W) normalised.
        :param targets: the objects in them.
        :param mask_shares: for each query block the share of queries with masked attention.
        :param generator: draws points and masked queries (a CPU generator).
        :param lead: so many of the first frames bind objects and make the memory, as it is to
            be in use, but count in no loss and get no gradient; less than T.
        :returns: scalars: ``loss`` (to be minimised, over all layers), and detached its parts
            ``class``, ``mask`` and ``dice`` of the final layer and, with a weight, ``dense``.
        """
        # The caches of a CPU hold the tokens of one frame, and not those of a clip.
        at_once = 1 if pixels.device.type == 'cpu' else pixels.shape[1]
        begun = set(targets.first[targets.labels >= 0].tolist())
        state: QueryState | None = None
        frames: dict[int, list[Prediction]] = {}
        patches: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():  # what binds objects is all that is wanted of a lead
            for t, tokens in enumerate(self._encode(pixels[:, :lead], at_once)):
                frames[t], state = self._frame(tokens, state, mask_shares, generator, t in begun)
        torch.clear_autocast_cache()  # of weights that were cast without a gradient
        for t, tokens in enumerate(self._encode(pixels[:, lead:], at_once), lead):
            frames[t], state = self._frame(tokens, state, mask_shares, generator)
            if self.dense is not None:
                patches.append(self.dense(tokens.tokens[:, -math.prod(tokens.grid):]))
        num_masks = self._num_masks(targets, lead, pixels.shape[1])
        total = pixels.new_zeros(())
        for layer in range(self.network.config.num_query_blocks + 1):
            predictions = {t: layers[layer] for t, layers in frames.items() if layers}
            queries = bind(predictions, targets, self.weights, generator, lead)
            losses = clip_loss(
                predictions, targets, queries, self.weights, num_masks, generator, lead)
            total = total + sum(losses.values())
        if self.dense is not None:
            losses['dense'] = self._dense_loss(patches, targets, lead)
            total = total + losses['dense']
        return {'loss': total, **{name: value.detach() for name, value in losses.items()}}

    def _encode(self, pixels: Tensor, at_once: int) -> Iterator[FrameTokens]:
        """Encode (B, T, 3, H, W), so many of the T at once, and give frame after frame."""
        for t in range(0, pixels.shape[1], at_once):
            part = pixels[:, t:t + at_once]
            frames = self.network.encode(part.flatten(0, 1))
            for tokens in frames.tokens.unflatten(0, part.shape[:2]).unbind(1):
                yield FrameTokens(tokens, frames.grid, frames.rotation)

    def _frame(
            self, frame: FrameTokens, state: QueryState | None, mask_shares: tuple[float, ...],
            generator: torch.Generator, predict: bool = True,
    ) -> tuple[list[Prediction], QueryState]:
        """Run one frame; gives the prediction before each query block and the final one."""
        network = self.network
        state = state or network.initial_state(frame.tokens.shape[0])
        x = torch.cat((state.queries.float(), frame.tokens), dim=1)
        predictions = []
        blocks = network.blocks[-network.config.num_query_blocks:]
        for block, share in zip(blocks, mask_shares, strict=True):
            if predict or share > 0:
                predictions.append(self._predict(x, frame.grid))
            mask = None
            if share > 0:
                mask = attention_mask(
                    predictions[-1].mask_logits.detach(), frame.grid, x.shape[1], share,
                    generator)
            x = block(x, frame.rotation, mask)
        y = network.norm(x)
        if predict:
            predictions.append(self._read(y, frame.grid))
            class_logits = predictions[-1].class_logits
        else:
            class_logits = network.classify(y)
        carried = network.propagate(y if network.config.norm_queries else x, class_logits)
        return predictions if predict else [], carried

    def _predict(self, x: Tensor, grid: tuple[int, int]) -> Prediction:
        return self._read(self.network.norm(x), grid)

    def _read(self, y: Tensor, grid: tuple[int, int]) -> Prediction:
        class_logits, embeddings, features = self.network.predict(y, grid)
        return Prediction(class_logits, torch.einsum('bqc,bchw->bqhw', embeddings, features))

    def _dense_loss(
            self, patches: list[tuple[Tensor, Tensor]], targets: ClipTargets,
            lead: int) -> Tensor:
        config = self.network.config
        class_logits, sides = (torch.stack(frames, dim=1) for frames in zip(*patches, strict=True))
        truth = patch_targets(targets, config.patch_size, config.num_classes, lead)
        return self.weights.dense * dense_loss(
            class_logits, sides, truth, self.weights.no_object)

    def _num_masks(self, targets: ClipTargets, lead: int, frames: int) -> float:
        """Count (object, frame) pairs that have a loss; mean over processes."""
        pairs = frames - targets.first.clamp(min=lead)  # from each object's first frame on
        count = pairs[targets.labels >= 0].sum().float()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(count)
            count /= dist.get_world_size()
        return max(float(count), 1.0)


def attention_mask(
        mask_logits: Tensor, grid: tuple[int, int], num_tokens: int, share: float,
        generator: torch.Generator) -> Tensor:
    """
    Let queries attend to patches inside their predicted masks only (Mask2Former, EoMT).

    :param mask_logits: (B, Q, h, w); a query with an empty mask sees everything.
    :param grid: rows and columns of patches, the last tokens.
    :param num_tokens: N tokens in all, queries first.
    :param share: of the queries that are masked, 0..1; the others see everything.
    :param generator: draws them.
    :returns: (B, N, N) bool, True where attention is allowed.
    """
    B, Q = mask_logits.shape[:2]
    inside = F.interpolate(mask_logits.float(), grid, mode='bilinear').flatten(2) > 0
    free = torch.rand(B, Q, 1, generator=generator).to(inside.device) >= share
    inside = inside | free | ~inside.any(dim=2, keepdim=True)
    mask = inside.new_ones(B, num_tokens, num_tokens)
    mask[:, :Q, num_tokens - inside.shape[2]:] = inside
    return mask


def anneal(
        num_blocks: int, begin: float, end: float) -> Callable[[float], tuple[float, ...]]:
    """
    Let masked attention fade, block after block, as EoMT does (polynomial, power 0.9).

    :param num_blocks: query blocks Lq.
    :param begin: progress 0..1 of the stage at which the first block begins to fade.
    :param end: progress at which the last block has faded; ``begin == end == 0`` is no masked
        attention at all.
    :returns: a function from the stage's progress to the share of masked queries by block.
    """
    span = (end - begin) / num_blocks

    def shares(progress: float) -> tuple[float, ...]:
        result = []
        for i in range(num_blocks):
            start = begin + i * span
            done = 1.0 if span <= 0 else min(max((progress - start) / span, 0.0), 1.0)
            result.append((1 - done) ** 0.9)
        return tuple(result)

    return shares
