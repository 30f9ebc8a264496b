"""The objects of a scene: which, where, how large, which colours, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
import colorsys
from dataclasses import dataclass
import math
from pathlib import Path

import numpy as np
from numpy.random import Generator

from .body import Body
from .catalogue import Collider, KINDS, Paint
from .geometry import Array, quaternion_of, rotation_rpy
from .model import load_model, ObjectModel
from .motion import Motion, random_motion
from .physics import bullet
from .stage import load_texture, Stage
from .textures import random_colour, random_texture
from .urdf import body_urdf, Colour, VisualPart


@dataclass(frozen=True)
class Actor:
    """
    One object of a scene.

    :param instance_id: its number, from 1.
    :param class_id: index into KINDS.
    :param body: its body in the physics.
    :param motion: what moves it.
    :param size: (3,) sides of its bounding box in metres.
    :param surface: (N,3) points on its surface in metres, in its own frame.
    """

    instance_id: int
    class_id: int
    body: Body
    motion: Motion
    size: Array
    surface: Array

    @property
    def radius(self) -> float:
        """Tell half the diagonal of its footprint in metres."""
        return float(np.hypot(self.size[0], self.size[1])) / 2


def _livery(rng: Generator, parts: Sequence[VisualPart]) -> tuple[Colour, ...]:
    """Replace each saturated colour by another one, the same for all parts that share it."""
    swaps: dict[Colour, Colour] = {}
    for part in parts:
        _, saturation, value = colorsys.rgb_to_hsv(*part.rgba[:3])
        if saturation > 0.3:
            fresh = random_colour(rng, (0.55, 1.0), (0.45, 1.0))
        else:
            grey = min(1.0, max(0.05, value * float(rng.uniform(0.75, 1.1))))
            fresh = (grey, grey, grey)
        swaps.setdefault(part.rgba, (*fresh, 1.0))
    return tuple(swaps[part.rgba] for part in parts)


def _colours(rng: Generator, paint: Paint, parts: Sequence[VisualPart]) -> tuple[Colour, ...]:
    if paint is Paint.LIVERY and rng.uniform() < 0.8:
        return _livery(rng, parts)
    if paint is Paint.TINT:
        tint = random_colour(rng, (0.0, 0.3), (0.8, 1.0))
    elif paint is Paint.LIVERY:
        return tuple(part.rgba for part in parts)
    else:
        tint = random_colour(rng, (0.1, 0.95), (0.35, 1.0))
    return tuple((r * tint[0], g * tint[1], b * tint[2], 1.0)
                 for r, g, b, _ in (part.rgba for part in parts))


def _spots(rng: Generator, radii: Sequence[float], stage: Stage) -> list[tuple[float, float]]:
    """Find places on the floor that keep the objects apart from each other and from pillars."""
    taken = [(float(x), float(y), float(r)) for (x, y), r in
             zip(stage.pillars, stage.pillar_radii, strict=True)]
    spread = 0.55 * math.sqrt(len(radii)) + 0.3
    spots = []
    for radius in radii:
        for attempt in range(200):
            # The disc grows while no free place is found, so that the search always ends.
            reach = spread * (1.0 + attempt / 60.0)
            distance, angle = reach * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
            x, y = distance * math.cos(angle), distance * math.sin(angle)
            if all(math.hypot(x - a, y - b) > radius + r for a, b, r in taken):
                break
        taken.append((x, y, radius))
        spots.append((float(x), float(y)))
    return spots


def _choose(rng: Generator, fewest: int, most: int) -> list[int]:
    """Draw the classes: a few of them, so that several objects of one class often meet."""
    count = int(rng.integers(fewest, most + 1))
    weights = np.array([kind.weight for kind in KINDS])
    variety = int(rng.integers(2, 6))
    menu = rng.choice(len(KINDS), variety, replace=False, p=weights / weights.sum())
    return [int(number) for number in rng.choice(menu, count)]


def build_cast(client: int, rng: Generator, folder: Path, stage: Stage,
               objects: tuple[int, int]) -> tuple[Actor, ...]:
    """
    Put the objects of a scene in their places.

    :param client: PyBullet's client number.
    :param rng: source of chance.
    :param folder: where the files are put that PyBullet reads.
    :param stage: the surroundings.
    :param objects: fewest and most objects.
    :returns: the objects, in the order of their numbers.
    """
    pb = bullet()
    classes = _choose(rng, *objects)
    models: list[ObjectModel] = [load_model(KINDS[number]) for number in classes]
    scales = [float(rng.uniform(*model.kind.size)) / float(model.extent.max()) for model in models]
    radii = [float(np.hypot(model.extent[0], model.extent[1])) * scale / 2
             for model, scale in zip(models, scales, strict=True)]
    actors = []
    for number, (class_id, model, scale, (x, y)) in enumerate(
            zip(classes, models, scales, _spots(rng, radii, stage), strict=True)):
        kind = model.kind
        dressed = kind.paint is Paint.DRESSED and rng.uniform() < 0.6
        colours = (tuple((1.0, 1.0, 1.0, 1.0) for _ in model.parts) if dressed
                   else _colours(rng, kind.paint, model.parts))
        size = model.extent * scale
        path = folder / f'object_{number}.urdf'
        path.write_text(body_urdf(model.parts, model.centre, model.extent, kind.collider, scale,
                                  colours))
        upright = quaternion_of(rotation_rpy(0.0, 0.0, float(rng.uniform(0, 2 * math.pi))))
        tumbled = quaternion_of(rotation_rpy(*(float(a) for a in rng.uniform(0, 2 * math.pi, 3))))
        position = (x, y, float(size[2]) / 2 + 0.005)
        body = Body(client, pb.loadURDF(str(path), position, upright, physicsClientId=client))
        pb.changeDynamics(
            body.number, -1, lateralFriction=float(rng.uniform(0.15, 0.6)),
            restitution=float(rng.uniform(0.1, 0.6)), rollingFriction=0.01, spinningFriction=0.01,
            angularDamping=0.3, physicsClientId=client)
        if dressed:
            pb.changeVisualShape(body.number, -1, physicsClientId=client,
                                 textureUniqueId=load_texture(client, folder, random_texture(rng)))
        falls = tumbled if kind.collider is not Collider.TABLE and not kind.vehicle else upright
        motion = random_motion(rng, kind.vehicle, kind.collider is Collider.SPHERE, position,
                               falls)
        actors.append(Actor(number + 1, class_id, body, motion, size, model.surface * scale))
    return tuple(actors)
