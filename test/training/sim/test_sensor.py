import numpy as np
import pytest
from videomt_ros.training.sim.sensor import Sensor


def picture():
    columns = np.arange(160, dtype=np.uint8)[None, :, None]
    return np.broadcast_to(columns, (120, 160, 3)).copy()


def test_pictures_are_drawn_by_the_seed_and_keep_what_they_show():
    for seed in range(12):
        first, again = (Sensor(np.random.default_rng(seed), 160, 120).expose(
            picture(), 0.3, 0.5, 200.0) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == (120, 160, 3)
        assert first.dtype == np.uint8
        # A ramp stays a ramp, whatever the colours and the noise.
        means = first.mean((0, 2))
        assert np.corrcoef(means, np.arange(160))[0, 1] > 0.95


def test_turning_smears_along_the_rows_only():
    flat = np.zeros((120, 160, 3), np.uint8)
    flat[:, 80:] = 255  # an upright edge
    widest = 0
    for seed in range(12):
        sensor = Sensor(np.random.default_rng(seed), 160, 120)
        still, turning = (np.diff(sensor.expose(flat, 0.0, rate, 250.0).mean((0, 2)))
                          for rate in (0.0, 1.1))
        widest = max(widest, int((turning > 20).sum() - (still > 20).sum()))
    assert widest >= 2


def expose_by_seed(clean, count=60):
    """Take the same clean picture with a sensor of each seed, at rest."""
    return [Sensor(np.random.default_rng(seed), 160, 120).expose(clean, 0.0, 0.0, 150.0)
            .astype(float) for seed in range(count)]


def test_noise_and_brightness_differ_from_scene_to_scene():
    pictures = expose_by_seed(np.full((120, 160, 3), 90, np.uint8))
    noise = np.sort([(picture - picture.mean((0, 1))).std() for picture in pictures])
    # Most sensors have little noise, some have much; see the strengths that are drawn.
    assert noise[0] < 0.3
    assert noise[-1] == pytest.approx(9.0, abs=1.0)
    assert 0.55 < (noise < 3.1).mean() < 0.85
    assert ((noise > 1.0) & (noise < 3.1)).sum() > 15
    assert (noise > 5.0).sum() > 5
    levels = np.array([picture.mean((0, 1)) for picture in pictures])
    assert (levels.std(0) > 15).all()
    assert (levels[:, 0] - levels[:, 2]).std() > 5  # a cast towards red or blue


def test_noise_differs_from_frame_to_frame():
    flat = np.full((120, 160, 3), 90, np.uint8)
    sensor = Sensor(np.random.default_rng(8), 160, 120)
    one, two = (sensor.expose(flat, 0.0, 0.0, 150.0)[..., 0].astype(float) for _ in range(2))
    assert one.std() > 0.5
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.1


def test_half_of_the_sensors_blur_an_edge_more_or_less():
    edge = np.full((120, 160, 3), 60, np.uint8)
    edge[:, 80:] = 160
    rows = [picture.mean((0, 2)) for picture in expose_by_seed(edge)]
    # The step from one column to the next, as a share of that between the far sides.
    steps = np.array([(row[80] - row[79]) / (row[100:140].mean() - row[20:60].mean())
                      for row in rows])
    sharp = steps > 0.97
    np.testing.assert_allclose(steps[sharp], 1.0, atol=0.02)
    assert 0.3 < sharp.mean() < 0.7
    # A Gaussian of 1 pixel leaves 0.38 of it, one of 0.4 pixels 0.8; the curve bends that.
    soft = steps[~sharp]
    assert 0.3 < soft.min() < 0.5
    assert 0.75 < soft.max() < 0.95
    assert soft.std() > 0.1
