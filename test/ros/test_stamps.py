"""Stamps survive the way through seconds to the nanosecond."""

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from videomt_ros.ros.stamps import nanoseconds, StampScale


@pytest.mark.parametrize('first', [Time(), Time(sec=1_700_000_000, nanosec=123_456_789)])
def test_round_trip(first):
    scale = StampScale(first)
    rng = np.random.default_rng(1)
    for offset in rng.integers(-10 ** 17, 10 ** 15, 500):  # from long before to 11 days after
        total = max(0, nanoseconds(first) + int(offset))
        stamp = Time(sec=total // 10 ** 9, nanosec=total % 10 ** 9)
        if nanoseconds(first) - total < 8 * 10 ** 15:  # 2^53 ns: exact for a hundred days
            assert scale.stamp(scale.seconds(stamp)) == stamp


def test_seconds():
    scale = StampScale(Time(sec=100, nanosec=500_000_000))
    assert scale.seconds(Time(sec=100, nanosec=500_000_000)) == 0
    assert scale.seconds(Time(sec=102)) == 1.5
    assert scale.seconds(Time(sec=99)) == -1.5
    assert scale.stamp(-1.5) == Time(sec=99)
