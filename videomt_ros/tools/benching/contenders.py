"""What is measured against each other: ways from frames to label maps, each with its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import importlib
import time
from typing import Any, Protocol

from builtin_interfaces.msg import Time
import numpy as np
from std_msgs.msg import Header
import torch
from torch.nn import functional
from videomt_ros.network import load_network
from videomt_ros.network.config import IMAGENET_MEAN, IMAGENET_STD
from videomt_ros.perception import FrameInput, VideoSegmenter
from videomt_ros.perception.engines import EngineChoice
from videomt_ros.ros.images import array_to_image, image_to_rgb
from videomt_ros.ros.messages import mask_message, tracks_message
from videomt_ros.ros.stamps import StampScale

from .agreement import Picture

HUGGING_FACE = 'Hugging Face'
# From a frame to its label map; the other stages belong to ROS.
PIPELINE = ('prepare', 'network', 'masks', 'tracks', 'paint')


@dataclass(frozen=True)
class Contender:
    """
    One way to run a checkpoint.

    :param engine: of ours, or HUGGING_FACE.
    :param precision: 'fp32', 'bf16', 'fp16' or 'int8'.
    :param checkpoint: what :func:`load_network` takes; None for the embedded one.
    :param resize: 'auto', 'short_side' or 'square', as for :class:`VideoSegmenter`; Hugging Face
        knows squares only.
    :param device: as PyTorch names it.
    """

    engine: str
    precision: str
    checkpoint: str | None
    resize: str = 'auto'
    device: str = 'cpu'

    @property
    def name(self) -> str:
        """Give the words for tables."""
        return f'{self.engine} {self.precision}'

    def load(self) -> Runner:
        """
        Load the weights.

        :returns: what runs them.
        :raises EngineError: when what the engine needs is not there.
        :raises ImportError: when transformers is missing.
        """
        return HuggingFaceRunner(self) if self.engine == HUGGING_FACE else OurRunner(self)


@dataclass(frozen=True, eq=False)
class Measurement:
    """
    What came of one frame.

    :param stages: milliseconds of each.
    :param picture: what was seen.
    """

    stages: dict[str, float]
    picture: Picture


class Runner(Protocol):
    """Runs clips; nothing is remembered from one clip to the next."""

    def clip(self, frames: Sequence[FrameInput]) -> list[Measurement]:
        """Segment the frames of a clip, one after the other or together."""


class OurRunner:
    """
    Runs this package's pipeline, from message to messages.

    :param contender: what to run.
    """

    def __init__(self, contender: Contender) -> None:
        choice = EngineChoice(contender.engine, contender.precision)
        network = load_network(contender.checkpoint, contender.device, choice.dtype)
        self._segmenter = VideoSegmenter(
            network, engine=choice.make(network), resize=contender.resize)
        self._header = Header(frame_id='camera')
        self._scale = StampScale(Time())

    def clip(self, frames: Sequence[FrameInput]) -> list[Measurement]:
        """
        Segment the frames of a clip one after the other, as a camera delivers them.

        :param frames: of one camera.
        :returns: the stages of PIPELINE, 'convert' from an image message before them and 'fill'
            for the messages with tracks and mask after them.
        """
        self._segmenter.reset()
        return [self._frame(frame) for frame in frames]

    def _frame(self, frame: FrameInput) -> Measurement:
        message = array_to_image(frame.frame, self._header)
        times = [time.perf_counter()]
        rgb = image_to_rgb(message)
        times.append(time.perf_counter())
        result = self._segmenter.process_many({'': frame._replace(frame=rgb)})['']
        times.append(time.perf_counter())
        result.label_map  # noqa: B018  painted when it is asked for
        times.append(time.perf_counter())
        tracks_message(result, self._header, self._scale, True)
        mask_message(result, self._header)
        times.append(time.perf_counter())
        convert, _, paint, fill = (np.diff(times) * 1e3).tolist()
        inner = {name: ms for name, ms in result.timings.items() if name != 'total'}
        return Measurement(
            {'convert': convert, **inner, 'paint': paint, 'fill': fill}, Picture.of(result))

    def cameras(self, frame: FrameInput, count: int) -> float:
        """
        Segment a frame of each of several cameras that come at the same time.

        :param frame: what all of them show.
        :param count: of cameras.
        :returns: milliseconds from the frames to their label maps.
        """
        start = time.perf_counter()
        results = self._segmenter.process_many(
            {f'{i}': (frame.frame, None) for i in range(count)})
        for result in results.values():
            result.label_map  # noqa: B018
        return (time.perf_counter() - start) * 1e3


class HuggingFaceRunner:
    """
    Runs transformers' VideomtForUniversalSegmentation and its own post-processing.

    Its video processor asks for torchvision, so the frames are resized and normalised here, with
    the operator that torchvision calls.

    :param contender: what to run.
    :raises ImportError: when transformers is missing.
    """

    def __init__(self, contender: Contender) -> None:
        # Imported by their full names: transformers hides what it thinks has no torchvision.
        models = importlib.import_module('transformers.models.videomt.modeling_videomt')
        processing = importlib.import_module(
            'transformers.models.videomt.video_processing_videomt')
        kind = processing.VideomtVideoProcessor
        self._processor = kind.__new__(kind)
        dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[
            contender.precision]
        self._device = torch.device(contender.device)
        self._model: Any = models.VideomtForUniversalSegmentation.from_pretrained(
            contender.checkpoint, dtype=dtype).to(self._device).eval()
        self._mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
        self._std = torch.tensor(IMAGENET_STD).view(3, 1, 1)

    @torch.inference_mode()
    def clip(self, frames: Sequence[FrameInput]) -> list[Measurement]:
        """
        Segment the frames of a clip together, for it cannot carry its memory on.

        :param frames: of one camera.
        :returns: 'prepare', 'network' and 'masks', each frame with its share of the clip's time.
        """
        times = [time.perf_counter()]
        side = self._model.config.image_size
        pixels = torch.stack([
            functional.interpolate(
                torch.from_numpy(frame.frame).permute(2, 0, 1)[None], size=(side, side),
                mode='bilinear', antialias=True)[0].sub(self._mean).div(self._std)
            for frame in frames])[None].to(self._device, self._model.dtype)
        times.append(time.perf_counter())
        output = self._model(pixel_values_videos=pixels)
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        times.append(time.perf_counter())
        answers = self._processor.post_process_instance_segmentation(
            output, target_sizes=[frame.frame.shape[:2] for frame in frames], threshold=0.5)
        maps = [answer['segmentation'].cpu().numpy() for answer in answers]
        times.append(time.perf_counter())
        shares = (np.diff(times) * 1e3 / len(frames)).tolist()
        stages = dict(zip(('prepare', 'network', 'masks'), shares, strict=True))
        return [
            Measurement(stages, Picture((labels + 1).astype(np.uint16), {
                each['id'] + 1: each['label_id'] for each in answer['segments_info']}))
            for labels, answer in zip(maps, answers, strict=True)]
