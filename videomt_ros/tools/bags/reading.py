"""
Recordings, whole or damaged: a rosbag2 folder, or one of its files alone.

A recording is its files one after another. Each is read through its index where it has a good one
(by rosbags), and from start to end where it has not (:mod:`.mcap_scan`, :mod:`.sqlite_file`). At
the first damage the recording ends: what follows may be anything.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from contextlib import suppress
import io
from pathlib import Path
import re
import sys
import tempfile
from types import TracebackType
from typing import NamedTuple, Protocol

from rosbags.interfaces import ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import McapReader
import yaml

from .errors import BagDamage, BagError
from .mcap_scan import McapScan
from .sqlite_file import SqliteFile
from .topic import Topic

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = ('.mcap', '.db3')
PACKED_SUFFIX = '.zstd'
METADATA = 'metadata.yaml'
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'  # no CDR message begins so
_PIECE = 1 << 20


class Message(NamedTuple):
    """
    One message of a recording.

    :param topic: that it came on.
    :param time: when it was recorded, in nanoseconds.
    :param data: its serialised content.
    """

    topic: Topic
    time: int
    data: bytes


class StorageFile(Protocol):
    """One file of a recording."""

    topics: tuple[Topic, ...]
    start: int | None
    end: int | None
    damage: str | None

    def messages(
        self, wanted: frozenset[str], start: int | None, stop: int | None,
    ) -> Iterator[tuple[Topic, int, bytes]]:
        """Read messages; raises :class:`BagDamage` where it cannot go on."""


class Recording:
    """
    A recording, to be used as a context manager.

    Its messages may be read several times, also at the same time.

    :param path: folder of a rosbag2 recording, with or without its metadata.yaml, or a single
        ``.mcap``, ``.db3``, ``.mcap.zstd`` or ``.db3.zstd`` file.
    :raises BagError: when it cannot be read at all, in one sentence.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._damage: str | None = None
        try:
            self.files = _files_of(path)
            self._storages = list(self._open())
        except OSError as error:
            self.close()
            raise BagError(f'{error.filename or path}: {error.strerror or error}') from None
        except BaseException:
            self.close()
            raise
        self.topics = tuple({
            topic.name: topic for each in self._storages for topic in each.topics}.values())
        starts = [each.start for each in self._storages if each.start is not None]
        ends = [each.end for each in self._storages if each.end is not None]
        self.start = min(starts, default=None)
        self.end = max(ends, default=None)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was unpacked."""
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def damage(self) -> str | None:
        """Say what is damaged, as far as the recording was read; None when nothing is."""
        return self._damage

    def messages(
        self, topics: Collection[str], start: int | None = None, stop: int | None = None,
    ) -> Generator[Message, None, None]:
        """
        Read the messages of some topics by time; ends at a damage, see :attr:`damage`.

        :param topics: their names.
        :param start: nanoseconds; earlier messages are left out.
        :param stop: nanoseconds; messages from then on are left out.
        :returns: the messages.
        """
        wanted = frozenset(topics)
        for each in self._storages:
            try:
                for topic, time, data in each.messages(wanted, start, stop):
                    if data.startswith(_ZSTD_MAGIC):
                        data = _unpack_message(topic, data)
                    yield Message(topic, time, data)
            except BagDamage as damage:
                self._damage = each.damage or str(damage)
                return
            except OSError as error:
                self._damage = f'{self.path} cannot be read on: {error.strerror or error}'
                return
            if each.damage:
                self._damage = each.damage
                return

    def first(self, topic: str) -> Message | None:
        """
        Read the first message of a topic.

        :param topic: its name.
        :returns: the message; None where there is none.
        """
        messages = self.messages([topic])
        try:
            return next(messages, None)
        finally:
            messages.close()

    def _open(self) -> Iterator[StorageFile]:
        """Open the files in order, up to the first that is damaged."""
        for path in self.files:
            damage = None
            if not path.exists():
                self._damage = f'{path.name}, which {METADATA} lists, is missing'
                return
            if path.suffix == PACKED_SUFFIX:
                path, damage = self._unpack(path)
            storage: StorageFile
            if path.suffix == '.db3':
                storage = SqliteFile(path)
            else:
                storage = _open_mcap(path)
            storage.damage = damage or storage.damage
            self._damage = storage.damage
            yield storage
            if storage.damage:
                return

    def _unpack(self, path: Path) -> tuple[Path, str | None]:
        """Decompress a file as far as it goes; gives the result, and the damage if there is."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix='videomt_bag_')
        unpacked = Path(self._folder.name, path.stem)
        with path.open('rb') as packed, unpacked.open('wb') as file:
            unpacker = zstd.ZstdDecompressor()
            while piece := packed.read(_PIECE):
                try:
                    while piece:
                        file.write(unpacker.decompress(piece))
                        piece = b''
                        if unpacker.eof:  # another frame may follow
                            piece, unpacker = unpacker.unused_data, zstd.ZstdDecompressor()
                            fresh = not piece
                        else:
                            fresh = False
                except zstd.ZstdError as error:
                    return unpacked, f'{path.name} is damaged: {error}'
            if packed.tell() == 0 or not fresh:
                return unpacked, f'{path.name} ends at byte {packed.tell()}, in the middle'
        return unpacked, None


