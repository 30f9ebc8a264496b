"""Camera frames in, instances and tracks out: the object that users hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from videomt_ros.network import load_network, NetworkConfig, QueryState, VideoMT, VideoMTOutput
from videomt_ros.network.config import RESIZE_RULES
from videomt_ros.network.device import find_device

from .camera import Camera, NOMINAL_PERIOD
from .engines import choose_engine, Engine, make_engine, PRECISIONS
from .instance import InstanceTask
from .panoptic import PanopticTask
from .resize import check_frame, FrameGeometry, Resizer
from .result import FrameResult
from .semantic import SemanticTask
from .tasks import Task, View
from .tracks import TrackRules

__all__ = ['FrameInput', 'PRECISIONS', 'TASKS', 'VideoSegmenter']

TASKS: dict[str, Callable[[NetworkConfig], Task]] = {
    'instance': InstanceTask, 'panoptic': PanopticTask, 'semantic': SemanticTask}


class FrameInput(NamedTuple):
    """
    One frame of one camera; a plain (frame, stamp) does as well.

    :param frame: (H, W, 3) uint8 RGB.
    :param stamp: in seconds; None when there is none, and time is not checked then.
    :param frame_id: its coordinate frame; another one resets the memory. None for no check.
    :param skipped: frames of this camera that were dropped since the previous one.
    """

    frame: np.ndarray
    stamp: float | None = None
    frame_id: str | None = None
    skipped: int = 0


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A frame on its way: what came in, and the network's input made of it."""

    given: FrameInput
    geometry: FrameGeometry
    pixels: torch.Tensor
    broken: str | None
    milliseconds: float


@dataclass(frozen=True, eq=False)
class _Step:
    """The network's answer to one frame of a batch."""

    output: VideoMTOutput
    row: int
    class_logits: np.ndarray
    milliseconds: float


# Takes a batch of one size with its memory, and gives the network's answer.
_Run = Callable[[Mapping[str, _Prepared], QueryState], VideoMTOutput]


