"""Procedural textures for floors, walls and blocks, as periodic pictures."""

from __future__ import annotations

from collections.abc import Callable
import colorsys

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
_Grey = NDArray[np.float32]
_Colour = NDArray[np.float32]


def random_colour(rng: Generator, saturation: tuple[float, float] = (0.0, 1.0),
                  value: tuple[float, float] = (0.15, 1.0)) -> tuple[float, float, float]:
    """
    Draw a colour.

    :param rng: source of chance.
    :param saturation: range of the saturation, within 0..1.
    :param value: range of the brightness, within 0..1.
    :returns: RGB, each 0..1.
    """
    return colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))


def _palette(rng: Generator) -> tuple[_Colour, _Colour]:
    """Draw two colours, mostly muted ones, that differ in brightness."""
    saturation = (0.0, 0.35) if rng.uniform() < 0.65 else (0.3, 0.9)
    first = np.array(random_colour(rng, saturation, (0.25, 0.95)), np.float32)
    if rng.uniform() < 0.5:
        second = np.clip(first * rng.uniform(0.45, 0.85), 0, 1).astype(np.float32)
    else:
        second = np.array(random_colour(rng, saturation, (0.15, 0.95)), np.float32)
    return first, second


def _noise(rng: Generator, size: int, cells: tuple[int, int]) -> _Grey:
    """Make periodic smooth noise in 0..1 with this many cells down and across."""
    grid = rng.uniform(size=cells).astype(np.float32)
    wrapped = np.pad(grid, 2, mode='wrap')
    step_y, step_x = size / cells[0], size / cells[1]
    ys = (np.arange(size, dtype=np.float32) + 0.5) / step_y + 1.5
    xs = (np.arange(size, dtype=np.float32) + 0.5) / step_x + 1.5
    map_x, map_y = np.meshgrid(xs, ys)
    smooth: _Grey = np.asarray(cv2.remap(wrapped, map_x, map_y, cv2.INTER_CUBIC), np.float32)
    return smooth


def _fractal(rng: Generator, size: int, cells: int, octaves: int) -> _Grey:
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = min(cells * 2 ** octave, size)
        total += _noise(rng, size, (count, count)) * 0.5 ** octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _mix(share: _Grey, first: _Colour, second: _Colour) -> _Colour:
    return first + share[..., None] * (second - first)


