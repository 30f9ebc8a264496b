"""
Where the objects of a recording are: from its depth, its calibration and its transforms.

The node takes what has come when a frame's turn is over. Here all has come, so a frame is given
what was recorded for it: whoever writes positions reads those topics beside the results, as far as
the frame's stamp. What is made of them is what the node makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from videomt_ros.ros.depth import read_depth
from videomt_ros.ros.lifting import NOWHERE, Placement
from videomt_ros.ros.pixels import ImageError
from videomt_ros.ros.scene import Locator
from videomt_ros.ros.stamps import nanoseconds
from videomt_ros.ros.transforms import TransformBuffer

from .cameras import Camera, depth_by_name, FrameChoice
from .errors import BagError
from .messages import header_of, typestore
from .reading import Message, Recording
from .record import FrameRecord
from .settings import Settings
from .topic import COMPRESSED_SUFFIX, IMAGE

CAMERA_INFO, TRANSFORMS = 'sensor_msgs/msg/CameraInfo', 'tf2_msgs/msg/TFMessage'
MOVING, FIXED = '/tf', '/tf_static'
_PATIENCE_NS = 1_000_000_000  # by which what belongs to an image is recorded later, at most
_TRANSFORM_TOLERANCE_S = 0.1  # that of the node, unless it is told another


@dataclass(frozen=True)
class Sources:
    """
    What tells where things are that a camera sees.

    :param depth: topic of depth images that show the camera's view.
    :param info: topic of its calibration; None when the recording has none.
    """

    depth: str
    info: str | None


class Survey:
    """
    What of a recording tells where things are.

    :param recording: open.
    :param cameras: of it.
    :param settings: of the run.
    :raises BagError: when depth that was asked for is not there.
    """

    def __init__(self, recording: Recording, cameras: Sequence[Camera],
                 settings: Settings) -> None:
        self._recording = recording
        self._cameras = cameras
        self._settings = settings
        self._notes: dict[str, None] = {}  # in order, each once
        self.sources: tuple[Sources | None, ...] = (None,) * len(cameras)
        if settings.positions:
            self.sources = self._find(settings.depth)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say why there are no positions where somebody might expect some, in sentences."""
        return tuple(self._notes)

    def places(self) -> Places:
        """Begin to go through the recording beside its results."""
        return Places(
            self._recording, self._cameras, self.sources, self._settings.choice,
            self._settings.target_frame, self._settings.depth_tolerance, self._note)

    def _note(self, sentence: str) -> None:
        self._notes[sentence] = None

    def _find(self, asked: Sequence[str]) -> tuple[Sources | None, ...]:
        """Give each camera the depth that is in its frame."""
        frames = self._depth_frames(asked)
        if not frames:  # most recordings have none, and need not be looked at any further
            return (None,) * len(self._cameras)
        found: list[Sources | None] = []
        for camera in self._cameras:
            own = _frame_of(self._recording, camera.topic.name)
            fitting = [name for name, frame in frames.items() if frame == own]
            if not fitting and len(asked) == len(self._cameras) == 1:
                fitting = list(frames)  # as it was asked for, the node's warning goes with it
            if len(fitting) > 1:
                self._note(f'{camera.topic.name}: no positions, for {" and ".join(fitting)} are '
                           f"depth in its frame '{own}'; choose with --depth")
            found.append(Sources(fitting[0], _info_of(self._recording, camera, own))
                         if len(fitting) == 1 else None)
        if not any(found) and not self._notes:
            self._note(f'no positions, for {" and ".join(frames)} is in the frame of no camera, '
                       f'and so not registered to its images')
        return tuple(found)

    def _depth_frames(self, asked: Sequence[str]) -> dict[str, str]:
        """Give the frame of each depth topic that may be used."""
        kinds = {topic.name: topic.kind for topic in self._recording.topics}
        for name in asked:
            if kinds.get(name) != IMAGE:
                raise BagError(
                    f'{self._recording.path} has no depth topic {name}'
                    f'{f", that is a {kinds[name]}" if name in kinds else ""}; expected {IMAGE}')
        frames = {}
        for name in asked or sorted(name for name, kind in kinds.items()
                                    if kind == IMAGE and depth_by_name(name)):
            image = _first(self._recording, name)
            if image is None:
                continue
            try:
                read_depth(image)
            except ImageError as error:
                if asked:
                    raise BagError(f'{self._recording.path}: topic {name}: {error}') from None
                continue
            frames[name] = image.header.frame_id
        return frames


