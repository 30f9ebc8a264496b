"""
The results as a recording of their own, or together with what was recorded.

Every result lies at the time at which its image was recorded and carries the image's header, so
that a player brings both at once, from one recording or from two beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
import shutil
from typing import Literal

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

from .cameras import Camera, FrameChoice, FrameCounter
from .errors import BagError
from .journal import Journal
from .messages import MASK, mask_message, OFFERED, TRACKS, tracks_message, typestore
from .places import Places
from .reading import Recording
from .record import FrameRecord
from .topic import Topic

NAMESPACE = '/videomt'  # as that of the node, if it is not given another name
# The oldest layout that the writer knows: newer releases read it as well, older ones only it.
_VERSION: Literal[8] = 8
_UNKNOWN_HASH = 'RIHS01_' + '0' * 64  # a type of which neither definition nor hash was recorded


def storage_of(path: Path, wanted: str | None) -> StoragePlugin:
    """
    Choose the storage of an output.

    :param path: of it: a single file when it ends in ``.mcap`` or ``.db3``, else a folder.
    :param wanted: ``mcap`` or ``sqlite3``; None for that of the name, MCAP for a folder.
    :returns: the storage.
    :raises BagError: when name and wish contradict each other.
    """
    by_name = {'.mcap': 'mcap', '.db3': 'sqlite3'}.get(path.suffix)
    if wanted and by_name and wanted != by_name:
        raise BagError(f'{path} is the name of a file of storage {by_name}, not {wanted}')
    return StoragePlugin[(wanted or by_name or 'mcap').upper()]


def is_single_file(path: Path) -> bool:
    """
    Tell whether an output is one file.

    :param path: of the output.
    :returns: whether its name ends as that of a storage file; otherwise it is a folder.
    """
    return path.suffix in ('.mcap', '.db3')


class _Output:
    """An open recording, to which the topics of results are added."""

    def __init__(self, bag: Writer, cameras: Sequence[Camera], masks: bool,
                 places: Places) -> None:
        self._bag = bag
        self._places = places
        self._tracks = [self._topic(camera, 'tracks', TRACKS) for camera in cameras]
        self._masks = [self._topic(camera, 'mask', MASK) for camera in cameras] if masks else []

    def _topic(self, camera: Camera, name: str, kind: str) -> Connection:
        return self._bag.add_connection(
            result_topic(camera, name), kind, typestore=typestore(),
            offered_qos_profiles=[OFFERED])

    def add(self, record: FrameRecord) -> None:
        """Write the results of a frame, if it has any."""
        if record.error is None:
            self._bag.write(self._tracks[record.camera], record.time,
                            tracks_message(record, self._places.of(record)))
            if self._masks:
                self._bag.write(self._masks[record.camera], record.time, mask_message(record))


def result_topic(camera: Camera, name: str) -> str:
    """
    Name a topic of results, as the node does.

    :param camera: whose results.
    :param name: ``tracks`` or ``mask``.
    :returns: the topic.
    """
    return '/'.join([NAMESPACE, *([camera.name] if camera.name else []), name])


def write_bag(
    folder: Path, name: Path, storage: StoragePlugin, journal: Journal, recording: Recording,
    cameras: Sequence[Camera], choice: FrameChoice, places: Places, *, merge: bool, masks: bool,
) -> Path:
    """
    Write the results, while the journal grows.

    :param folder: for the unfinished output; whatever it holds is removed.
    :param name: final path of the output, which decides whether it is a file or a folder.
    :param storage: of the output. MCAP is compressed by chunks, with zstd.
    :param journal: with the results.
    :param recording: open, that they are of.
    :param cameras: of it.
    :param choice: which part of it.
    :param places: of the objects in it, at its beginning.
    :param merge: put all messages of that part in between, as they were recorded.
    :param masks: write label images, besides the tracks with their masks as runs.
    :returns: path of the finished output, to be moved to its final name.
    :raises InterruptedError: when the journal will not be completed.
    :raises OSError, WriterError: when the output cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    target = folder / (name.stem if is_single_file(name) else name.name)
    bag = Writer(target, version=_VERSION, storage_plugin=storage)
    if storage is StoragePlugin.MCAP:
        bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag:
        output = _Output(bag, cameras, masks, places)
        if merge:
            _merge(bag, output, journal, recording, cameras, choice)
        else:
            for record in journal.follow():
                output.add(record)
    return target / (target.name + name.suffix) if is_single_file(name) else target


def replaced_topics(
    recording: Recording, cameras: Sequence[Camera], masks: bool,
) -> frozenset[str]:
    """
    Find topics of a recording that have the names of results, from an earlier run on the robot.

    :param recording: open.
    :param cameras: of it.
    :param masks: whether label images are written.
    :returns: the topics, which are not merged.
    """
    kinds = ('tracks', 'mask') if masks else ('tracks',)
    ours = {result_topic(camera, kind) for camera in cameras for kind in kinds}
    return frozenset(topic.name for topic in recording.topics if topic.name in ours)


def _merge(
    bag: Writer, output: _Output, journal: Journal, recording: Recording,
    cameras: Sequence[Camera], choice: FrameChoice,
) -> None:
    replaced = replaced_topics(recording, cameras, masks=True)
    topics = [topic for topic in recording.topics if topic.name not in replaced]
    connections = {topic.name: _copy_of(bag, topic) for topic in topics}
    counter = FrameCounter(cameras, choice.every)
    records = journal.follow()
    for message in recording.messages(connections, *choice.range_of(recording)):
        bag.write(connections[message.topic.name], message.time, message.data)
        if counter.frame(message) is not None and (record := next(records, None)) is not None:
            if record.time != message.time:
                raise BagError(f'{recording.path} has changed while it was read: the frame at '
                               f'{message.time} ns was not there before')
            output.add(record)
    # A damaged part without images has ended the copy, but not the frames.
    for record in records:
        output.add(record)


def _copy_of(bag: Writer, topic: Topic) -> Connection:
    definition, type_hash = _describe(topic.kind, topic.language, topic.definition)
    return bag.add_connection(
        topic.name, topic.kind, msgdef=definition, rihs01=topic.type_hash or type_hash,
        serialization_format=topic.serialisation, offered_qos_profiles=topic.qos)


@cache
def _describe(kind: str, language: str, definition: str) -> tuple[str, str]:
    """Give definition and hash of a type, from what was recorded of it or is known anyway."""
    try:
        if definition:
            return definition, _store_of(kind, language, definition).hash_rihs01(kind)
        store = typestore()
        return store.generate_msgdef(kind, ros_version=2)[0], store.hash_rihs01(kind)
    except Exception:  # a definition that nobody can read is copied all the same
        return definition, _UNKNOWN_HASH


def _store_of(kind: str, language: str, definition: str) -> Typestore:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_idl(definition) if language == 'ros2idl'
                   else get_types_from_msg(definition, kind))
    return store
