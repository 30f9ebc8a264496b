"""
Recordings in SQLite files, also those that are cut off or were never closed.

A healthy file is read by time, through its index. A cut one has lost parts of the index; its
messages are then read in the order in which they were recorded, up to the first page that is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
import sqlite3
from urllib.parse import quote

from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos

from .errors import BagDamage, BagError
from .topic import Topic

MAGIC = b'SQLite format 3\0'


class SqliteFile:
    """
    One file of storage sqlite3.

    :param path: of the file.
    :raises BagError: when it is no SQLite file, or none of a recording.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open('rb') as file:
            start = file.read(len(MAGIC))
        if start != MAGIC[:len(start)]:
            raise BagError(f'{path} is no SQLite file; it begins with {start!r}')
        self.start: int | None = None
        self.end: int | None = None
        self.damage: str | None = None
        self._topics: dict[int, Topic] = {}
        if len(start) < len(MAGIC):
            self.damage = f'{path.name} ends after {len(start)} bytes'
        else:
            self._open()
        self.topics = tuple(self._topics.values())

    def messages(
        self, wanted: frozenset[str], start: int | None, stop: int | None,
    ) -> Iterator[tuple[Topic, int, bytes]]:
        """
        Read messages by time, of a damaged file in the order of recording.

        :param wanted: names of topics.
        :param start: nanoseconds; earlier messages are left out.
        :param stop: nanoseconds; messages from then on are left out.
        :returns: topic, time of recording in nanoseconds, and content.
        :raises BagDamage: at the place where the file is damaged.
        """
        topics = {n: topic for n, topic in self._topics.items() if topic.name in wanted}
        first = -2 ** 63 if start is None else start
        last = 2 ** 63 - 1 if stop is None else stop
        done = -1
        if not self.damage:
            marks = ','.join('?' * len(topics))
            try:
                with closing(self._connect(salvage=False)) as database:
                    for row in database.execute(
                            'SELECT id, topic_id, timestamp, data FROM messages WHERE topic_id IN '
                            f'({marks}) AND timestamp >= ? AND timestamp < ? '
                            'ORDER BY timestamp, id', [*topics, first, last]):
                        done, number, time, content = row
                        yield topics[number], time, bytes(content)
                return
            except sqlite3.DatabaseError as error:
                self.damage = self._say(error)
        yield from (
            (topics[number], time, content) for number, time, content in self._rest(done, topics)
            if first <= time < last)
        raise BagDamage(self.damage)

    def _rest(
        self, done: int, topics: Collection[int],
    ) -> Iterator[tuple[int, int, bytes]]:
        """
        Read what follows a message in a damaged file, page by page, whatever the index has lost.

        :param done: id of the message.
        :param topics: numbers of the wanted topics.
        :returns: number of the topic, time and content.
        """
        try:
            with closing(self._connect(salvage=True)) as database:
                # One by one: Python's sqlite3 looks a row ahead, and drops the row that it has
                # when the next one cannot be read.
                while row := database.execute(
                        'SELECT id, topic_id, timestamp FROM messages NOT INDEXED WHERE id > ? '
                        'ORDER BY id LIMIT 1', [done]).fetchone():
                    done, number, time = row
                    if number in topics:
                        content, = database.execute(
                            'SELECT data FROM messages WHERE id = ?', [done]).fetchone()
                        yield number, time, bytes(content)
        except sqlite3.DatabaseError:
            return  # self.damage says so already

    def _connect(self, salvage: bool) -> sqlite3.Connection:
        """Open the file for reading; to salvage is to read also what SQLite finds too short."""
        # What a recorder that was killed had not yet brought into the file lies beside it. Only
        # without it can SQLite be told that nobody writes, and work on read-only media.
        log = self.path.with_name(self.path.name + '-wal')
        pending = log.is_file() and log.stat().st_size > 0
        database = sqlite3.connect(
            f'file:{quote(str(self.path.absolute()))}?mode=ro'
            f'{"" if pending else "&immutable=1"}', uri=True, check_same_thread=False)
        if salvage:
            database.execute('PRAGMA writable_schema=ON')
        return database

    def _open(self) -> None:
        try:
            with closing(self._connect(salvage=False)) as database:
                self._topics = self._read_topics(database)
                self.start, self.end = database.execute(
                    'SELECT min(timestamp), max(timestamp) FROM messages').fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError, ReaderError) as error:
            self.damage = self._say(error)
            self._salvage()

    def _salvage(self) -> None:
        """Find out what a damaged file holds, and from when to when."""
        try:
            with closing(self._connect(salvage=True)) as database:
                self._topics = self._read_topics(database)
        except (sqlite3.DatabaseError, UnicodeDecodeError, ReaderError):
            return  # self.damage says so already
        for _, time, _ in self._rest(-1, self._topics):
            self.start = time if self.start is None else min(self.start, time)
            self.end = time if self.end is None else max(self.end, time)

    def _read_topics(self, database: sqlite3.Connection) -> dict[int, Topic]:
        """Read the topics; older files know less of them (schema versions 1 to 4)."""
        tables = {name for name, in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {'messages', 'topics'} <= tables:
            raise BagError(f'{self.path} is no recording; it has no tables messages and topics')
        columns = {row[1] for row in database.execute('PRAGMA table_info(topics)')}
        definitions = {}
        if 'message_definitions' in tables:
            definitions = {kind: (language, text) for kind, language, text in database.execute(
                'SELECT topic_type, encoding, encoded_message_definition '
                'FROM message_definitions')}
        optional = [name if name in columns else "''"
                    for name in ('offered_qos_profiles', 'type_description_hash')]
        return {
            number: Topic(name, kind, serialisation, *definitions.get(kind, ('', '')), digest,
                          tuple(parse_qos(qos)))
            for number, name, kind, serialisation, qos, digest in database.execute(
                f'SELECT id, name, type, serialization_format, {optional[0]}, {optional[1]} '
                'FROM topics ORDER BY id')}

    def _say(self, error: Exception) -> str:
        return f'{self.path.name} is damaged: {error}'
