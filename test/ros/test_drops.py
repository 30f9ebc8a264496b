"""The rate limit, on a clock that the test sets, and what is said of old images."""

import pytest
from videomt_ros.ros.drops import age_complaint, RateLimit


def admitted(arrivals, rate):
    limit = RateLimit()
    return [now for now in arrivals if limit.admits(rate, now)]


def test_no_limit():
    assert admitted([1.0, 1.0, 1.001], 0.0) == [1.0, 1.0, 1.001]


@pytest.mark.parametrize('rate', [1.0, 7.0, 10.0, 25.0])
def test_the_mean_rate_is_kept_with_uneven_images(rate):
    arrivals = [number / 30 + (0.004 if number % 2 else 0.0) for number in range(30 * 20)]
    assert abs(len(admitted(arrivals, rate)) - 20 * rate) <= 2


def test_a_limit_above_the_rate_of_the_camera_drops_nothing():
    arrivals = [number / 30 for number in range(60)]
    assert admitted(arrivals, 40.0) == arrivals


def test_a_pause_saves_up_nothing():
    assert admitted([0.0, 9.0, 9.01, 9.02, 9.03], 10.0) == [0.0, 9.0]


def test_a_higher_rate_acts_at_once():
    limit = RateLimit()
    assert limit.admits(0.01, 0.0) and not limit.admits(0.01, 1.0)
    assert [limit.admits(10.0, now) for now in (1.0, 1.11)] == [False, True]


def test_an_age_of_hours_is_that_of_another_clock():
    assert age_complaint(12.34) == (
        'the newest image was 12.3 s old at its turn and was dropped, see max_age')
    assert 'see use_sim_time' in age_complaint(1.7e9)
