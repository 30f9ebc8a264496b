"""
The thread that runs the network: on the newest image of every camera that waits, as one batch.

Callbacks only hand over. An image that comes while the network runs replaces the one that waits,
which is counted as skipped: a robot wants to know what is, not what was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
import threading
import time
import traceback

import numpy as np
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header
from videomt_ros.perception import FrameInput, FrameResult, VideoSegmenter
from videomt_ros.ros.camera import Camera, RawImage
from videomt_ros.ros.images import image_to_rgb, ImageError
from videomt_ros.ros.outputs import Answer
from videomt_ros.ros.parameters import Settings, tracking_options
from videomt_ros.ros.stamps import nanoseconds

_CAUSES_LOGGED = 50  # a sender of nonsense may have any number


class Worker:
    """
    One thread for all cameras of a node.

    :param segmenter: used by this thread alone from now on.
    :param settings: gives the settings to use for the next images.
    :param clock: the node's, for the age of images.
    :param logger: the node's.
    """

    def __init__(self, segmenter: VideoSegmenter, settings: Callable[[], Settings], clock: Clock,
                 logger: RcutilsLogger) -> None:
        self._segmenter = segmenter
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._change = threading.Condition()
        self._waiting: dict[Camera, RawImage] = {}
        self._skipped: Counter[Camera] = Counter()  # since the newest result
        self._resets: set[Camera] = set()
        self._stopped = False
        self._applied: Settings | None = None
        self._causes: set[tuple[Camera, str]] = set()
        self._thread = threading.Thread(target=self._run, name='videomt_worker', daemon=True)
        self._thread.start()

    def offer(self, camera: Camera, image: RawImage) -> None:
        """
        Hand over the newest image of a camera; returns at once.

        :param camera: that sent it.
        :param image: the message, not to be changed afterwards.
        """
        camera.statistics.received()
        with self._change:
            late = camera in self._waiting
            self._waiting[camera] = image
            self._skipped[camera] += late
            self._change.notify()
        if late:
            camera.statistics.skipped()

    def reset(self, camera: Camera) -> None:
        """
        Forget a camera's tracks before its next image; returns at once.

        :param camera: whose memory.
        """
        with self._change:
            self._resets.add(camera)

    def stop(self) -> None:
        """End the thread after the images that it is at; what waits is dropped."""
        with self._change:
            self._stopped = True
            self._change.notify()
        self._thread.join()

    def _run(self) -> None:
        """Process whatever waits, until stopped."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                images, self._waiting = self._waiting, {}
                resets, self._resets = self._resets, set()
                skipped = {camera: self._skipped[camera] for camera in images}
            for camera in resets:
                self._segmenter.reset(camera.name)
            for camera in self._process(images, skipped):
                with self._change:
                    self._skipped[camera] -= skipped[camera]

    def _process(self, images: Mapping[Camera, RawImage],
                 skipped: Mapping[Camera, int]) -> list[Camera]:
        """
        Answer one image of each camera that waits.

        :param images: the messages.
        :param skipped: images dropped since each camera's last result.
        :returns: the cameras that got an answer.
        """
        settings = self._settings()
        frames: dict[Camera, np.ndarray] = {}
        decoding: dict[Camera, float] = {}
        for camera, image in images.items():
            start = time.perf_counter()
            try:
                frames[camera] = image_to_rgb(image)
            except ImageError as error:
                self._fail(camera, error.cause, f'An image of {camera} gives no result: {error}')
            decoding[camera] = 1e3 * (time.perf_counter() - start)
        if not frames:
            return []
        try:
            results = self._segment(frames, images, skipped, settings)
        except Exception as error:
            for camera in frames:
                self._fail(camera, f'network: {type(error).__name__}',
                           f'The network failed on {camera} and begins anew: {error}\n'
                           f'{traceback.format_exc()}')
                self._segmenter.reset(camera.name)
            return []
        answered = []
        for camera, result in results.items():
            try:
                self._answer(camera, result, images[camera].header, frames[camera],
                             decoding[camera], settings)
                answered.append(camera)
            except Exception as error:
                self._fail(camera, f'output: {type(error).__name__}',
                           f'A result of {camera} could not be published: {error}\n'
                           f'{traceback.format_exc()}')
        return answered

    def _segment(self, frames: Mapping[Camera, np.ndarray], images: Mapping[Camera, RawImage],
                 skipped: Mapping[Camera, int], settings: Settings) -> dict[Camera, FrameResult]:
        """
        Run the network on one frame of each camera.

        :param frames: (H, W, 3) uint8 RGB.
        :param images: the messages that they came from.
        :param skipped: images dropped since each camera's last result.
        :param settings: to be used.
        :returns: a result per camera.
        """
        if settings is not self._applied:
            self._segmenter.configure(**tracking_options(settings))
            self._applied = settings
        given = {}
        for camera, rgb in frames.items():
            header = images[camera].header
            given[camera.name] = FrameInput(
                rgb, camera.scale(header).seconds(header.stamp), header.frame_id, skipped[camera])
        results = self._segmenter.process_many(given)
        return {camera: results[camera.name] for camera in frames}

    def _answer(self, camera: Camera, result: FrameResult, header: Header, rgb: np.ndarray,
                decoding: float, settings: Settings) -> None:
        """
        Publish a result and count it.

        :param camera: of the image.
        :param result: of the image.
        :param header: of the image.
        :param rgb: (H, W, 3) uint8, the frame.
        :param decoding: milliseconds from message to frame.
        :param settings: to be used.
        """
        if result.reset_reason is not None:
            camera.statistics.memory_reset(result.reset_reason)
            self._logger.info(f'{camera} begins epoch {result.epoch}: {result.reset_reason}')
        start = time.perf_counter()
        camera.outputs.publish(
            Answer(result, header, rgb, camera.scale(header), settings.publish_mask_runs))
        stages = {'decode': decoding, **result.timings,
                  'publish': 1e3 * (time.perf_counter() - start)}
        age = self._clock.now().nanoseconds - nanoseconds(header.stamp)
        tracks = sum(instance.track_id != 0 for instance in result.instances)
        camera.statistics.answered(age / 1e6, stages, tracks, result.epoch)

    def _fail(self, camera: Camera, cause: str, text: str) -> None:
        """
        Count an image without a result, and log it if its cause is new.

        :param camera: that sent it.
        :param cause: in words that are the same for like images.
        :param text: for the log.
        """
        if (camera, cause) not in self._causes and len(self._causes) < _CAUSES_LOGGED:
            self._causes.add((camera, cause))
            self._logger.error(text)
        camera.statistics.failed(cause)