class _McapFile:
    """An MCAP file with a good index."""

    damage: str | None = None

    def __init__(self, path: Path, reader: McapReader) -> None:
        self._path = path
        self.topics = tuple(_topics_of(reader).values())
        known = reader.metadata.message_count > 0
        self.start = reader.metadata.start_time if known else None
        self.end = reader.metadata.end_time - 1 if known else None

    def messages(
        self, wanted: frozenset[str], start: int | None, stop: int | None,
    ) -> Iterator[tuple[Topic, int, bytes]]:
        reader = McapReader(self._path)
        try:
            reader.open()
            topics = _topics_of(reader)
            chosen = [c for c in reader.connections if topics[c.id].name in wanted]
            for connection, time, data in reader.messages(chosen, start, stop):
                yield topics[connection.id], time, data
        except Exception as error:  # a damaged chunk makes rosbags raise whatever it meets
            raise BagDamage(f'{self._path.name} is damaged: {error}') from None
        finally:
            if reader.bio is not None:
                reader.close()


_LANGUAGES = {MessageDefinitionFormat.MSG: 'ros2msg', MessageDefinitionFormat.IDL: 'ros2idl',
              MessageDefinitionFormat.NONE: ''}


def _topics_of(reader: McapReader) -> dict[int, Topic]:
    """Give the topics of an open file by the number of their connection."""
    topics = {}
    for connection in reader.connections:
        assert isinstance(connection.ext, ConnectionExtRosbag2)
        topics[connection.id] = Topic(
            connection.topic, connection.msgtype, connection.ext.serialization_format,
            _LANGUAGES[connection.msgdef.format], connection.msgdef.data,
            _hash_of(reader, connection.id), tuple(connection.ext.offered_qos_profiles))
    return topics


def _hash_of(reader: McapReader, channel: int) -> str:
    """Read the type's hash, which rosbag2 writes and rosbags does not hand on."""
    content = io.BytesIO(reader.channels[channel].metadata)
    texts = []
    while length := content.read(4):
        texts.append(content.read(int.from_bytes(length, 'little')).decode())
    return dict(zip(texts[::2], texts[1::2], strict=True)).get('topic_type_hash', '')


def _open_mcap(path: Path) -> StorageFile:
    reader = McapReader(path)
    try:
        reader.open()
    except ReaderError:
        return McapScan(path)
    except (PermissionError, IsADirectoryError):
        raise
    except Exception:  # an index full of nonsense makes rosbags raise whatever it meets
        return McapScan(path)
    try:
        if reader.chunks or not reader.metadata.message_count:
            return _McapFile(path, reader)
    finally:
        reader.close()
    return McapScan(path)


def _unpack_message(topic: Topic, data: bytes) -> bytes:
    try:
        return zstd.decompress(data)
    except zstd.ZstdError as error:
        raise BagDamage(f'a message of {topic.name} is damaged: {error}') from None


def _files_of(path: Path) -> list[Path]:
    """Find the files of a recording, in order."""
    if not path.exists():
        raise BagError(f'{path} does not exist')
    if not path.is_dir():
        if not is_storage_file(path):
            raise BagError(
                f'{path} is no recording; expected a folder or a file that ends in '
                f'{", ".join(SUFFIXES)} or one of these with {PACKED_SUFFIX}')
        return [path]
    found = sorted((each for each in path.iterdir() if is_storage_file(each)), key=_natural)
    if (path / METADATA).is_file():
        with suppress(yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
            content = yaml.safe_load((path / METADATA).read_text('utf8'))
            listed = content['rosbag2_bagfile_information']['relative_file_paths']
            # Old releases wrote the folder in front; a file that was renamed is not looked for.
            names = [Path(str(name)).name for name in listed]
            if names and all(is_storage_file(Path(name)) for name in names):
                return [path / name for name in names]
    if not found:
        raise BagError(f'{path} is no recording; it holds no {" or ".join(SUFFIXES)} file')
    return found


def is_storage_file(path: Path) -> bool:
    """
    Tell by its name whether a file can be one of a recording.

    :param path: that need not exist.
    :returns: whether it ends in ``.mcap`` or ``.db3``, packed or not.
    """
    name = path.name.removesuffix(PACKED_SUFFIX)
    return name.endswith(SUFFIXES) and not name.startswith('.')


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort by numbers in the name, so that part 10 comes after part 9."""
    return [(int(part), '') if part.isdigit() else (-1, part)
            for part in re.split(r'(\d+)', path.name)]