class VideoSegmenter:
    """
    Segments and tracks what any number of cameras show, with one set of weights.

    Each camera has its own memory and its own track ids, which are never given twice. The memory
    is reset, and :attr:`FrameResult.epoch` counts up, when a stamp runs backwards, after a gap
    over ``max_gap``, when the image size or the frame_id changes, and by :meth:`reset`; the tracks
    of before are then reported as ENDED. One thread at a time may use it.

    :param network: the weights, on their device and in their precision.
    :param task: 'instance' (VIS: objects, their masks may overlap), 'panoptic' (VPS: objects and
        stuff such as floor, each pixel belongs to one of them at most) or 'semantic' (VSS: the
        class of each pixel; no tracks).
    :param engine: what runs the network; the name of one as for :func:`choose_engine`, or the
        :class:`Engine` itself. 'eager' is the network as it is.
    :param resize: 'auto' for the rule that the weights were made for, else 'short_side' or
        'square', with the size of the weights' record.
    :param classes: names or indices of the classes that are wanted; None for all. The others cost
        nothing; only in 'semantic' they still win their pixels, which are then unlabelled.
    :param max_gap: longest time in seconds between two frames over which the memory is carried on.
    :param rules: further fields of :class:`TrackRules`: start_score, keep_score, confirm_frames,
        max_lost, ...; none of them matters to 'semantic'. 'mask_parts' can also be 'auto', as it
        is unless given: as the weights' record says.
    :raises ValueError: for an unknown task, engine, resize rule or class, or a value that is out
        of its range.
    """

    def __init__(
        self, network: VideoMT, *, task: str = 'instance', engine: str | Engine = 'eager',
        resize: str = 'auto', classes: Iterable[str | int] | None = None, max_gap: float = 5.0,
        **rules: Any,
    ) -> None:
        if task not in TASKS:
            raise ValueError(f'task {task!r}: expected one of {tuple(TASKS)}')
        if resize not in ('auto', *RESIZE_RULES):
            raise ValueError(f"resize {resize!r}: expected one of {('auto', *RESIZE_RULES)}")
        config = network.config
        if config.num_classes > 255:
            raise ValueError(
                f'the network knows {config.num_classes} classes: expected 255 at most, which is '
                f'what a class map of uint8 holds')
        preprocessing = config.preprocessing
        if resize != 'auto':
            preprocessing = replace(preprocessing, rule=resize)
        self.network = network.eval()
        self.task = task
        self._engine = make_engine(engine, network) if isinstance(engine, str) else engine
        self._resizer = Resizer(preprocessing, config.patch_size)
        self._cameras: dict[str, Camera] = {}
        self._rules = TrackRules(mask_parts=config.mask_parts)
        self.configure(classes=classes, max_gap=max_gap, **rules)

    @classmethod
    def from_pretrained(
        cls, source: str | None = None, *, device: str = 'auto', precision: str = 'auto',
        engine: str = 'auto', **options: Any,
    ) -> VideoSegmenter:
        """
        Load a checkpoint and make a segmenter of it.

        :param source: what :func:`load_network` takes: a Hugging Face folder, an original .pth
            file, a hub id; None for the embedded checkpoint.
        :param device: as torch names it; 'auto' = 'cuda' where there is one, else 'cpu'.
        :param precision: of matrix products and the memory; norms, softmax and the residual stream
            stay in fp32. 'fp32', 'bf16', 'fp16', 'int8' (OpenVINO, after ``videomt_export``);
            'auto' = 'fp16' on CUDA, else 'fp32'.
        :param engine: how the network is run, see :func:`choose_engine`; 'auto' picks by the
            device and by what is installed.
        :param options: further arguments of the constructor.
        :returns: the segmenter.
        :raises CheckpointError: when the checkpoint cannot be used.
        :raises EngineError: when what the engine needs is not there.
        :raises ValueError: for an unknown precision or engine, a device that is not there, and as
            the constructor does.
        """
        place = find_device(device)
        choice = choose_engine(engine, precision, place)
        network = load_network(source, place, choice.dtype)
        return cls(network, engine=choice.make(network), **options)

    def configure(self, **changes: Any) -> None:
        """
        Change settings between two frames; memory and tracks stay.

        :param changes: ``classes``, ``max_gap`` and fields of :class:`TrackRules`, as in the
            constructor. With a bad value nothing is changed.
        :raises ValueError: naming the value and what was expected.
        """
        max_gap = changes.pop('max_gap', None)
        if max_gap is not None and not max_gap > 0:
            raise ValueError(f'max_gap is {max_gap}: expected more than 0 seconds')
        if changes.get('mask_parts') == 'auto':
            changes['mask_parts'] = self.network.config.mask_parts
        if 'classes' in changes:
            changes['classes'] = _class_ids(changes['classes'], self.network.config)
        self._rules = replace(self._rules, **changes)
        if max_gap is not None:
            self._max_gap = max_gap

    def process(
        self, frame: np.ndarray, stamp: float | None = None, camera: str = '', *,
        frame_id: str | None = None, skipped: int = 0,
    ) -> FrameResult:
        """
        Segment the next frame of one camera.

        :param frame: (H, W, 3) uint8 RGB.
        :param stamp: in seconds; None when there is none, and time is not checked then.
        :param camera: whose memory to use; any name.
        :param frame_id: its coordinate frame; another one resets the memory. None for no check.
        :param skipped: frames of this camera that were dropped since the previous one.
        :returns: the result.
        :raises ValueError: when the frame is no picture; no memory has changed then.
        :raises FloatingPointError: when the network's answer is not finite; the camera's queries
            and tracks are those of before then.
        """
        return self.process_many({camera: FrameInput(frame, stamp, frame_id, skipped)})[camera]

    def process_many(
        self, frames: Mapping[str, FrameInput | tuple[np.ndarray, float | None]],
        failed: dict[str, Exception] | None = None,
    ) -> dict[str, FrameResult]:
        """
        Segment one frame of each of several cameras.

        Frames whose prepared size is equal go through the network as one batch.

        :param frames: :class:`FrameInput` or (frame, stamp) by name of the camera.
        :param failed: takes the error of each camera whose masks cannot be made, and the others
            have their results; None raises the first of them, and what the others gave is lost.
        :returns: the results by name of the camera, in the same order.
        :raises ValueError: when a frame is no picture; no memory has changed then.
        :raises FloatingPointError: when the network's answer is not finite; the queries and tracks
            of that camera are those of before then.
        """
        given = {name: FrameInput(*each) for name, each in frames.items()}
        for name, each in given.items():
            try:
                check_frame(each.frame)
            except ValueError as error:
                raise ValueError(f'camera {name!r}: {error}') from None
        with torch.inference_mode():
            prepared = {name: self._prepare(name, each) for name, each in given.items()}
            return self._advance(prepared, self._run_engine, failed)

    def reset(self, camera: str | None = None, reason: str = 'reset was asked for') -> None:
        """
        Forget what a camera has shown; its track ids go on counting.

        :param camera: its name; None for all. One that has shown nothing has nothing to forget.
        :param reason: in words, for the next result.
        """
        for name, each in self._cameras.items():
            if camera in (None, name):
                each.reset(reason)

    def warm_up(self, height: int, width: int, cameras: int = 1) -> None:
        """
        Run the network on empty pictures, so that no frame pays for what is made at first use.

        No memory is touched. Most engines make something for each batch that comes.

        :param height: of the frames that will come.
        :param width: of the frames that will come.
        :param cameras: how many of them come as one batch, at most.
        """
        empty = np.zeros((height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            pixels = self._resizer.prepare(empty, self.network.device)
            for count in range(1, cameras + 1):
                self._engine(
                    pixels.expand(count, -1, -1, -1), self.network.initial_state(count))

    def _prepare(self, name: str, given: FrameInput) -> _Prepared:
        start = time.perf_counter()
        pixels = self._resizer.prepare(given.frame, self.network.device)
        return self._look(name, given, pixels, (time.perf_counter() - start) * 1e3)

    def _look(self, name: str, given: FrameInput, pixels: torch.Tensor,
              milliseconds: float) -> _Prepared:
        """Tell whether the camera's memory can be carried on to a frame that is prepared."""
        if name not in self._cameras:
            self._cameras[name] = Camera(TASKS[self.task](self.network.config))
        size = given.frame.shape[:2]
        return _Prepared(
            given=given, geometry=self._resizer.geometry(*size), pixels=pixels,
            broken=self._cameras[name].break_before(
                size, given.stamp, given.frame_id, self._max_gap),
            milliseconds=milliseconds)

    def _run_engine(self, batch: Mapping[str, _Prepared], memory: QueryState) -> VideoMTOutput:
        return self._engine(torch.stack([each.pixels for each in batch.values()]), memory)

    def _advance(
        self, prepared: Mapping[str, _Prepared], run: _Run, failed: dict[str, Exception] | None,
    ) -> dict[str, FrameResult]:
        """Run the network on batches of one size, and then judge each camera's frame."""
        batches: dict[torch.Size, dict[str, _Prepared]] = {}
        for name, each in prepared.items():
            batches.setdefault(each.pixels.shape, {})[name] = each
        steps: dict[str, _Step] = {}
        for batch in batches.values():
            steps.update(self._step(batch, run))
        results = {}
        for name, each in prepared.items():
            try:
                results[name] = self._finish(name, each, steps[name])
            except Exception as error:
                if failed is None:
                    raise
                failed[name] = error
        return results

    def _step(self, batch: Mapping[str, _Prepared], run: _Run) -> dict[str, _Step]:
        start = time.perf_counter()
        memories = []
        for name, each in batch.items():
            queries = self._cameras[name].queries
            memories.append(self.network.initial_state(1) if queries is None or each.broken
                            else queries)
        output = run(batch, QueryState.cat(memories))
        logits = output.class_logits.cpu().numpy()  # waits for the device
        milliseconds = (time.perf_counter() - start) * 1e3
        for name, row in zip(batch, logits, strict=True):
            if not np.isfinite(row).all():
                raise FloatingPointError(
                    f'camera {name!r}: the network gave class logits that are not finite numbers')
        return {name: _Step(output, row, logits[row], milliseconds)
                for row, name in enumerate(batch)}

    def _finish(self, name: str, prepared: _Prepared, step: _Step) -> FrameResult:
        camera = self._cameras[name]
        given, geometry = prepared.given, prepared.geometry
        if prepared.broken:
            camera.reset(prepared.broken)
        dt, elapsed = None, 0.0
        if camera.queries is not None:
            elapsed = NOMINAL_PERIOD * (1 + given.skipped)
            if given.stamp is not None and camera.stamp is not None:
                dt = elapsed = given.stamp - camera.stamp
        done = camera.task.segment(
            View(step.output, step.row, step.class_logits, geometry, given.stamp, elapsed),
            self._rules)
        timings = {'prepare': prepared.milliseconds, 'network': step.milliseconds, **done.timings}
        result = FrameResult(
            camera=name, stamp=given.stamp, height=geometry.source[0], width=geometry.source[1],
            task=self.task, instances=done.instances, epoch=camera.epoch,
            reset_reason=camera.reset_reason, skipped=given.skipped, dt=dt,
            timings={**timings, 'total': sum(timings.values())},
            label_dtype=done.label_dtype, painted=done.maps)
        camera.queries = step.output.state.row(step.row)
        camera.stamp, camera.size = given.stamp, geometry.source
        camera.frame_id, camera.reset_reason = given.frame_id, None
        return result


def _class_ids(
    classes: Iterable[str | int] | None, config: NetworkConfig,
) -> frozenset[int] | None:
    if classes is None:
        return None
    ids = {name: i for i, name in enumerate(config.class_names)}
    wanted = set()
    for each in classes:
        index = ids.get(each) if isinstance(each, str) else each
        if index is None or not 0 <= index < config.num_classes:
            raise ValueError(
                f"class {each!r} is not one of the network's; it knows "
                f"{', '.join(config.class_names)}")
        wanted.add(index)
    return frozenset(wanted)
