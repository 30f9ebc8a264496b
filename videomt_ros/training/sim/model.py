"""Measures the shape of an object class: how large it is, and points on its surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from .catalogue import Collider, ObjectKind
from .geometry import Array, transform
from .physics import asset_folder, bullet
from .renderer import clip_matrices, shoot
from .urdf import body_urdf, read_parts, VisualPart

_MEASURING_PIXELS = 96
_MEASURING_FOV = 0.35
_SAMPLES = 500


@dataclass(frozen=True)
class ObjectModel:
    """
    The measured shape of a class of objects, upright, in the file's units.

    :param kind: the class.
    :param parts: what is drawn.
    :param centre: (3,) centre of the bounding box in the root frame, which becomes the origin.
    :param extent: (3,) sides of the bounding box.
    :param surface: (N,3) float64 points on the surface, relative to the centre.
    """

    kind: ObjectKind
    parts: tuple[VisualPart, ...]
    centre: Array
    extent: Array
    surface: Array


def _surface_points(client: int, reach: float, centre: Array) -> Array:
    """Look at the only body of a world from all sides and collect the points that are seen."""
    directions = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    directions += [(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    distance = reach / np.sin(_MEASURING_FOV / 2)
    size = _MEASURING_PIXELS
    focal = size / 2 / np.tan(_MEASURING_FOV / 2)
    intrinsics = np.array([[focal, 0, (size - 1) / 2], [0, focal, (size - 1) / 2], [0, 0, 1.0]])
    found = []
    for direction in directions:
        forward = -np.array(direction, float) / np.linalg.norm(direction)
        right = np.cross(forward, (0.0, 0.0, 1.0) if abs(forward[2]) < 0.9 else (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        pose = transform(np.stack([right, np.cross(forward, right), forward], axis=1),
                         centre - forward * distance)
        view, projection = clip_matrices(pose, intrinsics, size, size,
                                         distance - reach, distance + reach)
        shot = shoot(client, view, projection, size, size)
        v, u = np.nonzero(shot.bodies >= 0)
        ray = np.stack([u, v, np.ones_like(u)], axis=1) @ np.linalg.inv(intrinsics).T
        local = ray * shot.depth_of(distance - reach, distance + reach)[v, u, None]
        found.append(local @ pose[:3, :3].T + pose[:3, 3])
    return np.concatenate(found)


@cache
def load_model(kind: ObjectKind) -> ObjectModel:
    """
    Read a class's file and measure its shape by looking at it from fourteen sides.

    :param kind: the class.
    :returns: its model; the same object each time within a process.
    :raises ValueError: when nothing of the file can be seen.
    """
    parts = read_parts(asset_folder() / kind.urdf, kind.up)
    colours = tuple(part.rgba for part in parts)
    origin = np.zeros(3)
    pb = bullet()
    client = pb.connect(pb.DIRECT)
    try:
        with TemporaryDirectory(prefix='videomt_sim_') as folder:
            file = Path(folder) / 'body.urdf'
            file.write_text(body_urdf(parts, origin, np.ones(3), Collider.BOX, 1.0, colours))
            pb.loadURDF(str(file), useFixedBase=True, physicsClientId=client)
            points = _surface_points(client, kind.reach, origin)
            if not len(points):
                raise ValueError(f'{kind.urdf}: nothing to be seen within {kind.reach} of its '
                                 'origin')
            # Once more from near by: the first look only finds where the object is.
            middle = (points.min(0) + points.max(0)) / 2
            near = 0.52 * float(np.linalg.norm(points.max(0) - points.min(0)))
            points = _surface_points(client, near, middle)
    finally:
        pb.disconnect(client)
    low, high = points.min(0), points.max(0)
    centre = (low + high) / 2
    chosen: NDArray[np.int64] = np.random.default_rng(0).permutation(len(points))[:_SAMPLES]
    return ObjectModel(kind, parts, centre, high - low, points[chosen] - centre)
