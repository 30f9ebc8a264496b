"""The pictures of one camera of a recording, as a segmenter takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from videomt_ros.perception import FrameInput
from videomt_ros.ros.pixels import ImageError

from .cameras import find_cameras, FrameChoice, frames
from .images import decode_image
from .reading import Recording


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
