"""
MCAP files that have no usable index: cut off, never closed, or written without one.

The file is read from its start, record by record (https://mcap.dev/spec), down to the last whole
message; also inside of a chunk that is cut, compressed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
import struct
import sys
from typing import Any, BinaryIO
from zlib import crc32

import lz4.frame
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from .errors import BagDamage, BagError
from .topic import Topic

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
_HEADER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x01, 0x03, 0x04, 0x05, 0x06, 0x0F
_RECORD = struct.Struct('<BQ')
_MESSAGE_FIELDS = struct.Struct('<HIQQ')
_CHUNK_FIELDS = struct.Struct('<QQQI')
_PIECE = 1 << 16
_LARGEST = 1 << 32  # bytes of a record; what asks for more is no record


class McapScan:
    """
    One MCAP file, read without its index.

    :param path: of the file.
    :raises BagError: when it is no MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open('rb') as file:
            start = file.read(len(MAGIC))
        if start != MAGIC[:len(start)]:
            raise BagError(f'{path} is no MCAP file; it begins with {start!r}')
        self._channels: dict[int, Topic] = {}
        self.start: int | None = None
        self.end: int | None = None
        self.damage: str | None = None
        try:
            self._survey()
        except BagDamage as damage:
            self.damage = str(damage)
        self.topics = tuple(self._channels.values())

    def _survey(self) -> None:
        """Read the file once, for what it holds."""
        schemas: dict[int, tuple[str, str, str]] = {}
        for kind, content in self._records(None, None):
            if kind == _MESSAGE:
                time = _MESSAGE_FIELDS.unpack_from(content)[2]
                self.start = time if self.start is None else min(self.start, time)
                self.end = time if self.end is None else max(self.end, time)
            elif kind in (_SCHEMA, _CHANNEL):
                try:
                    if kind == _SCHEMA:
                        number, schema = _schema(content)
                        schemas[number] = schema
                    else:
                        number, topic = _channel(content, schemas)
                        self._channels.setdefault(number, topic)
                except (struct.error, UnicodeDecodeError, ReaderError, LookupError, TypeError):
                    raise BagDamage(
                        f'{self.path.name} has a damaged description of a topic') from None

    def messages(
        self, wanted: frozenset[str], start: int | None, stop: int | None,
    ) -> Iterator[tuple[Topic, int, bytes]]:
        """
        Read messages in the order of the file, inside of a chunk by time.

        :param wanted: names of topics.
        :param start: nanoseconds; earlier messages are left out.
        :param stop: nanoseconds; messages from then on are left out.
        :returns: topic, time of recording in nanoseconds, and content.
        :raises BagDamage: at the place where the file is damaged.
        """
        channels = {n: topic for n, topic in self._channels.items() if topic.name in wanted}
        for kind, content in self._records(start, stop):
            if kind != _MESSAGE:
                continue
            number, _, time, _ = _MESSAGE_FIELDS.unpack_from(content)
            if number in channels and (start is None or start <= time) and (
                    stop is None or time < stop):
                yield channels[number], time, bytes(content[_MESSAGE_FIELDS.size:])

    def _records(self, start: int | None, stop: int | None) -> Iterator[tuple[int, memoryview]]:
        """Give kind and content of the records outside and inside of chunks, up to a damage."""
        with self.path.open('rb') as file:
            size = file.seek(0, 2)
            file.seek(len(MAGIC))
            if size < len(MAGIC):
                raise BagDamage(f'{self.path.name} ends after {size} bytes')
            while True:
                place = file.tell()
                head = file.read(_RECORD.size)
                if len(head) < _RECORD.size:
                    raise BagDamage(f'{self.path.name} ends at byte {size} without having been '
                                    f'closed')
                kind, length = _RECORD.unpack(head)
                left = size - file.tell()
                whole = length <= left
                if not _valid(kind, length):
                    raise BagDamage(f'{self.path.name} has no valid record at byte {place}')
                if kind == _CHUNK:
                    yield from _chunk(_Source(file, self.path.name, place), min(length, left),
                                      whole, start, stop)
                    file.seek(min(place + _RECORD.size + length, size))
                elif whole:
                    yield kind, memoryview(file.read(length))
                if not whole:
                    raise BagDamage(f'{self.path.name} ends at byte {size}, in the middle of a '
                                    f'record')
                if kind == _DATA_END:
                    break
            self._check_end(file, size)

    def _check_end(self, file: BinaryIO, size: int) -> None:
        """Refuse a file that ends between its data and its last bytes."""
        file.seek(max(0, size - len(MAGIC)))
        if file.read() != MAGIC:
            raise BagDamage(f'{self.path.name} has lost its end after byte {size}; its messages '
                            f'are all there')


