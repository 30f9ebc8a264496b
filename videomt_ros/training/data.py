"""
Clips for training out of YouTube-VIS / OVIS JSON (videos) and COCO JSON (pseudo-clips).

A batch is a pure function of (seed, stage, step, process): nothing has to be stored to resume a
training exactly where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
import torch
from torch import Tensor
from videomt_ros.network import Preprocessing

from .augment import Augmentation, draw_augmentation, rotation_path
from .config import ConfigError, DataSource, Stage, TrainConfig
from .losses import ClipTargets
from .paste import add_twins, Clip, paste
from .run_lengths import as_rle


@dataclass(frozen=True)
class Track:
    """
    One object of a video.

    :param label: class index, in the order of the categories' ids.
    :param segments: for each frame COCO RLE or polygons, or None where it is not to be seen.
    :param annotation_id: of its annotation in the file, to name it by.
    """

    label: int
    segments: tuple[Any, ...]
    annotation_id: Any = None


@dataclass(frozen=True)
class Video:
    """
    One video, or one picture of which a pseudo-clip is made.

    :param video_id: its id in the file.
    :param files: paths of its frames; a picture has one.
    :param height: of the frames in pixels.
    :param width: of the frames in pixels.
    :param tracks: its objects.
    :param still: True for a picture.
    :param crowds: regions with objects that nobody told apart (`iscrowd`), as tracks; none where
        only objects were asked for.
    """

    video_id: int
    files: tuple[Path, ...]
    height: int
    width: int
    tracks: tuple[Track, ...]
    still: bool = False
    crowds: tuple[Track, ...] = ()


def read_source(
        source: DataSource, everything: bool = False) -> tuple[tuple[str, ...], list[Video]]:
    """
    Read one data set's annotations; frames stay on disk.

    :param source: a YouTube-VIS / OVIS or COCO file.
    :param everything: give crowds and videos without objects, too.
    :returns: class names in the order of the categories' ids, and the videos that have objects,
        or all of them.
    :raises ConfigError: when the file cannot be read, is neither of the two or has no objects.
    """
    path = Path(source.annotations)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigError(f'{path}: cannot be read as JSON ({error})') from error
    parts = set(content) if isinstance(content, dict) else set()
    if not {'annotations', 'categories'} < parts or not parts & {'videos', 'images'}:
        raise ConfigError(
            f'{path}: expected YouTube-VIS JSON (videos, annotations, categories) or COCO JSON '
            f'(images, annotations, categories)')
    root = Path(source.images) if source.images else path.parent
    try:
        names, videos = _read_content(content, root, everything)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    except KeyError as error:
        raise ConfigError(f'{path}: one of its entries lacks {error}') from error
    except (TypeError, AttributeError) as error:
        raise ConfigError(f'{path}: not laid out as YouTube-VIS or COCO ({error})') from error
    if not any(video.tracks for video in videos):
        raise ConfigError(f'{path}: no annotated videos or images in it')
    return names, videos


def _read_content(
        content: dict[str, Any], root: Path, everything: bool,
) -> tuple[tuple[str, ...], list[Video]]:
    """Give the class names, and the videos that have objects or all, of a file's content."""
    still = 'videos' not in content
    categories = sorted(content['categories'], key=lambda c: c['id'])
    index = {category['id']: i for i, category in enumerate(categories)}
    tracks: dict[int, list[Track]] = {}
    crowds: dict[int, list[Track]] = {}
    for annotation in content['annotations']:
        owner = annotation['image_id' if still else 'video_id']
        segments = [annotation['segmentation']] if still else annotation['segmentations']
        if annotation['category_id'] not in index:
            raise ConfigError(
                f'an annotation has category_id {annotation["category_id"]!r}; expected the id '
                f'of one of the categories')
        crowd = annotation.get('iscrowd')
        if not crowd or everything:
            (crowds if crowd else tracks).setdefault(owner, []).append(Track(
                index[annotation['category_id']], tuple(segments), annotation.get('id')))
    videos = []
    for record in content['images' if still else 'videos']:
        if everything or record['id'] in tracks:
            names = [record['file_name']] if still else record['file_names']
            if not names:
                raise ConfigError(f'video {record["id"]!r} has no frames; expected at least one')
            objects, regions = (tuple(each.get(record['id'], ())) for each in (tracks, crowds))
            for track in (*objects, *regions):
                if len(track.segments) != len(names):
                    raise ConfigError(
                        f'video {record["id"]!r} has {len(names)} frames, but one of its '
                        f'annotations {len(track.segments)} segmentations; expected as many')
            videos.append(Video(
                record['id'], tuple(root / name for name in names), record['height'],
                record['width'], objects, still, regions))
    return tuple(category['name'] for category in categories), videos


