"""The truth of a recording: annotations whose frames are the images of a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .bags.frames import recorded_frames
from ..training.metrics import AnnotatedVideo, GroundTruth


@dataclass(frozen=True)
class RecordedVideo(AnnotatedVideo):
    """
    A video whose frames lie in a recording; its `files` name them without being there.

    :param recording: a rosbag2 folder or one of its files.
    :param topic: of the images; None for the first camera.
    """

    recording: Path
    topic: str | None

    def frames(self) -> Iterator[np.ndarray]:
        """
        Read the images, one after the other.

        :returns: (H, W, 3) uint8 RGB each.
        :raises BagError: when the recording cannot be read or has no such topic.
        :raises ValueError: when the images are not as many or as large as the annotations say.
        """
        count = 0
        for count, given in enumerate(recorded_frames(self.recording, self.topic), start=1):
            height, width = given.frame.shape[:2]
            if (height, width) != (self.height, self.width):
                raise ValueError(
                    f'{self.recording}: image {count} has {width}x{height} pixels; expected '
                    f'{self.width}x{self.height} as the annotations say')
            if count <= len(self.files):
                yield given.frame
        if count != len(self.files):
            raise ValueError(
                f'{self.recording}: has {count} images that can be read; expected '
                f'{len(self.files)} as the annotations say')


def is_recording(path: Path) -> bool:
    """
    Tell a recording from a folder of frames.

    :param path: of a data set.
    :returns: whether it is the folder of a rosbag2 recording.
    """
    return (path / 'metadata.yaml').is_file()


def of_recording(truth: GroundTruth, recording: Path, topic: str | None) -> GroundTruth:
    """
    Take the frames out of a recording.

    :param truth: annotations of one video.
    :param recording: a rosbag2 folder or one of its files.
    :param topic: of the images; None for the first camera.
    :returns: the same with other frames.
    :raises ValueError: when there are several videos.
    """
    if len(truth.videos) != 1:
        raise ValueError(
            f'{truth.path}: annotates {len(truth.videos)} videos; expected one, that of '
            f'{topic or "the camera"} in {recording}')
    video, = truth.videos
    return replace(truth, videos=(RecordedVideo(
        video.video_id, video.files, video.height, video.width, video.tracks, recording,
        topic, crowds=video.crowds),))