def _valid(kind: int, length: int) -> bool:
    """Tell whether a record can be of some kind and length."""
    return kind != 0 and length <= _LARGEST and (
        kind != _MESSAGE or length >= _MESSAGE_FIELDS.size)


@dataclass(frozen=True)
class _Source:
    """Where a chunk lies."""

    file: BinaryIO
    name: str
    place: int


def _chunk(source: _Source, length: int, whole: bool, start: int | None, stop: int | None,
           ) -> Iterator[tuple[int, memoryview]]:
    """Give the records of a chunk, messages by time; of a cut one those that are whole."""
    what = f'{source.name} has a damaged chunk at byte {source.place}'
    head = source.file.read(min(length, _CHUNK_FIELDS.size))
    if len(head) < _CHUNK_FIELDS.size:
        return
    first, last, size, checksum = _CHUNK_FIELDS.unpack(head)
    outside = (start is not None and last < start) or (stop is not None and first >= stop)
    if whole and outside:
        return
    rest = source.file.read(length - len(head))
    try:
        name, offset = _text(rest, 0)
        packed = memoryview(rest)[offset + 8:]
        if whole:
            packed = packed[:struct.unpack_from('<Q', rest, offset)[0]]
    except (struct.error, UnicodeDecodeError):
        if whole:
            raise BagDamage(what) from None
        return
    if name not in _UNPACKERS:
        raise BagDamage(f'{what}: its compression {name!r} is none of MCAP')
    content, error = _UNPACKERS[name](packed)
    if whole and not error and (len(content) != size or checksum not in (0, crc32(content))):
        raise BagDamage(f'{what}: its checksum is wrong')
    messages: list[tuple[int, memoryview]] = []
    view, offset = memoryview(content), 0
    while offset + _RECORD.size <= len(view):
        kind, length = _RECORD.unpack_from(view, offset)
        offset += _RECORD.size
        if not _valid(kind, length):
            raise BagDamage(what)
        if offset + length > len(view):
            break
        if kind == _MESSAGE:
            messages.append((_MESSAGE_FIELDS.unpack_from(view, offset)[2],
                             view[offset:offset + length]))
        else:
            yield kind, view[offset:offset + length]
        offset += length
    for _, message in sorted(messages, key=lambda each: each[0]):
        yield _MESSAGE, message
    if whole and error:
        raise BagDamage(f'{what}: {error}')


def _unpack_with(unpacker: Callable[[], Any]) -> Callable[[memoryview], tuple[bytes, str]]:
    """Make a function that unpacks as far as it goes; it also gives the error that stopped it."""
    def unpack(packed: memoryview) -> tuple[bytes, str]:
        stream, pieces = unpacker(), []
        for place in range(0, len(packed), _PIECE):
            try:
                pieces.append(stream.decompress(bytes(packed[place:place + _PIECE])))
            except (zstd.ZstdError, RuntimeError, EOFError) as error:
                return b''.join(pieces), str(error)
        return b''.join(pieces), ''
    return unpack


_UNPACKERS: dict[str, Callable[[memoryview], tuple[bytes, str]]] = {
    '': lambda packed: (bytes(packed), ''),
    'zstd': _unpack_with(zstd.ZstdDecompressor),
    'lz4': _unpack_with(lz4.frame.LZ4FrameDecompressor),
}


def _text(content: bytes | memoryview, offset: int) -> tuple[str, int]:
    """Read a text with its length in front; gives it and where the next field begins."""
    length, = struct.unpack_from('<I', content, offset)
    end = offset + 4 + length
    if end > len(content):
        raise struct.error('a text is cut')
    return bytes(content[offset + 4:end]).decode(), end


def _schema(content: memoryview) -> tuple[int, tuple[str, str, str]]:
    """Read a message definition: its number, then name, language and text."""
    number, = struct.unpack_from('<H', content)
    name, offset = _text(content, 2)
    language, offset = _text(content, offset)
    text, _ = _text(content, offset)
    return number, (name, language, text)


def _channel(content: memoryview, schemas: dict[int, tuple[str, str, str]]) -> tuple[int, Topic]:
    """Read a topic and its number."""
    number, schema = struct.unpack_from('<HH', content)
    name, offset = _text(content, 4)
    serialisation, offset = _text(content, offset)
    length, = struct.unpack_from('<I', content, offset)
    end, offset = offset + 4 + length, offset + 4
    details = {}
    while offset < end:
        key, offset = _text(content, offset)
        details[key], offset = _text(content, offset)
    kind, language, definition = schemas.get(schema, ('', '', ''))
    return number, Topic(
        name, kind, serialisation, language, definition, details.get('topic_type_hash', ''),
        tuple(parse_qos(details.get('offered_qos_profiles', '') or [])))
