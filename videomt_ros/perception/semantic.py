"""
The semantic task (VSS): the class of every pixel, without objects.

Follows ``inference_video_vss`` of the published file ``videomt/videomt.py``: the score of a class
at a pixel is the sum over all slots of class probability times mask probability, and the highest
score wins. The classes come from the running mean of the raw class logits since the memory began,
which on the last frame of a clip is the paper's mean over the clip; see :mod:`.slot_evidence`.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from videomt_ros.network import NetworkConfig

from .bands import source_bands
from .maps import Maps, UNLABELLED
from .regions import cut_out
from .resize import FrameGeometry
from .slot_evidence import SlotEvidence
from .tasks import Segmentation, stuff_instance, View
from .tracks import label_dtype, TrackRules

# Rows and columns of a mask that are judged in one go.
_BLOCK = 8
# A class is left out only when it is so much behind: more than sums of probabilities can be off.
_MARGIN = 1e-3
# With fewer classes than this, the matrix product goes another way and rounds otherwise.
_FEWEST_CLASSES = 8


class SemanticTask:
    """
    The classes of the pixels of one camera.

    Every class that is seen makes one instance without a track: track_id 0, mask_value one more
    than the class index. Where a class wins that is not wanted, the pixel is unlabelled.

    :param config: of the network.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self._class_names = config.class_names
        self._evidence = SlotEvidence(config.num_queries, config.num_classes)

    def reset(self) -> None:
        """Forget what the slots have shown."""
        self._evidence.reset()

    def segment(self, view: View, rules: TrackRules) -> Segmentation:
        """
        Judge one frame.

        :param view: what the network says of it.
        :param rules: of which only the wanted classes matter.
        :returns: an instance for each class that is seen, the maps, and the milliseconds of the
            stage 'masks'.
        :raises FloatingPointError: when mask logits are not numbers; nothing is remembered then.
        """
        start = time.perf_counter()
        logits = view.mask_tensor(np.arange(len(view.class_logits)))
        means = torch.from_numpy(self._evidence.mean_with(view.class_logits))
        self._evidence.add(view.class_logits)
        probabilities = means.softmax(dim=-1)[:, :-1].T.contiguous()  # (K, Q)
        wanted = np.zeros(len(self._class_names), dtype=bool)
        wanted[slice(None) if rules.classes is None else list(rules.classes)] = True
        classes, confidence = map_classes(logits, probabilities, view.geometry, wanted)
        dtype = label_dtype(len(view.class_logits))
        value_of = np.arange(1, UNLABELLED + 2).astype(dtype)
        value_of[UNLABELLED] = 0
        seen = np.flatnonzero(np.bincount(classes.ravel(), minlength=UNLABELLED)[:UNLABELLED])
        patches = [cut_out(classes == class_id, confidence) for class_id in seen]
        instances = tuple(
            stuff_instance(class_id, self._class_names[class_id], patch.mean_probability,
                           class_id + 1, patch, view)
            for class_id, patch in zip(seen.tolist(), patches, strict=True))
        return Segmentation(
            instances, {'masks': (time.perf_counter() - start) * 1e3}, dtype,
            Maps(value_of[classes], classes, confidence))


def map_classes(
    logits: Tensor, probabilities: Tensor, geometry: FrameGeometry, wanted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give every pixel the class with the highest sum of class times mask probability.

    Made in bands of rows, so that the memory stays at a few rows of all masks; and in each of them
    for those classes alone that can win there. Which these are is guessed from the masks as they
    are, and the guess is proven: what was left out cannot reach the least score that has won.

    :param logits: (Q, h, w) float32 mask logits of all slots, at the network's resolution.
    :param probabilities: (K, Q) float32 class probabilities of the slots, without no-object.
    :param geometry: sizes of the frame.
    :param wanted: (K,) bool; the other classes win their pixels too, which are then unlabelled.
    :returns: (H, W) uint8 class indices, 255 where an unwanted class has won, and (H, W) uint8
        confidence: 255 times the sum, 1 at most; 0 where unlabelled, and 1 at least elsewhere.
    """
    classes = np.full(geometry.source, UNLABELLED, dtype=np.uint8)
    confidence = np.zeros(geometry.source, dtype=np.uint8)
    probabilities = probabilities.to(logits.device)
    bands = source_bands(geometry, tuple(logits.shape[1:]), logits.device)
    winners = _winners(logits, probabilities)
    for rows in bands.split(len(logits)):
        support = bands.support(rows)
        at_most = _at_most(logits[:, support], probabilities)
        strongest = at_most.topk(min(_FEWEST_CLASSES, len(at_most))).indices
        likely = torch.cat((winners[support].flatten(), strongest)).unique()
        masks = bands.probabilities(logits, rows)  # (Q, rows, W)
        scores = probabilities[likely] @ masks.flatten(1)  # (classes, pixels)
        missed = at_most >= scores.amax(dim=0).min() - _MARGIN
        missed[likely] = False
        if missed.any():
            likely = torch.cat((likely, missed.nonzero().flatten())).sort().values
            scores = probabilities[likely] @ masks.flatten(1)
        best, winner = scores.max(dim=0)  # the first of equal ones, as the paper's argmax
        found = likely[winner].view(masks.shape[1:]).cpu().numpy()
        sure = (255 * best.clamp(max=1)).round().clamp(min=1)
        labelled = wanted[found]
        np.copyto(classes[rows], found, where=labelled, casting='unsafe')
        np.copyto(confidence[rows], sure.view(masks.shape[1:]).to(torch.uint8).cpu().numpy(),
                  where=labelled)
    return classes, confidence


def _winners(logits: Tensor, probabilities: Tensor) -> Tensor:
    """
    Give every pixel its class at the network's resolution.

    :param logits: (Q, h, w).
    :param probabilities: (K, Q).
    :returns: (h, w) class indices.
    """
    parts = [(probabilities @ rows.sigmoid().flatten(1)).argmax(dim=0)
             for rows in logits.split(_BLOCK, dim=1)]
    return torch.cat(parts).view(logits.shape[1:])


def _at_most(logits: Tensor, probabilities: Tensor) -> Tensor:
    """
    Give what the scores of the classes cannot exceed in a band.

    A resized mask lies between the values that it is made of, and so does a sum of them.

    :param logits: (Q, r, w) the rows of the masks that the band is made of.
    :param probabilities: (K, Q).
    :returns: (K,).
    """
    # Two columns that meet in a pixel, and one more for the second resize.
    highest = functional.max_pool1d(
        logits.amax(dim=1)[None], kernel_size=min(_BLOCK + 2, logits.shape[2]), stride=_BLOCK,
        ceil_mode=True)[0].sigmoid()
    return (probabilities @ highest).amax(dim=1)
