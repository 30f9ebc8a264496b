"""Recorded frames: the part of the network that needs no memory runs ahead, on many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import time

import torch
from videomt_ros.network import QueryState, VideoMTOutput
from videomt_ros.network.videomt import FrameTokens

from .engines import Engine
from .resize import check_frame
from .result import FrameResult
from .segmenter import _Prepared as Prepared
from .segmenter import FrameInput, VideoSegmenter


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
        def run(batch: Mapping[str, Prepared], memory: QueryState) -> VideoMTOutput:
            tokens = [encoded for name in batch if (encoded := frames[name].tokens) is not None]
            if not tokens:
                return self._run_engine(batch, memory)
            together = torch.cat([each.tokens for each in tokens])
            return self.network.step(
                FrameTokens(together, tokens[0].grid, tokens[0].rotation), memory)

        with torch.inference_mode():
            prepared = {
                name: self._look(name, each.given, each.pixels, each.milliseconds)
                for name, each in frames.items()}
            return self._advance(prepared, run, None)
