"""
Recordings and results in any place that fsspec knows: local folders, ``s3://``, ``gs://``, ...

Local ones are used where they are. Of others a copy is worked on, and results are put there whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path, PurePosixPath
import re
import tempfile
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from .errors import BagError
from .outputs import check_writable, one_sentence
from .reading import is_storage_file, METADATA, PACKED_SUFFIX, SUFFIXES

_MAGIC = re.compile(r'[*?\[]')
_PIECE = 1 << 20


@dataclass(frozen=True)
class Item:
    """
    One recording of an archive.

    :param url: of its folder or file.
    :param name: where its results lie below the output folder.
    :param files: of the recording, for a folder those in it: name and what changes with them
        (size and time or tag).
    """

    url: str
    name: str
    files: tuple[tuple[str, str], ...]

    @property
    def version(self) -> str:
        """Give a text that changes with the recording's files."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()


def find_recordings(patterns: Sequence[str], output: str) -> list[Item]:
    """
    Find the recordings that patterns mean.

    A file that lies in a folder with metadata.yaml is a part of that folder's recording.

    :param patterns: paths or URLs, with ``*``, ``**``, ``?`` and ``[...]``.
    :param output: folder of the results, in which none is looked for.
    :returns: the recordings by name; names are paths below the patterns' fixed parts.
    :raises BagError: when a pattern means none, or two recordings would have one name, or one
        cannot be looked at.
    """
    out_fs, out_path = _open(output)
    items: dict[str, Item] = {}
    for pattern in patterns:
        fs, path = _open(pattern)
        found: dict[str, str] = {}
        pattern_given = bool(_MAGIC.search(path))
        with one_sentence(pattern, 'read'):
            for match in sorted(fs.glob(path)) if pattern_given else [path]:
                place = _recording_at(fs, match, not pattern_given)
                if place and not (type(fs) is type(out_fs) and _below(place, out_path)):
                    found[place] = _name_of(place, path)
        if not found:
            raise BagError(f'{pattern}: there is no recording; expected folders with '
                           f'{METADATA}, or files that end in {" or ".join(SUFFIXES)}')
        for place, name in found.items():
            url = fs.unstrip_protocol(place)
            if name in items and items[name].url != url:
                raise BagError(f'{items[name].url} and {url} would both have their results in '
                               f'{name}')
            with one_sentence(url, 'read'):
                items[name] = Item(url, name, _files_at(fs, place))
    return [items[name] for name in sorted(items)]


