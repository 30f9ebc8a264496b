"""
The outputs of a run: made beside their final places, and moved there when all are whole.

The recording and the films are written while the network is at work; the others are short work,
and want all results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
import json
import os
from pathlib import Path
import shutil
import sqlite3
import threading
import time

from rosbags.rosbag2 import WriterError

from .cameras import Camera
from .coco import write_coco, write_ytvis
from .errors import BagError
from .journal import Journal
from .places import Survey
from .reading import is_storage_file, METADATA, Recording
from .report_html import write_report
from .settings import Settings
from .stages import Stages
from .tables import require_parquet, write_csv, write_parquet
from .truth import Truth
from .video import write_overlay
from .writing import storage_of, write_bag

_MOVING = 'moving.json'


@dataclass(frozen=True)
class Output:
    """
    One output.

    :param name: of the stage that makes it.
    :param path: its final place.
    :param make: makes it, and gives the path where it is until it is moved; None when there is
        nothing to be made.
    :param along: made while the network is at work.
    """

    name: str
    path: Path
    make: Callable[[], Path | None]
    along: bool


def work_folder(path: Path) -> Path:
    """
    Name the folder of unfinished work.

    :param path: of the output recording.
    :returns: the folder beside it.
    """
    return path.with_name(path.name + '.work')


def check_outputs(source: Path, path: Path, settings: Settings) -> None:
    """
    See early what would go wrong late.

    :param source: of the recording.
    :param path: of the output recording.
    :param settings: with the further outputs.
    :raises BagError: when an output is there already, or cannot be written.
    """
    storage_of(path, settings.storage)
    if 'parquet' in settings.files:
        require_parquet()
    paths = [path, *settings.files.values()]
    resolved = [each.resolve() for each in paths]
    if len(set(resolved)) < len(resolved):
        raise BagError(f'two outputs have one name: {", ".join(map(str, paths))}')
    for each in paths:
        if source.resolve() in (each.resolve(), *each.resolve().parents):
            raise BagError(f'{each} would be written over or into the recording {source}')
        check_free(each, settings.overwrite, path)
        check_writable(each)


def check_writable(path: Path) -> None:
    """
    See whether a file can be put in a place, as far as that shows without writing.

    :param path: of the file; folders above it may be missing.
    :raises BagError: when it cannot.
    """
    with one_sentence(path):
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise BagError(f'{path} cannot be written: {folder} is no folder to write into')


def check_free(path: Path, overwrite: bool, main: Path) -> None:
    """
    See whether an output may be put in a place.

    :param path: of the output.
    :param overwrite: whether something may be there.
    :param main: of the output recording; what an earlier run has put there while it was killed
        is this run's own.
    :raises BagError: when something is, or a folder with more in it than a recording.
    """
    if not path.exists():
        return
    if not overwrite and str(path.absolute()) not in _being_moved(main):
        raise BagError(f'{path} exists already; replace it with --overwrite')
    for each in path.iterdir() if path.is_dir() else ():
        if each.name != METADATA and not is_storage_file(each):
            raise BagError(f'{path} is a folder that holds {each.name}; only a folder with '
                           f'nothing but a recording is replaced')


def plan_outputs(
    path: Path, settings: Settings, journal: Journal, recording: Recording,
    cameras: Sequence[Camera], survey: Survey, facts: Sequence[tuple[str, str]],
) -> list[Output]:
    """
    List the outputs of a run.

    :param path: of the output recording.
    :param settings: what is asked for.
    :param journal: with the results.
    :param recording: open, that they are of.
    :param cameras: of it.
    :param survey: of it.
    :param facts: for the report.
    :returns: the outputs.
    :raises BagError: when the truth for the report cannot be read.
    """
    def bag() -> Path:
        return write_bag(
            work_folder(path) / 'bag', path, storage_of(path, settings.storage), journal,
            recording, cameras, settings.choice, survey.places(), merge=settings.merge,
            masks=settings.masks)

    def film(target: Path, place: int) -> Path | None:
        part = _part(target)
        write_overlay(part, journal, recording, cameras, settings.choice, place)
        return part if part.exists() else None

    def late(target: Path, write: Callable[[Path], None]) -> Path:
        part = _part(target)
        write(part)
        return part

    truth = Truth(settings.truth) if settings.truth else None

    def report(part: Path) -> None:
        write_report(part, journal, recording, cameras, facts, truth)

    writers: dict[str, Callable[[Path], None]] = {
        'csv': lambda part: write_csv(part, journal, cameras, survey.places()),
        'parquet': lambda part: write_parquet(part, journal, cameras, survey.places()),
        'coco': lambda part: write_coco(part, journal, cameras),
        'ytvis': lambda part: write_ytvis(part, journal, cameras),
        'html': report,
    }
    outputs = [Output('bag', path, bag, along=True)]
    if 'video' in settings.files:
        for place, camera in enumerate(cameras):
            target = film_path(settings.files['video'], camera)
            outputs.append(Output(
                'video', target, partial(film, target, place), along=True))
    for kind, writer in writers.items():
        if kind in settings.files:
            target = settings.files[kind]
            outputs.append(Output(
                kind, target, partial(late, target, writer), along=False))
    return outputs


def film_path(path: Path, camera: Camera) -> Path:
    """
    Name the film of a camera.

    :param path: that was asked for.
    :param camera: one of several when it has a name.
    :returns: the path, with the camera's name before its ending.
    """
    name = camera.name.replace('/', '_')
    return path.with_name(f'{path.stem}.{name}{path.suffix}') if name else path


def _part(path: Path) -> Path:
    """Name the unfinished form of a file; it ends as the file does, which OpenCV goes by."""
    return path.with_name(f'.{path.stem}.part{path.suffix}')


class Makers:
    """
    Threads that make outputs while the network is at work.

    :param outputs: each gets a thread.
    :param stages: clocks.
    """

    def __init__(self, outputs: Sequence[Output], stages: Stages) -> None:
        self._outputs = outputs
        self._stages = stages
        self._made: dict[Path, Path | None] = {}
        self._errors: list[Exception] = []
        for name in {each.name for each in outputs}:
            stages.add(name, sum(each.name == name for each in outputs))
        self._threads = [threading.Thread(target=self._make, args=(each,), name=each.name)
                         for each in outputs]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """
        See whether all is well so far.

        :raises BagError: when an output cannot be made.
        """
        if self._errors:
            raise self._errors[0]

    def join(self) -> dict[Path, Path | None]:
        """
        Wait until all are made, or have failed.

        :returns: where they are, by final place.
        """
        for thread in self._threads:
            thread.join()
        return {each.path: self._made.get(each.path) for each in self._outputs}

    def _make(self, output: Output) -> None:
        try:
            with one_sentence(output.path):
                self._made[output.path] = output.make()
            self._stages.count(output.name, time.thread_time())  # without what it waited
        except InterruptedError:
            return  # the network has ended early, and says why
        except Exception as error:  # goes on in the thread that waits
            self._errors.append(error)


@contextmanager
def one_sentence(path: Path | str, done: str = 'written') -> Iterator[None]:
    """
    Turn what a disk says into one sentence.

    :param path: of what is being written.
    :param done: what else is being done to it.
    :raises BagError: instead.
    """
    try:
        yield
    except InterruptedError:
        raise
    except OSError as error:
        raise BagError(f'{error.filename or path} cannot be {done}: '
                       f'{error.strerror or error}') from error
    except (sqlite3.Error, WriterError) as error:
        raise BagError(f'{path} cannot be {done}: {error}') from error


def move_all(made: Mapping[Path, Path], main: Path) -> None:
    """
    Give outputs their final names, each in one step.

    :param made: where they are, by final place.
    :param main: final place of the output recording.
    :raises BagError: when that cannot be done.
    """
    for final, part in made.items():
        with one_sentence(final):
            _sync(part)
    # Who is killed between two of them finds here that the first is no stranger's.
    note = work_folder(main) / _MOVING
    with one_sentence(note):
        note.write_text(json.dumps([str(final.absolute()) for final in made]))
    for final, part in made.items():
        with one_sentence(final):
            move(part, final)


def _being_moved(main: Path) -> frozenset[str]:
    """Give the final places of outputs that a killed run was about to put there."""
    try:
        return frozenset(json.loads((work_folder(main) / _MOVING).read_text()))
    except (OSError, ValueError):
        return frozenset()


def move(made: Path, path: Path) -> None:
    """
    Give an output its final name, in one step.

    :param made: the output, on the same disk.
    :param path: its final place; what is there is replaced.
    """
    if path.is_dir() or (path.exists() and made.is_dir()):
        old = path.with_name(f'.{path.name}.old')
        _remove(old)
        path.rename(old)
        made.rename(path)
        _remove(old)
    else:
        made.replace(path)


def discard(outputs: Sequence[Output]) -> None:
    """
    Remove what was made of outputs that will not be finished.

    :param outputs: of the run.
    """
    for each in outputs:
        if each.name != 'bag':  # that lies in the work folder
            _part(each.path).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the disk keep it, before its name says that it is whole."""
    for each in [path, *(path.rglob('*') if path.is_dir() else [])]:
        if each.is_file():
            with each.open('rb') as file:
                os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
