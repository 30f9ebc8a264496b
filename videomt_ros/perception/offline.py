"""
Segment a whole clip after the fact, exactly as the paper's evaluation does.

The class of a query is decided from the mean of its raw class logits over every frame of the clip,
and masks go through two resizes: from the network's quarter resolution to the padded input, where
the padding is cut off, and from there to the source frame.  It needs the future, so it is for
measuring accuracy only; a running camera uses `segmenter.py`.

Follows `post_processing` and `inference_video_{vis,vps,vss}` of the published file
`videomt/videomt.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Mask values that are brought to the source size in one go: 64 MiB of float32.
_VALUES_AT_ONCE = 1 << 24
# Results of so many rows and columns together, at most, torch's CPU kernel makes in its own way.
_SMALL = 128


class ClipInstance(NamedTuple):
    """
    One instance of a whole clip.

    :param query: query slot that carried it through the clip.
    :param class_id: class index, 0 to K-1.
    :param score: probability of the class, 0 to 1.
    :param masks: (T, H, W) bool at the source size; all false in frames without the instance.
    """

    query: int
    class_id: int
    score: float
    masks: np.ndarray


class ClipSegment(NamedTuple):
    """
    One panoptic segment of a whole clip.

    :param segment_id: its value in the id map, 1 and up in the order of the queries.
    :param query: query slot; for stuff merged from several queries, the first of them.
    :param class_id: class index, 0 to K-1.
    :param is_thing: false for stuff, of which a clip has one segment per class.
    """

    segment_id: int
    query: int
    class_id: int
    is_thing: bool


Size = tuple[int, int]


def segment_clip(
    class_logits: Tensor,
    mask_logits: Tensor,
    task: str,
    padded_size: Size,
    resized_size: Size,
    source_size: Size,
    thing_classes: Collection[int] | None = None,
    top_k: int = 10,
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Any:
    """
    Turn the network's outputs over a whole clip into the result that the paper evaluates.

    :param class_logits: (T, Q, K+1) raw class logits, last column = no object.
    :param mask_logits: (T, Q, h, w) mask logits, a quarter of the padded size.
    :param task: 'instance' (VIS), 'panoptic' (VPS) or 'semantic' (VSS).
    :param padded_size: (H, W) of the network's input, padding included.
    :param resized_size: (H, W) of the resized frame in the upper left of that input.
    :param source_size: (H, W) of the frames, and of the result.
    :param thing_classes: class ids that are things, for 'panoptic'; None = every class is one.
    :param top_k: number of (query, class) pairs that 'instance' returns; the paper takes 10, and
        20 for OVIS.
    :param score_threshold: lowest class probability of a 'panoptic' query, exclusive.
    :param overlap_threshold: least share of its own mask that a 'panoptic' query must win, over
        the clip, inclusive.
    :returns: for 'instance' a list of :class:`ClipInstance`, best first (a query may appear with
        several classes); for 'panoptic' a pair of the (T, H, W) int32 id map, 0 = void, and a list
        of :class:`ClipSegment`; for 'semantic' the (T, H, W) int32 class ids.  Arrays are NumPy's.
    :raises ValueError: for an unknown task, or logits and sizes that do not fit together.
    """
    mask_logits = torch.as_tensor(mask_logits).detach().float()
    class_logits = torch.as_tensor(class_logits).detach().to(mask_logits).contiguous()
    _check(class_logits, mask_logits, padded_size, resized_size, source_size)
    probabilities = class_logits.mean(dim=0).softmax(dim=-1)  # (Q, K+1)
    masks = _ClipMasks(mask_logits, padded_size, resized_size, source_size)
    if task == 'instance':
        return _instances(probabilities, masks, top_k)
    if task == 'panoptic':
        return _panoptic(probabilities, masks, thing_classes, score_threshold, overlap_threshold)
    if task == 'semantic':
        return _semantic(probabilities, masks)
    raise ValueError(f"task is {task!r}; expected 'instance', 'panoptic' or 'semantic'")


class _ClipMasks:
    """Mask logits of a clip, brought to the source size a few frames at a time."""

    def __init__(self, logits: Tensor, padded: Size, resized: Size, source: Size) -> None:
        self._logits = logits
        self._padded = padded
        self._resized = resized
        self.shape = (len(logits), source[0], source[1])

    def at_source(self, queries: Tensor, sigmoid: bool) -> Iterator[tuple[slice, Tensor]]:
        """
        Yield the masks of some queries at the source size.

        :param queries: (n,) query slots; a slot may be named twice.
        :param sigmoid: turn logits into probabilities between the two resizes.
        :returns: pairs of the frames and their (n, t, H, W) float32 masks.  A portion holds a
            whole number of frames, so its size is at least n masks of one frame.
        """
        frames, height, width = self.shape
        values = height * width
        for part in _portions(frames, _VALUES_AT_ONCE // (len(queries) * values)):
            masks = self._logits.new_empty(len(queries), part.stop - part.start, height, width)
            group = max(1, _VALUES_AT_ONCE // (values * (3 if frames == 3 else masks.shape[1])))
            for some, room in zip(queries.split(group), masks.split(group), strict=True):
                room.copy_(self._upsample(some, part, sigmoid))
            yield part, masks

    def _upsample(self, queries: Tensor, part: slice, sigmoid: bool) -> Tensor:
        """Give the masks (n, t, H, W) of some queries in a portion of the clip."""
        # Frames must lie on the channel axis, as in the original: see _portions. Where that is not
        # enough, more frames than those of the portion go through torch's kernel.
        whole = self.shape[0] == 3
        first = slice(None) if whole or sum(self._padded) <= _SMALL else part
        logits = self._logits[first, queries].transpose(0, 1).contiguous()
        x = _resize(logits, self._padded)[..., :self._resized[0], :self._resized[1]]
        if first != part and not whole:
            x = x[:, part]
        x = _resize(x.sigmoid() if sigmoid else x, self.shape[1:])
        return x[:, part] if whole else x


def _portions(frames: int, at_once: int) -> Iterator[slice]:
    """
    Cut a clip so that torch rounds each portion as it does the whole, or pixels would flip.

    Its CPU kernel takes eight channels (here: frames) of small results at once and multiplies and
    adds those in one rounding, and has a way of its own for three channels in a single thread.
    """
    if frames <= at_once:
        yield slice(0, frames)
        return
    step = at_once - at_once % 8 if at_once >= 8 else 1
    start = 0
    while start < frames:
        stop = start + step if frames - start >= step + min(step, 8) else frames
        yield slice(start, stop)
        start = stop


def _resize(x: Tensor, size: Size) -> Tensor:
    return functional.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)


def _instances(probabilities: Tensor, masks: _ClipMasks, top_k: int) -> list[ClipInstance]:
    objects = probabilities[:, :-1]  # the softmax has seen no-object; the choice does not
    num_classes = objects.shape[1]
    scores, flat = objects.flatten().topk(min(top_k, objects.numel()))
    if not len(flat):
        return []
    queries, classes = flat // num_classes, flat % num_classes
    kept = np.empty((len(flat), *masks.shape), dtype=bool)
    for part, logits in masks.at_source(queries, sigmoid=False):
        kept[:, part] = (logits > 0).cpu().numpy()
    found = zip(queries.tolist(), classes.tolist(), scores.tolist(), kept, strict=True)
    return sorted((ClipInstance(*each) for each in found), key=lambda i: (-i.score, i[:2]))


def _panoptic(
    probabilities: Tensor, masks: _ClipMasks, thing_classes: Collection[int] | None,
    score_threshold: float, overlap_threshold: float,
) -> tuple[np.ndarray, list[ClipSegment]]:
    scores, classes = probabilities.max(dim=-1)  # no-object takes part: a query may be nothing
    no_object = probabilities.shape[1] - 1
    kept = ((classes != no_object) & (scores > score_threshold)).nonzero().flatten()
    # Every pixel belongs to one kept query at most: 1 + its place among the kept, 0 = none.
    owner = np.zeros(masks.shape, dtype=np.int32)
    if not len(kept):
        return owner, []
    won = torch.zeros(len(kept), dtype=torch.int64, device=kept.device)
    own = torch.zeros_like(won)
    for part, chances in masks.at_source(kept, sigmoid=True):
        solid = chances >= 0.5
        own += solid.sum(dim=(1, 2, 3))
        winner = (scores[kept].view(-1, 1, 1, 1) * chances).argmax(dim=0)  # (t, H, W)
        won += torch.bincount(winner.flatten(), minlength=len(kept))
        held = solid.gather(0, winner[None])[0]
        owner[part] = torch.where(held, winner + 1, 0).cpu().numpy()
    visible = np.bincount(owner.ravel(), minlength=len(kept) + 1)[1:]

    segments: list[ClipSegment] = []
    stuff: dict[int, int] = {}
    new_value = np.zeros(len(kept) + 1, dtype=np.int32)
    areas = zip(kept.tolist(), won.tolist(), own.tolist(), strict=True)
    for place, (query, win, area) in enumerate(areas):
        if not visible[place] or win / area < overlap_threshold:
            continue
        class_id = int(classes[query])
        is_thing = thing_classes is None or class_id in thing_classes
        if class_id not in stuff:
            segments.append(ClipSegment(len(segments) + 1, query, class_id, is_thing))
            if not is_thing:
                stuff[class_id] = len(segments)
        new_value[place + 1] = stuff.get(class_id, len(segments))
    return new_value[owner], segments


def _semantic(probabilities: Tensor, masks: _ClipMasks) -> np.ndarray:
    objects = probabilities[:, :-1]
    result = np.empty(masks.shape, dtype=np.int32)
    queries = torch.arange(len(objects), device=objects.device)
    for part, chances in masks.at_source(queries, sigmoid=True):
        scores = torch.einsum('qc,qthw->cthw', objects, chances)
        result[part] = scores.argmax(dim=0).cpu().numpy()
    return result


def _check(class_logits: Tensor, mask_logits: Tensor, padded: Size, resized: Size,
           source: Size) -> None:
    classes, masks = tuple(class_logits.shape), tuple(mask_logits.shape)
    if len(classes) != 3 or len(masks) != 4 or classes[:2] != masks[:2]:
        raise ValueError(f'class logits have shape {classes} and mask logits {masks}; '
                         'expected (T, Q, K+1) and (T, Q, h, w) with equal T and Q')
    if not classes[0] or not classes[1] or classes[2] < 2:
        raise ValueError(f'class logits have shape {classes}; expected at least one frame, one '
                         'query, and one class beside no-object')
    if not all(0 < small <= large for small, large in zip(resized, padded, strict=True)):
        raise ValueError(f'resized size {tuple(resized)} does not fit into the padded size '
                         f'{tuple(padded)}')
    if min(source) < 1:
        raise ValueError(f'source size is {tuple(source)}; expected two positive numbers')