class Archive:
    """
    The folder of a fleet's results.

    What a disk says comes as it is, for a worker tries again after an OSError.

    :param url: of the folder, made where missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._path = _open(url)

    def check(self, name: str) -> None:
        """
        See whether a file can be written, as far as that shows without writing.

        :param name: path below the folder.
        :raises BagError: when it cannot; of places that are not local nothing is known.
        """
        if isinstance(self._fs, LocalFileSystem):
            check_writable(Path(self._at(name)))

    def read(self, name: str) -> dict[str, Any] | None:
        """
        Read a JSON file.

        :param name: path below the folder.
        :returns: its content; None when it is not there or no such file.
        """
        try:
            content = json.loads(self._fs.cat_file(self._at(name)))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write(self, name: str, content: dict[str, Any]) -> None:
        """
        Write a JSON file, so that it is there whole or not at all.

        :param name: path below the folder.
        :param content: of the file.
        """
        data = (json.dumps(content, indent=1, sort_keys=True) + '\n').encode()
        place = self._at(name)
        self._fs.makedirs(self._fs._parent(place), exist_ok=True)
        if isinstance(self._fs, LocalFileSystem):
            part = Path(place).with_name(f'.{Path(place).name}.part')
            part.write_bytes(data)
            part.replace(place)
        else:
            self._fs.pipe_file(place, data)  # object stores show an object when it is whole

    def remove(self, name: str) -> None:
        """
        Remove a file, if it is there.

        :param name: path below the folder.
        """
        if self._fs.exists(self._at(name)):
            self._fs.rm_file(self._at(name))

    def size(self, name: str) -> int | None:
        """
        Give the size of a file.

        :param name: path below the folder.
        :returns: bytes; None when it is not there.
        """
        try:
            return int(self._fs.size(self._at(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """
        Give a local folder whose files become those of a folder of the archive.

        :param name: path below the folder.
        :returns: the place itself in a local archive, where unfinished work survives; else a
            folder whose files are uploaded at the end.
        """
        if isinstance(self._fs, LocalFileSystem):
            local = Path(self._at(name))
            local.mkdir(parents=True, exist_ok=True)
            try:
                yield local
            finally:
                if not any(local.iterdir()):
                    local.rmdir()
            return
        with tempfile.TemporaryDirectory(prefix='videomt_bag_') as scratch:
            yield Path(scratch)
            for each in sorted(Path(scratch).rglob('*')):
                if each.is_file():
                    target = self._at(f'{name}/{each.relative_to(scratch).as_posix()}')
                    self._fs.makedirs(self._fs._parent(target), exist_ok=True)
                    self._fs.put_file(str(each), target)

    def _at(self, name: str) -> str:
        return f'{self._path.rstrip("/")}/{name}'


@contextmanager
def local_copy(item: Item) -> Iterator[Path]:
    """
    Bring a recording where its bytes can be sought in.

    :param item: the recording.
    :returns: it itself when it is local, else a copy that goes afterwards.
    """
    fs, path = _open(item.url)
    if isinstance(fs, LocalFileSystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix='videomt_bag_') as scratch:
        copy = Path(scratch, PurePosixPath(path).name)
        if fs.isdir(path):
            copy.mkdir()
            for name, _ in item.files:
                fs.get_file(f'{path}/{name}', str(copy / name))
        else:
            fs.get_file(path, str(copy))
        yield copy


def content_hash(path: Path) -> str:
    """
    Name the content of a file, or of all files of a folder.

    :param path: local.
    :returns: SHA-256 in hexadecimal; of a folder, over names and contents.
    """
    digest = hashlib.sha256()
    for each in sorted(path.rglob('*')) if path.is_dir() else [path]:
        if each.is_file():
            if path.is_dir():
                digest.update(f'{each.relative_to(path).as_posix()}\0'.encode())
            with each.open('rb') as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
    return digest.hexdigest()


def _open(url: str) -> tuple[Any, str]:
    """Find the file system of a URL and the path in it."""
    try:
        fs, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise BagError(f'{url}: {error}') from None
    return fs, path


def _recording_at(fs: fsspec.AbstractFileSystem, path: str, named: bool) -> str | None:
    """
    Give the recording that a path belongs to; None when it is none.

    A folder without metadata.yaml is one only when it was `named`, not met by a pattern: it may
    as well be a folder of several.
    """
    if fs.isdir(path):
        holds = fs.exists(f'{path}/{METADATA}') or named and any(
            is_storage_file(Path(each)) for each in fs.ls(path, detail=False))
        return path.rstrip('/') if holds else None
    folder = fs._parent(path)
    if PurePosixPath(path).name == METADATA or (
            is_storage_file(Path(path)) and fs.exists(f'{folder}/{METADATA}')):
        return str(folder)
    return path if is_storage_file(Path(path)) and fs.exists(path) else None


def _files_at(fs: fsspec.AbstractFileSystem, path: str) -> tuple[tuple[str, str], ...]:
    places = [path]
    if fs.isdir(path):
        places = [each for each in sorted(fs.ls(path, detail=False)) if
                  is_storage_file(Path(each)) or PurePosixPath(each).name == METADATA]
    files = []
    for each in places:
        info = fs.info(each)
        tag = info.get('ETag') or info.get('etag') or info.get('mtime') or info.get('created')
        files.append((PurePosixPath(each).name, f'{info["size"]} {tag}'))
    return tuple(files)


def _below(path: str, folder: str) -> bool:
    return PurePosixPath(folder) in (PurePosixPath(path), *PurePosixPath(path).parents)


def _name_of(place: str, pattern: str) -> str:
    """Name a recording by its path below the fixed part of a pattern, without the ending."""
    fixed: list[str] = []
    parts = PurePosixPath(pattern).parts
    for part in parts[:-1]:
        if _MAGIC.search(part):
            break
        fixed.append(part)
    base = PurePosixPath(*fixed)
    own = PurePosixPath(place)
    relative = own.relative_to(base) if own != base and base in own.parents else (
        PurePosixPath(own.name))
    name = relative.name.removesuffix(PACKED_SUFFIX)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return str(relative.with_name(name))
