"""Writes simulated scenes as a data set in YouTube-VIS JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
import json
import multiprocessing
import os
from pathlib import Path
import shutil
from typing import Any

import cv2
from tqdm import tqdm

from .annotations import ANNOTATIONS, document, Record, SceneTracks
from .catalogue import CLASS_NAMES
from .frame import SimConfig
from .world import Simulation

_SAVE_EVERY = 10


def scene_name(seed: int) -> str:
    """
    Name a scene's folder of frames.

    :param seed: the scene's seed.
    :returns: the seed with leading zeros.
    """
    return f'{seed:07d}'


def write_scene(folder: Path, seed: int, frames: int, config: SimConfig,
                quality: int = 92) -> tuple[Record, list[Record]]:
    """
    Render one scene to JPEG files.

    :param folder: the data set's folder.
    :param seed: the scene.
    :param frames: how many frames.
    :param config: size, rate and number of objects.
    :param quality: JPEG quality, 0..100.
    :returns: the scene's entry of `videos`, and its annotations, which lack their `id`.
    :raises OSError: when a frame cannot be written.
    """
    name = scene_name(seed)
    target, partial_folder = folder / 'frames' / name, folder / 'frames' / f'{name}.partial'
    for stale in (target, partial_folder):
        shutil.rmtree(stale, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    tracks = SceneTracks(seed + 1)
    files = []
    with Simulation(seed, config) as simulation:
        for frame in islice(simulation, frames):
            file = f'{frame.index:05d}.jpg'
            picture = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
            if not cv2.imwrite(str(partial_folder / file), picture,
                               [cv2.IMWRITE_JPEG_QUALITY, quality]):
                raise OSError(f'{partial_folder / file}: the frame could not be written')
            files.append(f'frames/{name}/{file}')
            tracks.add(frame)
    # A folder under its final name is complete, whatever ends the program early.
    partial_folder.rename(target)
    video = {'id': seed + 1, 'seed': seed, 'file_names': files, 'width': config.width,
             'height': config.height, 'length': frames}
    return video, tracks.records()


def _save(folder: Path, videos: list[Record], annotations: list[Record],
          config: SimConfig) -> None:
    draft = folder / f'{ANNOTATIONS}.partial'
    draft.write_text(json.dumps(document(videos, annotations, config)), encoding='utf-8')
    os.replace(draft, folder / ANNOTATIONS)


def _load(folder: Path, frames: int, config: SimConfig) -> tuple[list[Record], list[Record]]:
    """Read what an earlier run has written, and check that it fits to this one."""
    path = folder / ANNOTATIONS
    if not path.exists():
        return [], []
    try:
        document = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no JSON in UTF-8 ({error}); name another folder') from error
    if not _fits(document, frames, config):
        raise ValueError(f'{path} holds another data set (classes, size, length, rate or '
                         'visibility differ); name another folder')
    return document['videos'], document['annotations']


def _fits(document: Any, frames: int, config: SimConfig) -> bool:
    """Tell whether a file is of this program, with these settings: others use its name too."""
    try:
        names = [category['name'] for category in document['categories']]
        kinds = {(v['width'], v['height'], v['length']) for v in document['videos']}
        info = document['info']
        return (
            names == list(CLASS_NAMES) and kinds <= {(config.width, config.height, frames)}
            and (info['rate'], info['min_visible']) == (config.rate, config.min_visible)
            and isinstance(document['videos'], list) and isinstance(document['annotations'], list)
            and all(isinstance(video['seed'], int) for video in document['videos']))
    except (KeyError, TypeError):
        return False


def _scenes(folder: Path, seeds: list[int], frames: int, config: SimConfig, quality: int,
            jobs: int) -> Iterator[tuple[Record, list[Record]]]:
    work = partial(write_scene, folder, frames=frames, config=config, quality=quality)
    if jobs == 1:
        yield from map(work, seeds)
        return
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(work, seeds)


def write_dataset(folder: str | Path, seeds: Iterable[int], frames: int = 60,
                  config: SimConfig | None = None, quality: int = 92, jobs: int = 1,
                  progress: bool = True) -> Path:
    """
    Render scenes into a data set in YouTube-VIS JSON.

    The folder holds `annotations.json` and `frames/<scene>/<00000>.jpg`; `file_names` are
    relative to the folder. An object that is not present in a frame (SimConfig.min_visible) has
    null there. Scenes that the folder already holds are kept, so an interrupted run goes on.

    :param folder: where to write; made if it is missing.
    :param seeds: the scenes.
    :param frames: frames of each scene.
    :param config: size, rate and number of objects; None for the defaults.
    :param quality: JPEG quality, 0..100.
    :param jobs: number of processes.
    :param progress: whether to show a progress bar.
    :returns: the path of `annotations.json`.
    :raises ValueError: when the folder holds another data set, or a count is below 1.
    """
    for name, count in (('frames', frames), ('jobs', jobs)):
        if count < 1:
            raise ValueError(f'{name} is {count}, expected at least 1')
    folder, config = Path(folder), config or SimConfig()
    folder.mkdir(parents=True, exist_ok=True)
    videos, annotations = _load(folder, frames, config)
    done = {video['seed'] for video in videos}
    missing = [seed for seed in seeds if seed not in done]
    scenes = _scenes(folder, missing, frames, config, quality, jobs)
    for count, (video, records) in enumerate(
            tqdm(scenes, total=len(missing), unit='scene', disable=not progress), start=1):
        videos.append(video)
        annotations.extend(records)
        if count % _SAVE_EVERY == 0:
            _save(folder, videos, annotations, config)
    _save(folder, videos, annotations, config)
    return folder / ANNOTATIONS