class Places:
    """
    Places the objects of frame after frame, of all cameras in the order of recording.

    :param recording: open.
    :param cameras: of it.
    :param sources: of each camera; None for those without depth.
    :param choice: which part of the recording is wanted.
    :param target_frame: of the positions; empty for the optical frame of each camera.
    :param tolerance: seconds by which the stamp of depth may differ from that of its image.
    :param tell: takes a sentence about what is missing.
    """

    def __init__(self, recording: Recording, cameras: Sequence[Camera],
                 sources: Sequence[Sources | None], choice: FrameChoice, target_frame: str,
                 tolerance: float, tell: Callable[[str], object]) -> None:
        start, _ = choice.range_of(recording)
        start = None if start is None else start - _PATIENCE_NS
        self._buffer: TransformBuffer | None = None
        self._transforms = _Reader(recording, (), start, tell)
        if target_frame and any(sources):
            self._buffer = TransformBuffer()
            for transform in _Reader(recording, (FIXED,), None, tell):
                self._buffer.add(transform.content, fixed=True)
            self._transforms = _Reader(recording, (MOVING,), start, tell)
        self._sights = [
            None if each is None else _Sight(
                camera, each, _first(recording, each.info) if each.info else None,
                _Reader(recording, (each.depth, *filter(None, (each.info,))), start, tell),
                Locator(camera.topic.name, tell, target_frame, self._buffer), tolerance)
            for camera, each in zip(cameras, sources, strict=True)]

    def of(self, record: FrameRecord) -> Mapping[int, Placement]:
        """
        Place what is seen in a frame.

        :param record: of the next frame.
        :returns: where the objects are, by track id; those whose depth is unknown are missing.
        """
        sight = self._sights[record.camera]
        if sight is None or record.error is not None:
            return NOWHERE
        if self._buffer is not None:
            for transform in self._transforms.until(record.time + _PATIENCE_NS):
                self._buffer.add(transform.content, fixed=False)
        return sight.locate(record)


class _Read(NamedTuple):
    """A message, by its topic."""

    topic: str
    content: Any


class _Reader:
    """Reads some topics in the order of recording, and can stop before a message."""

    def __init__(self, recording: Recording, topics: Sequence[str], start: int | None,
                 tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._messages = iter(recording.messages(topics, start)) if topics else iter(())
        self._next = next(self._messages, None)

    def __iter__(self) -> Iterator[_Read]:
        while self._next is not None:
            yield from self._take()

    def until(self, time: int) -> Iterator[_Read]:
        """Give what was recorded up to a time, in nanoseconds."""
        while self._next is not None and self._next.time <= time:
            yield from self._take()

    def _take(self) -> Iterator[_Read]:
        """Give the next message, if it can be read."""
        message = self._next
        assert message is not None
        self._next = next(self._messages, None)
        content = _content(message)
        if content is None:
            self._tell(f'a message of {message.topic.name} cannot be read, and is left out')
        else:
            yield _Read(message.topic.name, content)


@dataclass
class _Sight:
    """
    The depth and the calibration of one camera, as far as its frames have come.

    :param camera: whose.
    :param sources: of it.
    :param info: its calibration; None before one has come.
    :param reader: of the sources.
    :param locator: of the camera.
    :param tolerance: seconds by which the stamp of depth may differ from that of its image.
    :param stamp: of the depth that was read last, in nanoseconds.
    """

    camera: Camera
    sources: Sources
    info: Any
    reader: _Reader
    locator: Locator
    tolerance: float
    stamp: int = -1

    def locate(self, record: FrameRecord) -> Mapping[int, Placement]:
        """Place the objects of the next frame; see :meth:`Places.of`."""
        self.locator.depths.expect(record.stamp)
        for each in self.reader.until(record.time):
            self._add(each)
        if self.stamp < record.stamp:  # depth that belongs to the image may come after it
            for each in self.reader.until(record.time + _PATIENCE_NS):
                self._add(each)
                if self.stamp >= record.stamp:
                    break
        scene = self.locator.locate(
            record.result(self.camera.name), header_of(record), self.info, self.tolerance,
            _TRANSFORM_TOLERANCE_S)
        return scene.placements

    def _add(self, each: _Read) -> None:
        if each.topic == self.sources.depth:
            self.locator.depths.add(each.content)
            self.stamp = nanoseconds(each.content.header.stamp)
        else:
            self.info = each.content


def _content(message: Message) -> Any:
    """Read a message; None where it is cut or of an unknown kind."""
    try:
        return typestore().deserialize_cdr(message.data, message.topic.kind)
    except Exception:  # cut data make the generated code raise whatever it meets
        return None


def _first(recording: Recording, topic: str) -> Any:
    """Give the first message of a topic; None where there is none that can be read."""
    message = recording.first(topic)
    return None if message is None else _content(message)


def _frame_of(recording: Recording, topic: str) -> str | None:
    """Give the frame of a topic's first message."""
    message = _first(recording, topic)
    return None if message is None else message.header.frame_id


def _info_of(recording: Recording, camera: Camera, frame: str | None) -> str | None:
    """Find the calibration of a camera: beside its images, or else alone in their frame."""
    infos = sorted(topic.name for topic in recording.topics if topic.kind == CAMERA_INFO)
    name = camera.topic.name.removesuffix(COMPRESSED_SUFFIX)
    beside = name[:name.rfind('/') + 1] + 'camera_info'
    if beside in infos:
        return beside
    fitting = [info for info in infos if _frame_of(recording, info) == frame]
    return fitting[0] if len(fitting) == 1 else None