def _plain(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    return _mix(0.25 * _fractal(rng, size, 3, 3), first, second)


def _checker(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    count = int(rng.choice([2, 4, 6, 8]))
    index = np.arange(size) * count // size
    share = ((index[:, None] + index[None, :]) % 2).astype(np.float32)
    return _mix(share, first, second)


def _tiles(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    count = int(rng.choice([3, 4, 6]))
    place = (np.arange(size) * count / size) % 1.0
    grout = rng.uniform(0.03, 0.08)
    joint = np.minimum(place, 1.0 - place) < grout
    index = np.arange(size) * count // size
    shade = rng.uniform(0.85, 1.1, (count, count)).astype(np.float32)[np.ix_(index, index)]
    picture = np.broadcast_to(first, (size, size, 3)) * shade[..., None]
    picture[joint[:, None] | joint[None, :]] = second
    return picture


def _planks(rng: Generator, size: int) -> _Colour:
    hue = rng.uniform(0.03, 0.12)
    tint = colorsys.hsv_to_rgb(hue, rng.uniform(0.25, 0.7), rng.uniform(0.35, 0.9))
    first = np.array(tint, np.float32)
    count = int(rng.choice([4, 6, 8]))
    grain = _noise(rng, size, (size // 4, 3)) * 0.7 + _noise(rng, size, (size // 2, 6)) * 0.3
    index = np.arange(size) * count // size
    shade = rng.uniform(0.75, 1.1, count).astype(np.float32)[index]
    seam = (np.arange(size) * count / size) % 1.0 < 0.04
    picture = _mix(np.float32(0.4) * grain, first, first * 0.5) * shade[:, None, None]
    picture[seam] *= 0.55
    return picture


def _carpet(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    fine = rng.uniform(size=(size, size)).astype(np.float32)
    return _mix(0.35 * fine + 0.35 * _fractal(rng, size, 4, 3), first, second)


def _marble(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    waves = rng.integers(1, 4, 2)
    axis = np.arange(size) * (2 * np.pi / size)
    phase = waves[0] * axis[:, None] + waves[1] * axis[None, :]
    swirl = np.sin(phase + 6.0 * _fractal(rng, size, 3, 4))
    return _mix((0.5 + 0.5 * swirl).astype(np.float32), first, second)


def _terrazzo(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    picture = np.broadcast_to(first, (size, size, 3)).copy()
    for _ in range(int(rng.integers(60, 160))):
        x, y = rng.integers(0, size, 2)
        axes = rng.integers(2, 9, 2)
        colour = second if rng.uniform() < 0.5 else np.array(random_colour(rng), np.float32)
        cv2.ellipse(picture, (int(x), int(y)), (int(axes[0]), int(axes[1])),
                    float(rng.uniform(0, 180)), 0, 360, [float(c) for c in colour], -1)
    return picture


def _stripes(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    count = int(rng.choice([3, 5, 8, 12]))
    share = ((np.arange(size) * count / size) % 1.0 < rng.uniform(0.2, 0.6)).astype(np.float32)
    full = np.broadcast_to(share[:, None], (size, size))
    return _mix(full.T if rng.uniform() < 0.5 else full, first, second)


def _bricks(rng: Generator, size: int) -> _Colour:
    first, second = _palette(rng)
    rows, columns = 8, 4
    y, x = np.arange(size) * rows / size, np.arange(size) * columns / size
    row = y.astype(int)
    shifted = x[None, :] + 0.5 * (row % 2)[:, None]
    column = shifted.astype(int) % columns
    shade = rng.uniform(0.75, 1.15, (rows, columns)).astype(np.float32)
    picture = np.broadcast_to(first, (size, size, 3)) * shade[row[:, None], column][..., None]
    picture[(y % 1.0 < 0.12)[:, None] | (shifted % 1.0 < 0.05)] = second
    return picture


_MAKERS: tuple[Callable[[Generator, int], _Colour], ...] = (
    _plain, _checker, _tiles, _planks, _carpet, _marble, _terrazzo, _stripes, _bricks)


def random_texture(rng: Generator, size: int = 256) -> Picture:
    """
    Draw a texture: plain, checker, tiles, planks, carpet, marble, terrazzo, stripes or bricks.

    :param rng: source of chance.
    :param size: sides in pixels, a multiple of 8.
    :returns: (size,size,3) uint8, RGB; its opposite edges fit together.
    """
    picture = _MAKERS[int(rng.integers(len(_MAKERS)))](rng, size)
    grain = rng.normal(0.0, rng.uniform(0.0, 0.03), (size, size, 1)).astype(np.float32)
    return np.clip((picture + grain) * 255.0, 0, 255).astype(np.uint8)


def random_sky(rng: Generator, width: int = 512, height: int = 128) -> Picture:
    """
    Draw what lies beyond the walls: a smooth band of colours all around.

    :param rng: source of chance.
    :param width: pixels for the full turn.
    :param height: pixels from straight down to straight up.
    :returns: (height,width,3) uint8, RGB; its left and right edges fit together.
    """
    low, high = _palette(rng)
    clouds = cv2.resize(_fractal(rng, width, 4, 4), (width, height), interpolation=cv2.INTER_AREA)
    slope = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    share = np.clip(slope + rng.uniform(0.0, 0.7) * (clouds - 0.5), 0, 1).astype(np.float32)
    return np.clip(_mix(share, low, high) * 255.0, 0, 255).astype(np.uint8)
