"""
Thousands of recordings over Ray: a task each, what is done is not done again.

The last thing that a task writes is ``record.json`` beside its outputs; whoever finds it finds the
outputs whole. The driver collects the records into ``manifest.json``. A worker that is lost takes
with it what one recording has gained since the last part of its journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
import hashlib
import json
import logging
import os
import socket
import sys
import time
from types import TracebackType
from typing import Any

from videomt_ros.perception.ahead import AheadSegmenter

from .archive import Archive, content_hash, find_recordings, Item, local_copy
from .cameras import find_cameras
from .errors import BagError, DAMAGED, DONE, FAILED
from .outputs import one_sentence
from .reading import Recording
from .settings import Settings
from .single import load_segmenter, process_recording
from .slots import Slots

try:
    import ray
except ImportError as error:
    raise BagError('--ray needs Ray: pip install videomt_ros[fleet]') from error

MANIFEST, RECORD = 'manifest.json', 'record.json'
_STATUS_DONE = ('done', 'damaged')
_KNOCK_SECONDS = 10.0
_MANIFEST_SECONDS = 10.0  # it grows with the archive, and in a bucket is written as a whole
_IN_FLIGHT = 1000  # tasks that Ray knows of at a time


def run_fleet(
    patterns: Sequence[str], output: str, settings: Settings, slots: Slots, quiet: bool = False,
) -> int:
    """
    Process all recordings of an archive.

    :param patterns: paths or URLs of recordings, see :func:`find_recordings`.
    :param output: folder of the results, path or URL: a folder a recording in it, with
        ``results.mcap`` (or ``.db3``) and the further outputs.
    :param settings: for each recording; its files are names without folders.
    :param slots: what a task may use.
    :param quiet: say nothing but what is wrong.
    :returns: DONE; DAMAGED when a recording is damaged; FAILED when there is no output of one.
    :raises BagError: before anything was done; or at the end, when the manifest cannot be
        written: the same call finds again what is done, and writes it.
    """
    for kind, path in settings.files.items():
        if path.name != str(path):
            raise BagError(f'--{kind} {path}: expected a name without folders with --ray')
    if settings.truth is not None:
        raise BagError('--truth is of one recording; it does not go with --ray')
    items = find_recordings(patterns, output)
    archive = Archive(output)
    archive.check(MANIFEST)
    manifest = _Manifest(archive, settings.fresh)
    settings = replace(
        settings, workers=max(1, int(slots.cpus)) if settings.workers is None
        else settings.workers)
    with _Cluster(slots) as cluster:
        jobs = list(_jobs_by_camera(items, settings, slots, manifest, cluster)
                    if slots.per_camera else ((item, settings) for item in items))
        waiting = [(item, job) for item, job in jobs if not manifest.is_done(item, job)]
        if not quiet and len(waiting) < len(jobs):
            print(f'{len(jobs) - len(waiting)} of {len(jobs)} are done already')
        if waiting:
            cluster.connect()
            _run(waiting, output, slots, manifest, quiet)
    manifest.write()
    return manifest.code()


def process_item(item: Item, output: str, settings: Settings) -> dict[str, Any]:
    """
    Process one recording of an archive, in this process.

    :param item: the recording.
    :param output: folder of all results.
    :param settings: for it.
    :returns: its record, which is written too when there is output.
    """
    archive = Archive(output)
    record: dict[str, Any] = {
        'recording': item.url, 'name': item.name, 'version': item.version,
        'settings': settings_hash(settings)}
    try:
        with local_copy(item) as source, archive.folder(item.name) as folder:
            archive.remove(f'{item.name}/{RECORD}')
            outcome = process_recording(
                source, folder / f'results{_suffix(settings)}',
                replace(settings, overwrite=True, files={
                    kind: folder / path for kind, path in settings.files.items()}),
                load=_load)
            record.update(
                sha256=content_hash(source), frames=outcome.frames, resumed=outcome.resumed,
                broken=outcome.broken,
                damage=outcome.damage, notes=list(outcome.notes), weights=outcome.weights,
                cameras=list(outcome.cameras),
                status='damaged' if outcome.code == DAMAGED else 'done',
                outputs={path.relative_to(folder).as_posix(): {
                    'size': path.stat().st_size, 'sha256': content_hash(path)}
                    for path in outcome.outputs})
    except BagError as error:
        return {**record, 'status': 'failed', 'error': str(error)}
    archive.write(f'{item.name}/{RECORD}', record)
    return record


def settings_hash(settings: Settings) -> str:
    """
    Name what is asked for, so that a restart knows whether an output is of the same kind.

    :param settings: of the run.
    :returns: SHA-256 in hexadecimal.
    """
    content = {
        **settings.of_results(), 'checkpoint': settings.checkpoint, 'names': settings.names,
        'merge': settings.merge, 'masks': settings.masks, 'storage': settings.storage,
        'positions': settings.positions, 'depth': settings.depth,
        'depth_tolerance': settings.depth_tolerance, 'target_frame': settings.target_frame,
        'files': {kind: str(path) for kind, path in sorted(settings.files.items())}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Manifest:
    """
    What became of each recording, in one file that is always whole.

    :param archive: with the file.
    :param fresh: nothing in it is done.
    :raises BagError: when what is there cannot be read.
    """

    def __init__(self, archive: Archive, fresh: bool) -> None:
        self._archive = archive
        self._fresh = fresh
        self._records: dict[str, dict[str, Any]] = {}
        self._seconds = {
            each['name']: each['seconds'] for each in
            (self._read(MANIFEST) or {}).get('recordings', []) if 'seconds' in each}
        self._written = time.monotonic()

    def is_done(self, item: Item, settings: Settings) -> bool:
        """Tell whether the same was done before with the same recording, and is still there."""
        record = self._read(f'{item.name}/{RECORD}')
        if record is None or self._fresh or record.get('status') not in _STATUS_DONE or (
                record.get('version') != item.version
                or record.get('settings') != settings_hash(settings)):
            return False
        with one_sentence(self._archive.url, 'read'):
            if any(self._archive.size(f'{item.name}/{name}') != each['size']
                   for name, each in record['outputs'].items()):
                return False
        if item.name in self._seconds:
            record['seconds'] = self._seconds[item.name]
        self._records[item.name] = record
        return True

    def add(self, record: dict[str, Any]) -> None:
        """Take note of a record; the file is written now and then."""
        self._records[record['name']] = record
        if time.monotonic() - self._written > _MANIFEST_SECONDS:
            with suppress(BagError):  # the work goes on; should the last try fail, it is told
                self.write()

    def write(self) -> None:
        """
        Write the file.

        :raises BagError: when that cannot be done.
        """
        records = [self._records[name] for name in sorted(self._records)]
        counts = {status: sum(each['status'] == status for each in records)
                  for status in ('done', 'damaged', 'failed')}
        try:
            with one_sentence(f'{self._archive.url}/{MANIFEST}'):
                self._archive.write(MANIFEST, {'counts': counts, 'recordings': records})
        finally:
            self._written = time.monotonic()  # nor is a failed try made again at once

    def code(self) -> int:
        """Give the exit code that fits all records."""
        found = {each['status'] for each in self._records.values()}
        return FAILED if 'failed' in found else DAMAGED if 'damaged' in found else DONE

    def _read(self, name: str) -> dict[str, Any] | None:
        with one_sentence(f'{self._archive.url}/{name}', 'read'):
            return self._archive.read(name)


class _Cluster:
    """
    A Ray cluster, or one that is started here; it is left, or stopped, at the end.

    :param slots: its address, and what must fit into it.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def connect(self) -> None:
        """
        Connect, if that was not done yet.

        :raises BagError: when there is no such cluster, or it is too small for a task.
        """
        if ray.is_initialized():
            return
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        local: dict[str, Any] = (
            {'include_dashboard': False} if self._slots.address == 'local' else {})
        try:
            _knock(self._slots.address)
            ray.init(address=self._slots.address, log_to_driver=False,
                     logging_level=logging.ERROR, **local)
        except Exception as error:  # of no kind of its own when Ray does not come up in time
            raise BagError(f'--ray {self._slots.address}: {error}') from error
        resources = ray.cluster_resources()
        for name, wanted in (('CPU', self._slots.cpus), ('GPU', self._slots.gpus)):
            if wanted > resources.get(name, 0):
                raise BagError(f'a task asks for {wanted:g} {name}, but the cluster has '
                               f'{resources.get(name, 0):g}')

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if ray.is_initialized():
            ray.shutdown()


