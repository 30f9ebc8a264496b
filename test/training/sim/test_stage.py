import numpy as np
from videomt_ros.training.sim.stage import _random_light


def test_light_comes_from_everywhere_in_many_colours_and_strengths():
    lights = [_random_light(np.random.default_rng(seed)) for seed in range(200)]
    x, y, z = np.array([light.direction for light in lights]).T
    sides, _ = np.histogram(np.arctan2(y, x), 8, (-np.pi, np.pi))
    assert sides.min() > 10  # of 25 on the average
    height = np.arctan2(z, np.hypot(x, y))
    assert 0.6 <= height.min() < 0.65
    assert 1.35 < height.max() <= 1.4
    assert height.std() > 0.2
    colours = np.array([light.colour for light in lights])
    assert colours.min() > 0.85
    assert colours.max() == 1.0
    warmth = colours[:, 0] - colours[:, 2]
    assert warmth.min() < -0.1 and warmth.max() > 0.1
    ambient = np.array([light.ambient for light in lights])
    total = ambient + [light.diffuse for light in lights]
    specular = np.array([light.specular for light in lights])
    for drawn, low, high in ((ambient, 0.4, 0.75), (total, 0.95, 1.25), (specular, 0.0, 0.3)):
        assert low <= drawn.min() < drawn.max() <= high
        # Spread over the whole range: an even draw has 0.29 of it.
        assert drawn.std() > 0.25 * (high - low)
    assert 0.4 < np.mean([light.shadow for light in lights]) < 0.6