def read_sources(sources: tuple[DataSource, ...]) -> tuple[tuple[str, ...], list[list[Video]]]:
    """
    Read all data sets of a training.

    :param sources: at least one.
    :returns: the class names, and the videos of each source.
    :raises ConfigError: when one cannot be read or its categories are not those of the first.
    """
    names: tuple[str, ...] = ()
    videos = []
    for source in sources:
        these, found = read_source(source)
        if names and these != names:
            raise ConfigError(
                f'{source.annotations}: its categories differ from those of '
                f'{sources[0].annotations}; expected the same, in the same order')
        names = these
        videos.append(found)
    return names, videos


class ClipBatches(torch.utils.data.Dataset[tuple[Tensor, ClipTargets]]):
    """
    The batches of one stage, by step.

    :param videos: of each source.
    :param config: the training; seed, augmentation and source weights count.
    :param stage: frames, stride, frame size and clips per step.
    :param stage_index: its position, part of the seed.
    :param preprocessing: mean and std of the network.
    :param rank: number of this process, part of the seed.
    """

    def __init__(
            self, videos: list[list[Video]], config: TrainConfig, stage: Stage,
            stage_index: int, preprocessing: Preprocessing, rank: int = 0) -> None:
        self.videos = videos
        self.config = config
        self.stage = stage
        self.seed = (config.seed, stage_index, rank)
        weights = np.array([source.weight for source in config.data])
        self.shares = weights / weights.sum()
        self.mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
        self.std = torch.tensor(preprocessing.std).view(3, 1, 1)

    def __len__(self) -> int:
        return self.stage.steps

    def __getitem__(self, step: int) -> tuple[Tensor, ClipTargets]:
        """
        Make the batch of a step.

        :param step: 0..steps - 1.
        :returns: pixels (B, T, 3, H, W) float32 normalised, and the targets; the stage's frames
            are the last of the T, what comes before them is their lead.
        """
        random = np.random.default_rng((*self.seed, step))
        count = self.stage.frames + self._lead(step)
        clips = [self._clip(random, count) for _ in range(self.stage.clips)]
        pixels = torch.stack([self._normalise(clip.frames) for clip in clips])
        return pixels, collate([clip.labels for clip in clips], [clip.masks for clip in clips])

    def _normalise(self, frames: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
        return (pixels - self.mean) / self.std

    def _lead(self, step: int) -> int:
        """Draw the lead of a step, for all processes alike: they wait for the slowest."""
        if not self.stage.lead:
            return 0
        return int(np.random.default_rng((*self.seed[:2], step)).integers(self.stage.lead + 1))

    def _clip(self, random: np.random.Generator, count: int) -> Clip:
        clip = self._draw(random, count)
        if self.stage.paste and random.random() < self.stage.paste:
            clip = paste(random, clip, self._draw(random, count))
        if self.stage.twins and random.random() < self.stage.twins:
            clip = add_twins(random, clip)
        return clip

    def _draw(self, random: np.random.Generator, count: int) -> Clip:
        number = random.choice(len(self.videos), p=self.shares)
        videos = self.videos[number]
        video = videos[random.integers(len(videos))]
        indices = [0] * count if video.still else _draw_frames(
            random, len(video.files), count, self.config.data[number].stride or self.stage.stride)
        augmentation = draw_augmentation(
            random, (video.height, video.width), self.stage.frame_size, self.stage.zoom,
            self.stage.colour, rotation_path(random, count) if video.still and count > 1 else None)
        frames, masks = [], []
        picture = None
        for t, index in enumerate(indices):
            if picture is None or not video.still:
                picture = read_picture(video.files[index], video.height, video.width)
            frames.append(augmentation.picture(picture, t))
            masks.append(_frame_masks(video, index, augmentation, t))
        return Clip(
            np.stack(frames), [t.label for t in video.tracks], np.stack(masks, axis=1))


def collate(labels: list[list[int]], masks: list[np.ndarray]) -> ClipTargets:
    """
    Put the objects of B clips into one record.

    :param labels: for each clip the class indices of its objects.
    :param masks: for each clip (n, T, H, W) bool.
    :returns: targets padded to the largest number of objects that are seen at all.
    """
    seen = [np.any(m, axis=(2, 3)) for m in masks]  # (n, T) each
    kept = [np.flatnonzero(np.any(s, axis=1)) for s in seen]
    B, N = len(labels), max(max((len(k) for k in kept), default=0), 1)
    T, H, W = masks[0].shape[1:]
    padded = np.zeros((B, N, T, H, W), dtype=bool)
    classes = np.full((B, N), -1, dtype=np.int64)
    first = np.full((B, N), T, dtype=np.int64)
    for b, objects in enumerate(kept):
        for n, item in enumerate(objects):
            padded[b, n] = masks[b][item]
            classes[b, n] = labels[b][item]
            first[b, n] = seen[b][item].argmax()
    return ClipTargets(
        torch.from_numpy(classes), torch.from_numpy(padded), torch.from_numpy(first))


def _draw_frames(
        random: np.random.Generator, length: int, count: int, stride: int) -> list[int]:
    """Draw frames of a clip in time order, or all backwards; short videos go to and fro."""
    step = int(random.integers(1, stride + 1))
    step = max(1, min(step, (length - 1) // max(count - 1, 1)))
    there_and_back = max(2 * (length - 1), 1)
    starts = length - (count - 1) * step  # so many let the clip end with the video
    start = int(random.integers(starts if starts > 0 else there_and_back))
    indices = [(start + i * step) % there_and_back for i in range(count)]
    indices = [min(i, there_and_back - i) for i in indices]
    return indices[::-1] if random.random() < 0.5 else indices


def read_picture(path: Path, height: int, width: int) -> np.ndarray:
    """
    Read a picture of a data set.

    :param path: of a file in any format that OpenCV reads.
    :param height: in pixels that its masks have.
    :param width: in pixels that its masks have.
    :returns: (H, W, 3) uint8 RGB.
    :raises ConfigError: when it cannot be read, or has another size.
    """
    try:  # cv2.imread would print a warning of its own
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read ({error.strerror})') from error
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if picture is None:
        raise ConfigError(f'{path}: cannot be read as a picture')
    if picture.shape[:2] != (height, width):
        raise ConfigError(
            f'{path}: has {picture.shape[1]}x{picture.shape[0]} pixels; expected '
            f'{width}x{height} as its annotations say')
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _frame_masks(
        video: Video, index: int, augmentation: Augmentation, t: int) -> np.ndarray:
    """Decode the masks of one frame, augmented: (N, H, W) bool."""
    H, W = augmentation.size
    masks = np.zeros((len(video.tracks), H, W), dtype=bool)
    for n, track in enumerate(video.tracks):
        try:
            runs = as_rle(track.segments[index], video.height, video.width)
        except ValueError as error:
            raise ConfigError(
                f'{video.files[index]}: annotation {track.annotation_id!r}: {error}') from error
        if runs is not None:
            rows, columns = runs['size']
            if (rows, columns) != (video.height, video.width):
                raise ConfigError(
                    f'{video.files[index]}: one of its masks has {columns}x{rows} pixels; '
                    f'expected {video.width}x{video.height}')
            masks[n] = augmentation.mask(coco_mask.decode(runs), t)
    return masks
