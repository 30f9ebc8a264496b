import numpy as np
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
