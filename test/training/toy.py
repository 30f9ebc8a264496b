"""Toy data: coloured shapes that move over grey; the colour tells the class, the mask is exact."""

import json

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from videomt_ros.training.config import DataSource, Network, Stage, TrainConfig
from videomt_ros.training.losses import LossWeights

NAMES = ('disc', 'box', 'bar')
COLOURS = ((220, 30, 30), (30, 220, 30), (30, 30, 220))
SIZE = (64, 96)


def shape_mask(kind, x, y, size=SIZE):
    """Draw the shape of a class around a point: (h, w) uint8 of 0 and 1."""
    mask = np.zeros(size, np.uint8)
    if kind == 0:
        cv2.circle(mask, (x, y), 11, 1, -1)
    elif kind == 1:
        cv2.rectangle(mask, (x - 10, y - 9), (x + 9, y + 8), 1, -1)
    else:
        cv2.rectangle(mask, (x - 18, y - 5), (x + 17, y + 4), 1, -1)
    return mask


def paint(masks, kinds, random, size=SIZE):
    """Paint shapes over noisy grey, the last on top; give the picture and what is seen of each."""
    picture = random.integers(100, 120, (*size, 3)).astype(np.uint8)
    seen = []
    for mask, kind in zip(masks, kinds, strict=True):
        picture[mask > 0] = COLOURS[kind]
        seen = [earlier * (1 - mask) for earlier in seen] + [mask]
    return picture, seen


def rle(mask):
    code = coco_mask.encode(np.asfortranarray(mask))
    return {'size': code['size'], 'counts': code['counts'].decode()}


def counts(mask):
    """Give COCO's uncompressed RLE."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return {'size': list(mask.shape), 'counts': runs if flat[0] == 0 else [0, *runs]}


def polygons(mask):
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [(contour.reshape(-1).astype(float) + 0.5).tolist() for contour in contours]


def categories():
    # Not in the order of their ids: the class index follows the ids.
    return [{'id': i + 1, 'name': NAMES[i]} for i in (2, 0, 1)]


def write_videos(folder, videos=3, frames=6, suffix='.png', seed=0):
    """
    Write a data set in YouTube-VIS JSON; gives the path of its annotations.

    Every video has a disc and a box, and a bar that is hidden in frames 0 and 3.
    """
    random = np.random.default_rng(seed)
    records, annotations = [], []
    for v in range(videos):
        (folder / f'frames/{v}').mkdir(parents=True)
        starts = random.integers((20, 16), (76, 48), (3, 2))
        steps = random.integers(-3, 4, (3, 2))
        segments, names = [[], [], []], []
        for t in range(frames):
            points = (starts + t * steps).tolist()
            kinds = [k for k in range(3) if k < 2 or t not in (0, 3)]
            masks = [shape_mask(k, *points[k]) for k in kinds]
            picture, seen = paint(masks, kinds, random)
            for kind in range(3):
                mask = seen[kind] if kind in kinds else None
                segments[kind].append(rle(mask) if mask is not None and mask.any() else None)
            names.append(f'frames/{v}/{t}{suffix}')
            cv2.imwrite(str(folder / names[-1]), picture[..., ::-1])
        records.append({'id': v + 1, 'file_names': names, 'height': SIZE[0], 'width': SIZE[1]})
        for kind in range(3):
            annotations.append({
                'id': 3 * v + kind + 1, 'video_id': v + 1, 'category_id': kind + 1, 'iscrowd': 0,
                'segmentations': segments[kind]})
    return write_json(folder / 'annotations.json', {
        'videos': records, 'annotations': annotations, 'categories': categories()})


def write_pictures(folder, encode=polygons, count=3, seed=0):
    """Write a data set in COCO JSON, one disc and one box a picture; gives its annotations."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    records, annotations = [], []
    for i in range(count):
        x, y = (int(v) for v in random.integers((20, 20), (40, 44)))
        picture, seen = paint([shape_mask(0, x, y), shape_mask(1, 96 - x, 64 - y)], (0, 1), random)
        cv2.imwrite(str(folder / f'{i}.png'), picture[..., ::-1])
        records.append({
            'id': 10 + i, 'file_name': f'{i}.png', 'height': SIZE[0], 'width': SIZE[1]})
        for kind in range(2):
            annotations.append({
                'id': 2 * i + kind, 'image_id': 10 + i, 'category_id': kind + 1, 'iscrowd': 0,
                'segmentation': encode(seen[kind])})
    return write_json(folder / 'annotations.json', {
        'images': records, 'annotations': annotations, 'categories': categories()})


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def stage(name='frame', **changes):
    return Stage(**{
        'name': name, 'steps': 6, 'frame_size': (32, 48), 'clips': 2, 'frames': 1, 'lr': 1e-3,
        'layer_decay': 1.0, 'warmup': 2, 'encoder_frozen': 0, 'encoder_warmup': 2, **changes})


def config(annotations, output='', stages=None, **changes):
    """Make the configuration of a training that takes seconds."""
    return TrainConfig(**{
        'output': str(output or 'unused'), 'data': (DataSource(str(annotations)),),
        'stages': stages or (stage(),), 'loss': LossWeights(num_points=64), 'device': 'cpu',
        'network': Network(
            hidden_size=32, num_layers=3, patch_size=8, num_registers=1, num_queries=5,
            num_query_blocks=2, num_upscale_blocks=1), **changes})
