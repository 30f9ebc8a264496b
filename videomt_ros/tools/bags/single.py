"""One recording from start to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
import fcntl
import hashlib
import os
from pathlib import Path
import shutil
import time
from types import TracebackType

from videomt_ros.network import CheckpointError
from videomt_ros.network.device import find_device
from videomt_ros.perception.ahead import AheadSegmenter

from .cameras import Camera, find_cameras
from .errors import BagError, DAMAGED, DONE
from .journal import Journal
from .numerics import cores, fixed_numerics, software, weights_hash
from .outputs import (
    check_free,
    check_outputs,
    discard,
    Makers,
    move_all,
    one_sentence,
    Output,
    plan_outputs,
    work_folder,
)
from .pipeline import Pipeline, Window
from .places import Survey
from .reading import Recording
from .settings import Settings
from .stages import StageReport, Stages
from .writing import replaced_topics

_SAMPLE = 1 << 20  # bytes of a file's start and end, by which it is known again


@dataclass(frozen=True)
class Outcome:
    """
    What came of a recording.

    :param frames: wanted frames of all cameras that the recording holds.
    :param broken: how many of them are no pictures, and have no result.
    :param resumed: how many of them an earlier run had done.
    :param damage: what is damaged in the recording; None when nothing is.
    :param outputs: final places of what was made.
    :param cameras: topics of the cameras.
    :param notes: sentences for a person.
    :param weights: hash of the weights.
    :param stages: where the time went.
    :param seconds: that it took.
    """

    frames: int
    broken: int
    resumed: int
    damage: str | None
    outputs: tuple[Path, ...]
    cameras: tuple[str, ...]
    notes: tuple[str, ...]
    weights: str
    stages: tuple[StageReport, ...]
    seconds: float

    @property
    def code(self) -> int:
        """Give the exit code: DONE, or DAMAGED when there is less than there should be."""
        return DAMAGED if self.damage or self.broken else DONE


class Watcher:
    """Is told how a run goes on; this one does not care."""

    def begin(self, recording: Recording, cameras: Sequence[Camera], settings: Settings,
              resumed: int) -> None:
        """
        Take note that frames will come.

        :param recording: open.
        :param cameras: of it.
        :param settings: of the run.
        :param resumed: frames that are done already.
        """

    def advance(self, window: Window) -> None:
        """
        Take note that some frames are done.

        :param window: with these.
        """

    def end(self) -> None:
        """Take note that no more frames will come."""


def load_segmenter(settings: Settings) -> AheadSegmenter:
    """
    Load the weights of a run.

    :param settings: of the run.
    :returns: a segmenter that has seen nothing.
    :raises BagError: when weights or settings cannot be used.
    """
    try:
        device = find_device(settings.device)
        # Batches of frames fill a GPU as well as an engine does that takes one frame at a time.
        engine = 'eager' if settings.engine == 'auto' and device.type != 'cpu' else settings.engine
        segmenter = AheadSegmenter.from_pretrained(
            settings.checkpoint, device=str(device), precision=settings.precision, engine=engine,
            **settings.tracking)
    except (CheckpointError, ValueError, OSError, RuntimeError) as error:
        raise BagError(str(error).splitlines()[0]) from error
    assert isinstance(segmenter, AheadSegmenter)
    return segmenter


def process_recording(
    source: Path, path: Path, settings: Settings,
    load: Callable[[Settings], AheadSegmenter] = load_segmenter, watcher: Watcher | None = None,
) -> Outcome:
    """
    Process a recording, or go on where an interrupted run has stopped.

    :param source: folder or file of the recording.
    :param path: of the output: a file when it ends in ``.mcap`` or ``.db3``, else a folder.
    :param settings: what is asked for.
    :param load: makes a segmenter.
    :param watcher: is told how it goes on.
    :returns: what came of it; all outputs have their final names then.
    :raises BagError: when there is no output, in one sentence.
    :raises KeyboardInterrupt: as it came; the same call goes on later.
    """
    began = time.monotonic()
    workers = cores() if settings.workers is None else settings.workers
    if settings.truth is not None and 'html' not in settings.files:
        raise BagError('--truth is for the report: give --html too')
    check_outputs(source, path, settings)
    with Recording(source) as recording:
        cameras, notes = find_cameras(recording, settings.topics, settings.names)
        survey = Survey(recording, cameras, settings)
        segmenter = load(settings)
        # Windows side by side use the cores without waiting for each other; one frame does not.
        threads = 1 if workers and segmenter.splits else workers or cores()
        weights = weights_hash(segmenter.network)
        run = {
            'recording': _identity(recording), 'weights': weights,
            'options': {**settings.of_results(), 'topics': [c.topic.name for c in cameras]},
            'software': {**software(segmenter.network.device, threads),
                         'engine': type(segmenter.engine).__name__}}
        with fixed_numerics(threads), _Work(work_folder(path), settings.fresh) as work:
            journal = Journal(work.journal, run, segmenter.network.config.class_names)
            try:
                return _Run(source, path, settings, recording, cameras, survey, notes, segmenter,
                            weights, journal, workers, watcher or Watcher()).finish(began)
            finally:
                work.keep = journal.progress.next_index > 0
                journal.close()


@dataclass(frozen=True)
class _Run:
    """A recording with everything that it takes."""

    source: Path
    path: Path
    settings: Settings
    recording: Recording
    cameras: tuple[Camera, ...]
    survey: Survey
    notes: tuple[str, ...]
    segmenter: AheadSegmenter
    weights: str
    journal: Journal
    workers: int
    watcher: Watcher

    def finish(self, began: float) -> Outcome:
        """Do what is still to be done; `began` is when the run did, on the monotonic clock."""
        resumed = self.journal.progress.next_index
        stages = Stages()
        outputs = plan_outputs(self.path, self.settings, self.journal, self.recording,
                               self.cameras, self.survey, self._facts())
        for each in outputs:
            check_free(each.path, self.settings.overwrite, self.path)
            with one_sentence(each.path):
                each.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            made = self._make(outputs, stages, resumed)
            (broken,), = self.journal.rows(
                'SELECT count(*) FROM frames WHERE error IS NOT NULL')
            reports = tuple(stages.report())
            done = {final: part for final, part in made.items() if part is not None}
            move_all(done, self.path)
        except BaseException:
            discard(outputs)
            raise
        return Outcome(
            frames=self.journal.progress.next_index, broken=broken, resumed=resumed,
            damage=self.journal.progress.damage or self.recording.damage,
            outputs=tuple(done),
            cameras=tuple(camera.topic.name for camera in self.cameras),
            notes=(*self.notes, *self.survey.notes, *self._replaced(), *self._errors()),
            weights=self.weights,
            stages=reports, seconds=time.monotonic() - began)

    def _make(
        self, outputs: Sequence[Output], stages: Stages, resumed: int,
    ) -> dict[Path, Path | None]:
        """Run the network and make the outputs; gives where they are, by final place."""
        pipeline = Pipeline(
            self.segmenter, self.recording, self.cameras, self.settings.choice, self.journal,
            self.settings.batch, self.workers, stages)
        makers = Makers([each for each in outputs if each.along], stages)

        def on_window(window: Window) -> None:
            makers.check()
            self.watcher.advance(window)

        self.watcher.begin(self.recording, self.cameras, self.settings, resumed)
        try:
            pipeline.run(on_window)
            made = makers.join()
            makers.check()
        except FloatingPointError as error:
            self.journal.fail()
            raise BagError(f'{self.source}: {error}') from error
        except BaseException:
            self.journal.fail()
            raise
        finally:
            makers.join()
            self.watcher.end()
        for each in outputs:
            if not each.along:
                stages.add(each.name)
                with stages.work(each.name), one_sentence(each.path):
                    made[each.path] = each.make()
        return made

    def _facts(self) -> list[tuple[str, str]]:
        """Give what the report says of the run."""
        choice = self.settings.choice
        part = 'all' if choice.duration is None and not choice.start else (
            f'from {choice.start:g} s'
            f'{"" if choice.duration is None else f" for {choice.duration:g} s"}')
        return [
            ('recording', self.source.name),
            ('part', f'{part}, 1 frame of {choice.every}' if choice.every > 1 else part),
            ('task', self.segmenter.task), ('weights', self.weights[:16]),
            ('classes', str(len(self.journal.class_names)))]

    def _replaced(self) -> Iterator[str]:
        if self.settings.merge:
            for name in sorted(replaced_topics(self.recording, self.cameras, masks=True)):
                yield f'{name} of the recording is not copied: results have this name'

    def _errors(self) -> Iterator[str]:
        for error, camera, count, number in self.journal.rows(
                'SELECT error, camera, count(*), min(number) FROM frames WHERE error IS NOT NULL '
                'GROUP BY error, camera ORDER BY min(number) LIMIT 10'):
            yield (f'{count} frame{"s" if count > 1 else ""} of '
                   f'{self.cameras[camera].topic.name} without a result, the first is number '
                   f'{number}: {error}')


class _Work:
    """
    The folder of unfinished work, held by one process at a time.

    It goes when the work is done, or has not come as far as a first part.

    :param folder: made where missing.
    :param fresh: throw away what an earlier run has left.
    :raises BagError: when another process holds it.
    """

    def __init__(self, folder: Path, fresh: bool) -> None:
        self.folder = folder
        self.journal = folder / 'journal.sqlite'
        with one_sentence(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / 'lock').open('a+')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise BagError(f'{folder} is in use by another videomt_bag') from None
        self.keep = self.journal.exists() and not fresh
        try:
            with one_sentence(folder / 'lock'):
                self._lock.truncate(0)
                self._lock.write(f'{os.getpid()}\n')  # for whoever wonders who it is
                self._lock.flush()
                for each in folder.glob('journal.sqlite*') if fresh else ():
                    each.unlink()
        except BagError:
            with suppress(OSError):  # which tries to write once more
                self._lock.close()
            if not self.keep:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def __enter__(self) -> _Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            shutil.rmtree(self.folder / 'bag', ignore_errors=True)
        self._lock.close()


def _identity(recording: Recording) -> str:
    """Know a recording again, without reading all of it."""
    digest = hashlib.sha256()
    for path in recording.files:
        if path.exists():
            size = path.stat().st_size
            digest.update(f'{path.name} {size}'.encode())
            with path.open('rb') as file:
                digest.update(file.read(_SAMPLE))
                file.seek(max(0, size - _SAMPLE))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