def _knock(address: str) -> None:
    """See whether anybody is at an address, for which Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix('ray://').rpartition(':')
    if colon and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS):
            pass


def _jobs_by_camera(
    items: Sequence[Item], settings: Settings, slots: Slots, manifest: _Manifest,
    cluster: _Cluster,
) -> Iterator[tuple[Item, Settings]]:
    """Make a job of each camera of each recording."""
    cluster.connect()
    look = ray.remote(num_cpus=slots.cpus, max_retries=slots.retries)(_cameras_of)
    tasks = [look.remote(item, settings) for item in items]
    for item, task in zip(items, tasks, strict=True):
        try:
            cameras = ray.get(task)
        except ray.exceptions.RayError as error:
            cameras = _reason(error)
        if isinstance(cameras, str):
            manifest.add({'recording': item.url, 'name': item.name, 'status': 'failed',
                          'error': cameras})
            continue
        for topic, name in cameras:
            own = replace(item, name=f'{item.name}/{name or topic.strip("/")}')
            yield own, replace(settings, topics=(topic,), names=(name,))


def _cameras_of(item: Item, settings: Settings) -> list[tuple[str, str]] | str:
    """Give topic and name of each camera, or a sentence that says why there is none."""
    try:
        with local_copy(item) as source, Recording(source) as recording:
            cameras, _ = find_cameras(recording, settings.topics)
    except BagError as error:
        return str(error)
    return [(camera.topic.name, camera.name) for camera in cameras]


def _run(
    jobs: Sequence[tuple[Item, Settings]], output: str, slots: Slots, manifest: _Manifest,
    quiet: bool,
) -> None:
    task = ray.remote(num_cpus=slots.cpus, num_gpus=slots.gpus, max_retries=slots.retries,
                      retry_exceptions=[OSError])(_timed)
    todo = list(reversed(jobs))
    running: dict[Any, Item] = {}
    count = 0
    while todo or running:
        while todo and len(running) < _IN_FLIGHT:
            item, settings = todo.pop()
            running[task.remote(item, output, settings)] = item
        finished, _ = ray.wait(list(running), num_returns=1)
        item = running.pop(finished[0])
        try:
            record = ray.get(finished[0])
        except ray.exceptions.RayError as error:
            record = {'recording': item.url, 'name': item.name, 'status': 'failed',
                      'error': _reason(error)}
        manifest.add(record)
        count += 1
        if not quiet or record['status'] == 'failed':
            _tell(record, count, len(jobs))


def _reason(error: ray.exceptions.RayError) -> str:
    """Give the last line of what Ray says, which tells more than the trace before it."""
    return f'{type(error).__name__}: {str(error).strip().splitlines()[-1]}'


def _timed(item: Item, output: str, settings: Settings) -> dict[str, Any]:
    began = time.monotonic()
    record = process_item(item, output, settings)
    return {**record, 'seconds': round(time.monotonic() - began, 3)}


def _tell(record: dict[str, Any], count: int, total: int) -> None:
    failed = record['status'] == 'failed'
    what = record.get('error') or record.get('damage') or ''
    frames = '' if failed else f' {record["frames"]} frames in {record["seconds"]:.1f} s'
    print(f'{count}/{total} {record["name"]}: {record["status"]}{frames}'
          f'{f" ({what})" if what else ""}', file=sys.stderr if failed else sys.stdout)


def _load(settings: Settings) -> AheadSegmenter:
    """Make a segmenter that has seen nothing; weights stay for the worker's next recording."""
    loaded = _loaded(settings.checkpoint, settings.device, settings.precision, settings.engine)
    try:
        return AheadSegmenter(loaded.network, engine=loaded.engine, **settings.tracking)
    except ValueError as error:
        raise BagError(str(error)) from None


@lru_cache(maxsize=1)
def _loaded(
    checkpoint: str | None, device: str, precision: str, engine: str,
) -> AheadSegmenter:
    return load_segmenter(Settings(
        checkpoint=checkpoint, device=device, precision=precision, engine=engine))


def _suffix(settings: Settings) -> str:
    return '.db3' if settings.storage == 'sqlite3' else '.mcap'
