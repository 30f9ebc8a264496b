"""Frames to measure on: recorded ones, and drawn ones of any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from videomt_ros.perception import FrameInput
from videomt_ros.ros.pixels import ImageError
from videomt_ros.tools.bags.cameras import find_cameras, FrameChoice, frames
from videomt_ros.tools.bags.images import decode_image
from videomt_ros.tools.bags.reading import Recording

_PERIOD = 1 / 30  # seconds between drawn frames


def recorded_frames(path: Path, topic: str | None = None) -> Iterator[FrameInput]:
    """
    Read the pictures of one camera of a recording.

    :param path: folder or file.
    :param topic: of the camera; None for the first one.
    :returns: the frames by time of recording; broken images are left out.
    :raises BagError: when the recording cannot be read or has no such camera.
    """
    with Recording(path) as recording:
        cameras, _ = find_cameras(recording, [topic] if topic else [])
        for frame in frames(recording, cameras[:1], FrameChoice()):
            try:
                picture = decode_image(frame.message.topic.kind, frame.message.data)
            except ImageError:
                continue
            yield FrameInput(picture.pixels, picture.stamp * 1e-9, picture.frame_id)


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
