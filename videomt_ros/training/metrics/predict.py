"""Tracks of a whole video, out of a network that is fed frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
import time

import numpy as np
import torch
from videomt_ros.network import VideoMT
from videomt_ros.perception import VideoSegmenter
from videomt_ros.perception.offline import segment_clip
from videomt_ros.perception.resize import Resizer

from .tracks import ScoredTrack
from ..run_lengths import encode, Rle


@dataclass(frozen=True)
class Prediction:
    """
    What was found in a video.

    :param tracks: with one mask a frame each.
    :param frames: number of frames T.
    :param seconds: that the frames took, without reading them and compressing the masks.
    """

    tracks: tuple[ScoredTrack, ...]
    frames: int
    seconds: float


@dataclass
class _Growing:
    """A track while its video is played; its class is that of its latest frame."""

    class_id: int = -1
    scores: list[float] = field(default_factory=list)
    masks: dict[int, Rle] = field(default_factory=dict)


def match_classes(names: Iterable[str], wanted: Iterable[str]) -> dict[int, int]:
    """
    Find the classes of a network in a data set, by their names.

    Case does not count, nor whether words are parted by spaces, hyphens or underscores.

    :param names: of the network's classes.
    :param wanted: of the data set's classes.
    :returns: the data set's index for each class of the network that it has.
    :raises ValueError: when it has none of them.
    """
    names, wanted = list(names), list(wanted)
    places = {_plain(name): i for i, name in enumerate(wanted)}
    found = {i: places[_plain(name)] for i, name in enumerate(names) if _plain(name) in places}
    if not found:
        raise ValueError(
            f'the network knows {", ".join(names[:5])}, ...; expected a class of the data set, '
            f'which has {", ".join(wanted[:5])}, ...')
    return found


def track_online(
    segmenter: VideoSegmenter, frames: Iterable[np.ndarray], fps: float,
    classes: Mapping[int, int],
) -> Prediction:
    """
    Play a video to a segmenter as a camera would, and keep what it says at each frame.

    A track's score, which is its place in the order of average precision, is the mean of its
    scores over all frames of the video, 0 where it was not seen; the paper's protocol takes the
    mean over all frames, too. Its class is the one that it had when it was last seen, which rests
    on all the frames before. The masks are kept as they were given: nothing is made better by what
    was seen later.

    :param segmenter: starts anew; its memory of a camera '' is forgotten.
    :param frames: (H, W, 3) uint8 RGB each, in order.
    :param fps: frames of a second, for the stamps.
    :param classes: the wanted index of each class of the network; tracks of others are left out.
    :returns: what was found.
    """
    segmenter.reset('')
    growing: dict[int, _Growing] = {}
    seconds, count = 0.0, 0
    for t, frame in enumerate(frames):
        start = time.perf_counter()
        result = segmenter.process(frame, stamp=t / fps)
        seconds += time.perf_counter() - start
        count = t + 1
        for instance in result.instances:
            if instance.area:
                track = growing.setdefault(instance.track_id, _Growing())
                track.class_id = instance.class_id
                track.scores.append(instance.score)
                track.masks[t] = encode(instance.mask)
    tracks = tuple(
        ScoredTrack(
            classes[track.class_id], tuple(track.masks.get(t) for t in range(count)),
            sum(track.scores) / count)
        for track in growing.values() if track.class_id in classes)
    return Prediction(tracks, count, seconds)


def track_offline(
    network: VideoMT, frames: Iterable[np.ndarray], classes: Mapping[int, int], top_k: int = 10,
) -> Prediction:
    """
    Segment a video by the paper's protocol, which decides after its last frame.

    The masks of all slots are kept in memory at the network's resolution till then.

    :param network: in eval mode.
    :param frames: (H, W, 3) uint8 RGB each, in order, all of one size; at least one.
    :param classes: the wanted index of each class of the network; tracks of others are left out.
    :param top_k: number of (slot, class) pairs that are kept, before others are left out.
    :returns: what was found; one slot may be there with several classes.
    """
    resizer = Resizer(network.config.preprocessing, network.config.patch_size)
    state, class_logits, mask_logits = None, [], []
    size = (0, 0)
    seconds = 0.0
    with torch.inference_mode():
        for frame in frames:
            start = time.perf_counter()
            size = (frame.shape[0], frame.shape[1])
            output = network(resizer.prepare(frame, network.device)[None], state)
            state = output.state
            class_logits.append(output.class_logits[0].float().cpu())
            mask_logits.append(output.mask_logits[0].float().cpu())
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        geometry = resizer.geometry(*size)
        found = segment_clip(
            torch.stack(class_logits), torch.stack(mask_logits), 'instance', geometry.padded,
            geometry.resized, geometry.source, top_k=top_k)
        seconds += time.perf_counter() - start
    tracks = tuple(
        ScoredTrack(
            classes[each.class_id],
            tuple(encode(mask) if mask.any() else None for mask in each.masks), each.score)
        for each in found if each.class_id in classes)
    return Prediction(tracks, len(class_logits), seconds)


def _plain(name: str) -> str:
    return name.casefold().replace('_', ' ').replace('-', ' ')
