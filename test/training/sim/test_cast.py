import colorsys

import numpy as np
import pytest
from videomt_ros.training.sim.cast import _colours
from videomt_ros.training.sim.catalogue import Paint
from videomt_ros.training.sim.textures import random_colour
from videomt_ros.training.sim.urdf import VisualPart

SEEDS = 300


def part(red, green, blue):
    return VisualPart('box', '', (1.0, 1.0, 1.0), np.eye(4), (red, green, blue, 1.0))


def hsv(colours):
    """Give hues, saturations and brightnesses of colours."""
    return np.array([colorsys.rgb_to_hsv(*colour[:3]) for colour in colours]).T


def draw(paint, *parts):
    """Give the colours of each part for many seeds."""
    return list(zip(*(_colours(np.random.default_rng(seed), paint, parts)
                      for seed in range(SEEDS)), strict=True))


def assert_every_hue(hue):
    counts, _ = np.histogram(hue, 6, (0.0, 1.0))
    assert counts.min() > 0.5 * len(hue) / 6


def test_colours_are_spread_over_hue_saturation_and_brightness():
    hue, saturation, value = hsv([random_colour(np.random.default_rng(seed), (0.2, 0.8))
                                  for seed in range(SEEDS)])
    assert_every_hue(hue)
    assert 0.2 <= saturation.min() < 0.25 and 0.75 < saturation.max() <= 0.8 + 1e-9
    assert 0.15 <= value.min() < 0.2 and 0.95 < value.max() <= 1.0
    assert saturation.std() > 0.15 and value.std() > 0.2


# Saturation and brightness of a white part; a tint stays light, as it lies over a texture.
@pytest.mark.parametrize(('paint', 'saturations', 'values'), [
    (Paint.FREE, (0.1, 0.95), (0.35, 1.0)), (Paint.DRESSED, (0.1, 0.95), (0.35, 1.0)),
    (Paint.TINT, (0.0, 0.3), (0.8, 1.0))])
def test_objects_are_painted_in_every_hue(paint, saturations, values):
    colours, again = draw(paint, part(1.0, 1.0, 1.0), part(1.0, 1.0, 1.0))
    assert colours == again  # one paint for all of an object
    assert {colour[3] for colour in colours} == {1.0}
    hue, saturation, value = hsv(colours)
    assert_every_hue(hue)
    for drawn, (low, high) in ((saturation, saturations), (value, values)):
        assert low - 1e-9 <= drawn.min() < drawn.max() <= high + 1e-9
        assert drawn.std() > 0.25 * (high - low)


def test_liveries_change_saturated_colours_and_keep_greys_grey():
    red, same, grey = draw(
        Paint.LIVERY, part(0.9, 0.1, 0.1), part(0.9, 0.1, 0.1), part(0.6, 0.6, 0.6))
    assert red == same
    kept = [colour == (0.9, 0.1, 0.1, 1.0) for colour in red]
    assert np.mean(kept) == pytest.approx(0.2, abs=0.06)  # some keep the livery of the file
    hue, saturation, value = hsv([colour for colour, old in zip(red, kept, strict=True)
                                  if not old])
    assert_every_hue(hue)
    assert saturation.min() > 0.5 and value.min() > 0.4
    _, saturation, value = hsv(grey)
    assert not saturation.any()
    assert value.std() > 0.03
