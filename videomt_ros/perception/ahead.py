"""Recorded frames: the part of the network that needs no memory runs ahead, on many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import time

import numpy as np
import torch
from videomt_ros.network import QueryState
from videomt_ros.network.videomt import FrameTokens

from .camera import Camera
from .engines import Engine
from .resize import check_frame
from .result import FrameResult
from .segmenter import _Prepared as Prepared
from .segmenter import _Step as Step
from .segmenter import FrameInput, TASKS, VideoSegmenter


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """
    A frame that has gone through the early blocks, and now waits for the memory of its camera.

    :param given: the frame, as for :meth:`VideoSegmenter.process_many`.
    :param pixels: (3, H, W) float32, the network's input.
    :param tokens: a batch of one, made of it; None where the engine wants the pixels.
    :param milliseconds: of resizing and encoding, its share of what was done together.
    """

    given: FrameInput
    pixels: torch.Tensor
    tokens: FrameTokens | None
    milliseconds: float


class AheadSegmenter(VideoSegmenter):
    """
    A :class:`VideoSegmenter` for recordings, where the next frames are known already.

    The early blocks see single frames, so any number of frames of any cameras can go through them
    as one batch, in any thread, before the frames in front of them are done. Only the last blocks
    want the memory that the frame before has left::

        encoded = segmenter.encode([FrameInput(frame, stamp) for frame, stamp in window])
        results = [segmenter.process_encoded({'': each})[''] for each in encoded]

    gives what :meth:`VideoSegmenter.process` gives frame by frame, up to the rounding of sums
    that a larger batch may group in another way; bit for bit when frames are encoded one by one.

    The engine 'eager' can be split so. Any other runs a frame as a whole, and frames are only
    resized ahead for it.
    """

    @property
    def splits(self) -> bool:
        """Tell whether the early blocks run ahead, rather than each frame as a whole."""
        return self._engine is self.network

    @property
    def engine(self) -> Engine:
        """Give what runs the network, for another segmenter with the same weights."""
        return self._engine

    def encode(self, frames: Sequence[FrameInput]) -> list[EncodedFrame]:
        """
        Run the early blocks on frames of any cameras; no memory is read or changed.

        Several threads may do this at once, also while another one is in
        :meth:`process_encoded`.

        :param frames: those whose prepared size is equal go through the network as one batch.
        :returns: them in the same order.
        :raises ValueError: when a frame is no picture.
        """
        start = time.perf_counter()
        for each in frames:
            check_frame(each.frame)
        tokens: dict[int, FrameTokens] = {}
        with torch.inference_mode():
            pixels = [self._resizer.prepare(each.frame, self.network.device) for each in frames]
            batches: dict[torch.Size, list[int]] = {}
            for i, each_pixels in enumerate(pixels if self.splits else ()):
                batches.setdefault(each_pixels.shape, []).append(i)
            for members in batches.values():
                encoded = self.network.encode(torch.stack([pixels[i] for i in members]))
                tokens.update((i, encoded.row(row)) for row, i in enumerate(members))
        share = (time.perf_counter() - start) * 1e3 / max(1, len(frames))
        return [EncodedFrame(each, pixels[i], tokens.get(i), share)
                for i, each in enumerate(frames)]

    def process_encoded(self, frames: Mapping[str, EncodedFrame]) -> dict[str, FrameResult]:
        """
        Segment one encoded frame of each of several cameras, as :meth:`process_many` does.

        :param frames: by name of the camera; of each camera the next one.
        :returns: the results by name of the camera, in the same order.
        :raises FloatingPointError: when the network's answer is not finite; the queries and tracks
            of that camera are those of before then.
        """
        with torch.inference_mode():
            prepared = {name: self._look(name, each) for name, each in frames.items()}
            batches: dict[torch.Size, list[str]] = {}
            for name, each in frames.items():
                batches.setdefault(each.pixels.shape, []).append(name)
            steps: dict[str, Step] = {}
            for names in batches.values():
                steps.update(self._step_on(
                    {name: frames[name] for name in names},
                    {name: prepared[name] for name in names}))
            return {name: self._finish(name, prepared[name], steps[name]) for name in frames}

    def _look(self, name: str, frame: EncodedFrame) -> Prepared:
        """Tell whether the camera's memory can be carried on to the frame."""
        if name not in self._cameras:
            self._cameras[name] = Camera(TASKS[self.task](self.network.config))
        given = frame.given
        size = given.frame.shape[:2]
        return Prepared(
            given=given, geometry=self._resizer.geometry(*size), pixels=frame.pixels,
            broken=self._cameras[name].break_before(
                size, given.stamp, given.frame_id, self._max_gap),
            milliseconds=frame.milliseconds)

    def _step_on(
        self, frames: Mapping[str, EncodedFrame], prepared: Mapping[str, Prepared],
    ) -> dict[str, Step]:
        """Run the last blocks on one frame of each of some cameras, all of one size."""
        start = time.perf_counter()
        memories = []
        for name in frames:
            queries = self._cameras[name].queries
            memories.append(self.network.initial_state(1) if queries is None
                            or prepared[name].broken else queries)
        tokens = [each.tokens for each in frames.values() if each.tokens is not None]
        if tokens:
            together = torch.cat([each.tokens for each in tokens])
            output = self.network.step(
                FrameTokens(together, tokens[0].grid, tokens[0].rotation),
                QueryState.cat(memories))
        else:
            output = self._engine(
                torch.stack([each.pixels for each in frames.values()]), QueryState.cat(memories))
        logits = output.class_logits.cpu().numpy()  # waits for the device
        milliseconds = (time.perf_counter() - start) * 1e3
        for name, row in zip(frames, logits, strict=True):
            if not np.isfinite(row).all():
                raise FloatingPointError(
                    f'camera {name!r}: the network gave class logits that are not finite numbers')
        return {name: Step(output, row, logits[row], milliseconds)
                for row, name in enumerate(frames)}
