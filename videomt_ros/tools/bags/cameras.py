"""Which topics of a recording are cameras, what they are called, and which frames are wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import re
from typing import NamedTuple

from videomt_ros.ros.pixels import ImageError

from .errors import BagError
from .images import decode_image
from .reading import Message, Recording
from .topic import COMPRESSED_IMAGE, COMPRESSED_SUFFIX, IMAGE, Topic

_IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_LAST_WORD = re.compile(r'/image[^/]*$')
_DEPTH = re.compile(r'depth', re.IGNORECASE)


@dataclass(frozen=True)
class Camera:
    """
    One camera of a recording.

    :param topic: of its images.
    :param name: for the topics and files of its results; empty when it is the only one.
    """

    topic: Topic
    name: str


@dataclass(frozen=True)
class FrameChoice:
    """
    Which part of a recording is wanted.

    :param start: seconds from the recording's first message, 0 or more.
    :param duration: seconds from there; None for all that follows.
    :param every: every so-manieth frame of each camera, the first one included; 1 or more.
    """

    start: float = 0.0
    duration: float | None = None
    every: int = 1

    def range_of(self, recording: Recording) -> tuple[int | None, int | None]:
        """
        Place the part on the recording's clock.

        :param recording: of which part.
        :returns: first nanosecond and the first one after it; None for no limit.
        """
        if recording.start is None:
            return None, None
        start = recording.start + round(self.start * 1e9)
        stop = None if self.duration is None else start + round(self.duration * 1e9)
        return (start if self.start else None), stop


@dataclass(frozen=True, eq=False)
class Frame:
    """
    A wanted frame on its way, still as a message.

    :param index: its number among the wanted frames of all cameras, in order of recording.
    :param camera: index of its camera.
    :param message: with the image.
    """

    index: int
    camera: int
    message: Message


class FrameCounter:
    """
    Tells of each image in turn whether it is wanted.

    :param cameras: of the recording.
    :param every: see :class:`FrameChoice`.
    """

    def __init__(self, cameras: Sequence[Camera], every: int) -> None:
        self._places = {camera.topic.name: i for i, camera in enumerate(cameras)}
        self._every = every
        self._seen: Counter[int] = Counter()
        self._count = 0

    def frame(self, message: Message) -> Frame | None:
        """
        Look at the next message.

        :param message: of any topic.
        :returns: the frame, if it is one and wanted.
        """
        place = self._places.get(message.topic.name)
        if place is None:
            return None
        self._seen[place] += 1
        if (self._seen[place] - 1) % self._every:
            return None
        self._count += 1
        return Frame(self._count - 1, place, message)


def frames(
    recording: Recording, cameras: Sequence[Camera], choice: FrameChoice,
) -> Iterator[Frame]:
    """
    Read the wanted frames of a recording.

    :param recording: open.
    :param cameras: of it.
    :param choice: which part.
    :returns: the frames by time of recording.
    """
    counter = FrameCounter(cameras, choice.every)
    start, stop = choice.range_of(recording)
    for message in recording.messages([camera.topic.name for camera in cameras], start, stop):
        if (frame := counter.frame(message)) is not None:
            yield frame


def find_cameras(
    recording: Recording, asked: Sequence[str] = (), names: Sequence[str] = (),
) -> tuple[tuple[Camera, ...], tuple[str, ...]]:
    """
    Find the cameras of a recording.

    :param recording: open.
    :param asked: names of topics; empty for all that show pictures in colour or grey, except for
        depth cameras and for topics that repeat another one in compressed form.
    :param names: of the cameras that were asked for; empty to make them of the topics.
    :returns: the cameras, by name of the topic or as asked, and a sentence for each image topic
        that was left out though nobody asked for that.
    :raises BagError: when a topic that was asked for is not there or shows no picture, or when
        there is no camera.
    """
    images = {topic.name: topic for topic in recording.topics if topic.kind in _IMAGE_TYPES}
    if asked:
        for name in asked:
            _check_asked(recording, images, name)
        topics = [images[name] for name in dict.fromkeys(asked)]
        if names:
            return tuple(map(Camera, topics, names)), ()
        return _named(topics), ()
    chosen: list[Topic] = []
    empty: list[Topic] = []
    left_out: list[str] = []
    for name, topic in sorted(images.items()):
        twin = name.removesuffix(COMPRESSED_SUFFIX)
        first = _look_at(recording, topic)
        if twin != name and images.get(twin) in chosen:
            left_out.append(f'{name} is left out: it repeats {twin}')
        elif depth_by_name(name):
            left_out.append(f'{name} is left out: its name says depth')
        elif first.reason:
            left_out.append(f'{name} is left out: {first.reason}')
        else:
            (chosen if first.found else empty).append(topic)
    if not chosen and not empty:
        details = '; '.join(left_out) or _has(recording)
        raise BagError(f'{recording.path} has no camera; {details}')
    if chosen:
        left_out.extend(f'{topic.name} is left out: it has no messages' for topic in empty)
    return _named(chosen or empty), tuple(left_out)


def depth_by_name(topic: str) -> bool:
    """
    Tell a depth camera by its name, as image encodings do not: mono16 is either.

    :param topic: of images.
    :returns: whether its name speaks of depth.
    """
    return _DEPTH.search(topic) is not None


def _check_asked(recording: Recording, images: dict[str, Topic], name: str) -> None:
    if name in images:
        if reason := _look_at(recording, images[name]).reason:
            raise BagError(f'{recording.path}: topic {name} shows no pictures: {reason}')
        return
    kinds = {topic.name: topic.kind for topic in recording.topics}
    if name in kinds:
        raise BagError(f'{recording.path}: topic {name} is a {kinds[name]}; expected one of '
                       f'{" or ".join(_IMAGE_TYPES)}')
    raise BagError(f'{recording.path} has no topic {name}; {_has(recording)}')


def _has(recording: Recording) -> str:
    images = sorted(topic.name for topic in recording.topics if topic.kind in _IMAGE_TYPES)
    if images:
        return f'its image topics are {", ".join(images)}'
    others = sorted(topic.name for topic in recording.topics)
    if others:
        return f'it has no image topic, only {", ".join(others)}'
    return recording.damage or 'it has no topic at all'


class _Look(NamedTuple):
    """What the first message of a topic tells: whether there is one, and why it is no camera."""

    found: bool
    reason: str | None = None


def _look_at(recording: Recording, topic: Topic) -> _Look:
    if topic.serialisation != 'cdr':
        return _Look(True, f'its messages are serialised as {topic.serialisation!r}; expected cdr')
    message = recording.first(topic.name)
    if message is None:
        return _Look(False)
    try:
        decode_image(topic.kind, message.data)
    except ImageError as error:
        # A single broken image is no reason; one that is of the wrong kind is.
        wrong = error.cause.startswith(('encoding', 'depth'))
        return _Look(True, str(error) if wrong else None)
    return _Look(True)


def _named(topics: Sequence[Topic]) -> tuple[Camera, ...]:
    if len(topics) == 1:
        return (Camera(topics[0], ''),)
    names = [_short(topic.name) for topic in topics]
    if len(set(names)) < len(names):
        names = [topic.name.strip('/') for topic in topics]
    return tuple(Camera(topic, name) for topic, name in zip(topics, names, strict=True))


def _short(topic: str) -> str:
    """Give what is left of ``/front/image_raw/compressed`` without the words that all have."""
    name = topic.removesuffix(COMPRESSED_SUFFIX)
    return (_LAST_WORD.sub('', name) or name).strip('/')
