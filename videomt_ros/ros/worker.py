"""
The thread that runs the network: on the newest image of every camera that waits, as one batch.

Callbacks only hand over. An image that comes while the network runs replaces the one that waits,
which is counted as skipped: a robot wants to know what is, not what was. What came out is
published by a second thread, while the network is at the next images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
import threading
import time
import traceback

import numpy as np
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header
from videomt_ros.perception import FrameInput, FrameResult, VideoSegmenter
from videomt_ros.ros.camera import Camera, RawImage
from videomt_ros.ros.drops import age_complaint, Drop, RateLimit
from videomt_ros.ros.images import image_to_rgb, ImageError
from videomt_ros.ros.log_quota import LogQuota
from videomt_ros.ros.outputs import Answer
from videomt_ros.ros.parameters import Settings, tracking_options
from videomt_ros.ros.stamps import nanoseconds, StampScale

_CAUSES_LOGGED = 50  # a sender of nonsense may have any number
_RESETS_LOGGED = 20  # a minute


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
        self._newest: dict[Camera, int] = {}  # nanoseconds of its stamp
        self._skipped: Counter[Camera] = Counter()  # since the newest result
        self._resets: dict[Camera, str] = {}  # with the reason
        self._owed: set[Camera] = set()  # whose next image is processed in spite of a pause
        self._limits: defaultdict[Camera, RateLimit] = defaultdict(RateLimit)
        self._paused = self._stopped = False
        self._applied: Settings | None = None
        self._causes: set[tuple[Camera, str]] = set()
        self._quotas = defaultdict[Camera, LogQuota](lambda: LogQuota(_RESETS_LOGGED))
        self._failures = 0  # of the network, since it last gave a result
        self._failure = ''  # the newest, in words
        self.broken: str | None = None  # why the network is given up, and the thread has ended
        self._publisher = ThreadPoolExecutor(1, 'videomt_publisher')
        self._publication: Future[None] | None = None  # the newest
        self._thread = threading.Thread(target=self._run, name='videomt_worker', daemon=True)
        self._thread.start()

    def offer(self, camera: Camera, image: RawImage) -> None:
        """
        Hand over the newest image of a camera; returns at once.

        :param camera: that sent it.
        :param image: the message, not to be changed afterwards.
        """
        camera.statistics.received()
        rate = self._settings().max_rate
        with self._change:
            if self._paused and camera not in self._owed:
                self._drop(camera, Drop.PAUSED)
                return
            if not self._paused and not self._limits[camera].admits(rate, time.monotonic()):
                self._drop(camera, Drop.MAX_RATE)
                return
            if camera in self._waiting:
                self._drop(camera, Drop.NEWER)
            self._owed.discard(camera)
            self._waiting[camera] = image
            self._newest[camera] = nanoseconds(image.header.stamp)
            self._change.notify()

    def _drop(self, camera: Camera, reason: Drop) -> None:
        """
        Count an image without an answer; the lock is held.

        :param camera: that sent it.
        :param reason: why.
        """
        self._skipped[camera] += 1
        camera.statistics.dropped(reason)

    def pause(self, paused: bool) -> None:
        """
        Drop images from now on, or no more; returns at once.

        :param paused: drop them; the image at work is still answered.
        """
        with self._change:
            self._paused = paused
            self._owed.clear()
            if paused:
                for camera in self._waiting:
                    self._drop(camera, Drop.PAUSED)
                self._waiting.clear()

    def process_once(self, cameras: Iterable[Camera]) -> bool:
        """
        Let one image of each camera through a pause; returns at once.

        :param cameras: whose next image is to be answered.
        :returns: False when there is no pause.
        """
        with self._change:
            if self._paused:
                self._owed.update(cameras)
            return self._paused

    def reset(self, camera: Camera, reason: str) -> None:
        """
        Forget a camera's tracks before its next image; returns at once.

        :param camera: whose memory.
        :param reason: in words.
        """
        with self._change:
            self._resets[camera] = reason

    def clock_went_back(self, before: int, after: int) -> None:
        """
        Drop images and forget tracks of a time that is yet to come; returns at once.

        What a camera showed last may be from before the jump, or be the first of the new time
        already, or not be of this clock at all: its stamp tells.

        :param before: nanoseconds on the clock before it went back.
        :param after: nanoseconds on it now.
        """
        reason = f'the clock went back by {(before - after) / 1e9:.3f} s'
        with self._change:
            for camera, stamp in self._newest.items():
                if 2 * abs(stamp - before) >= before - after:
                    continue
                self._resets[camera] = reason
                if self._waiting.pop(camera, None) is not None:
                    self._drop(camera, Drop.CLOCK)

    def stop(self) -> None:
        """End both threads after the images that they are at; what waits is dropped."""
        with self._change:
            self._stopped = True
            self._change.notify()
        self._thread.join()
        self._publisher.shutdown()

    def _run(self) -> None:
        """Serve; should that fail in a way nobody thought of, the node is told to give up."""
        try:
            self._serve()
        except Exception as error:
            self._logger.error(traceback.format_exc())
            self.broken = f'the worker has failed: {" ".join(str(error).split())}'

    def _serve(self) -> None:
        """Process whatever waits, until stopped or the network is given up."""
        while self.broken is None:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._stopped)
                stopped = self._stopped
                images = {} if stopped else self._fresh()
                self._waiting = {}
                resets, self._resets = self._resets, {}
                skipped = {camera: self._skipped[camera] for camera in images}
            for camera, reason in resets.items():  # at the end too: the segmenter lives on
                self._segmenter.reset(camera.name, reason)
            if stopped:
                return
            for camera in self._process(images, skipped):
                with self._change:
                    self._skipped[camera] -= skipped[camera]

    def _fresh(self) -> dict[Camera, RawImage]:
        """
        Drop what has waited too long; the lock is held.

        :returns: the images that are to be processed.
        """
        limit = self._settings().max_age
        fresh = {}
        for camera, image in self._waiting.items():
            age = self._age(image.header)
            if 0 < limit < age and _has_time(image.header):
                self._drop(camera, Drop.MAX_AGE)
                camera.statistics.late(age)
                if self._is_new(camera, Drop.MAX_AGE.value):
                    self._logger.warning(f'{camera}: {age_complaint(age)}')
            else:
                fresh[camera] = image
        return fresh

    def _age(self, header: Header) -> float:
        """
        Give the age of an image on the node's clock, which may be a simulated one.

        :param header: of the image.
        :returns: seconds; negative for a stamp in the future.
        """
        return (self._clock.now().nanoseconds - nanoseconds(header.stamp)) / 1e9

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
        for camera in frames:
            camera.locator.depths.expect(nanoseconds(images[camera].header.stamp))
        results = self._results(frames, images, skipped, settings)
        self._failures = 0 if results else self._failures + 1
        if self._failures >= settings.max_failures:
            self.broken = (f'the network has failed {self._failures} times in a row: '
                           f'{self._failure}')
        jobs = [partial(self._answer, camera, result, images[camera].header, frames[camera],
                        camera.scale(images[camera].header), decoding[camera], settings)
                for camera, result in results.items()]
        if self._publication is not None:
            self._publication.result()  # one after the other, and one in hand at most
        self._publication = self._publisher.submit(
            self._publish, dict(zip(results, jobs, strict=True)))
        return list(results)

    def _publish(self, jobs: Mapping[Camera, Callable[[], None]]) -> None:
        """
        Publish results, in the second thread.

        :param jobs: that publish the result of each camera.
        """
        for camera, job in jobs.items():
            try:
                job()
            except Exception as error:
                self._fail(camera, f'output: {type(error).__name__}',
                           f'A result of {camera} could not be published: {error}\n'
                           f'{traceback.format_exc()}')

    def _results(self, frames: Mapping[Camera, np.ndarray], images: Mapping[Camera, RawImage],
                 skipped: Mapping[Camera, int], settings: Settings) -> dict[Camera, FrameResult]:
        """
        Run the network, on one camera after the other if it fails on all of them at once.

        :param frames: (H, W, 3) uint8 RGB.
        :param images: the messages that they came from.
        :param skipped: images dropped since each camera's last result.
        :param settings: to be used.
        :returns: a result per camera on which the network has not failed; the others forget.
        """
        results: dict[Camera, FrameResult] = {}
        failed: dict[str, Exception] = {}
        try:
            results = self._segment(frames, images, skipped, settings, failed)
        except Exception as error:
            if len(frames) > 1:
                # One camera's picture or memory shall not cost the others theirs.
                for camera, rgb in frames.items():
                    results |= self._results({camera: rgb}, images, skipped, settings)
                return results
            failed = {camera.name: error for camera in frames}
        for camera in frames:
            if camera.name in failed:
                self._begin_anew(camera, failed[camera.name])
        return results

    def _begin_anew(self, camera: Camera, error: Exception) -> None:
        """
        Count an image on which the network has failed, and forget what was before.

        :param camera: that sent it.
        :param error: of the network.
        """
        self._failure = ' '.join(str(error).split())
        self._fail(camera, f'network: {type(error).__name__}',
                   f'The network failed on {camera} and begins anew: {error}\n'
                   f'{"".join(traceback.format_exception(error))}')
        self._segmenter.reset(camera.name, f'the network failed: {self._failure}')

    def _segment(self, frames: Mapping[Camera, np.ndarray], images: Mapping[Camera, RawImage],
                 skipped: Mapping[Camera, int], settings: Settings,
                 failed: dict[str, Exception]) -> dict[Camera, FrameResult]:
        """
        Run the network on one frame of each camera.

        :param frames: (H, W, 3) uint8 RGB.
        :param images: the messages that they came from.
        :param skipped: images dropped since each camera's last result.
        :param settings: to be used.
        :param failed: takes the error of each camera whose masks cannot be made.
        :returns: a result per camera of the others.
        """
        if settings is not self._applied:
            self._segmenter.configure(**tracking_options(settings))
            self._applied = settings
        given = {}
        for camera, rgb in frames.items():
            header = images[camera].header
            stamp = camera.scale(header).seconds(header.stamp) if _has_time(header) else None
            given[camera.name] = FrameInput(rgb, stamp, header.frame_id, skipped[camera])
        results = self._segmenter.process_many(given, failed)
        return {camera: results[camera.name] for camera in frames if camera.name in results}

    def _answer(self, camera: Camera, result: FrameResult, header: Header, rgb: np.ndarray,
                scale: StampScale, decoding: float, settings: Settings) -> None:
        """
        Publish a result and count it.

        :param camera: of the image.
        :param result: of the image.
        :param header: of the image.
        :param rgb: (H, W, 3) uint8, the frame.
        :param scale: of the camera at that image.
        :param decoding: milliseconds from message to frame.
        :param settings: to be used.
        """
        if result.reset_reason is not None:
            camera.statistics.memory_reset(result.reset_reason)
            if (more := self._quotas[camera].grant(time.monotonic())) is not None:
                self._logger.info(
                    f'{camera} begins epoch {result.epoch}: {result.reset_reason}{more}')
        start = time.perf_counter()
        scene = camera.locator.locate(result, header, camera.camera_info,
                                      settings.depth_tolerance, settings.transform_tolerance)
        located = time.perf_counter()
        camera.outputs.publish(
            Answer(result, header, rgb, scale, settings.publish_mask_runs,
                   camera.camera_info, scene, camera.markers, settings.points_background),
            settings.outputs)
        stages = {'decode': decoding, **result.timings, 'locate': 1e3 * (located - start),
                  'publish': 1e3 * (time.perf_counter() - located)}
        tracks = sum(instance.track_id != 0 for instance in result.instances)
        camera.statistics.answered(1e3 * self._age(header), stages, tracks, result.epoch)

    def _fail(self, camera: Camera, cause: str, text: str) -> None:
        """
        Count an image without a result, and log it if its cause is new.

        :param camera: that sent it.
        :param cause: in words that are the same for like images.
        :param text: for the log.
        """
        if self._is_new(camera, cause):
            self._logger.error(text)
        camera.statistics.failed(cause)

    def _is_new(self, camera: Camera, cause: str) -> bool:
        """
        Tell whether a cause is to be logged, and remember it.

        :param camera: that it concerns.
        :param cause: in words that are the same for like images.
        :returns: True once per cause, while there are not too many.
        """
        with self._change:
            if (camera, cause) in self._causes or len(self._causes) >= _CAUSES_LOGGED:
                return False
            self._causes.add((camera, cause))
            return True


def _has_time(header: Header) -> bool:
    """Tell whether a stamp says when; a driver that leaves it empty says nothing about time."""
    return nanoseconds(header.stamp) != 0
