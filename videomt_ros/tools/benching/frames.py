"""Drawn frames to measure on, of any size."""

from __future__ import annotations

import cv2
import numpy as np
from videomt_ros.perception import FrameInput

_PERIOD = 1 / 30  # seconds between drawn frames


def drawn_frames(height: int, width: int, count: int) -> list[FrameInput]:
    """
    Draw a soft pattern that drifts, with the noise of a camera over it.

    :param height: of the frames.
    :param width: of the frames.
    :param count: how many.
    :returns: the frames, the same ones each time.
    """
    random = np.random.default_rng(0)
    coarse = random.uniform(40, 215, (9, 16, 3)).astype(np.float32)
    large = cv2.resize(coarse, (width + count, height), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 4, (height, width, 3)).astype(np.float32)
    return [
        FrameInput(
            np.clip(large[:, i:i + width] + np.roll(noise, 7 * i, axis=1), 0, 255)
            .astype(np.uint8), i * _PERIOD, 'drawn')
        for i in range(count)]
