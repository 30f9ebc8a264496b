import numpy as np
import pytest
from videomt_ros.training.sim import textures
from videomt_ros.training.sim.textures import random_sky, random_texture


@pytest.mark.parametrize('maker', textures._MAKERS, ids=lambda maker: maker.__name__)
def test_each_texture_is_a_colour_picture(maker):
    picture = maker(np.random.default_rng(1), 128)
    assert picture.shape == (128, 128, 3)
    assert np.isfinite(picture).all()
    assert -0.5 < picture.min() < picture.max() < 1.6


def test_textures_are_drawn_by_the_seed():
    first, again, other = (random_texture(np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first.dtype == np.uint8
    assert first.shape == (256, 256, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_smooth_textures_are_periodic():
    picture = textures._marble(np.random.default_rng(3), 256)
    inner = np.abs(np.diff(picture, axis=1)).max()
    seam = np.abs(picture[:, 0] - picture[:, -1]).max()
    assert seam <= 1.5 * inner


def test_the_sky_closes_on_itself():
    sky = random_sky(np.random.default_rng(2)).astype(int)
    assert sky.shape == (128, 512, 3)
    assert np.abs(sky[:, 0] - sky[:, -1]).max() <= 1.5 * np.abs(np.diff(sky, axis=1)).max() + 2
