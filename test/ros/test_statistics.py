"""Counters and windows, on a clock that the test sets."""

import math

from videomt_ros.ros.drops import Drop
from videomt_ros.ros.statistics import Statistics


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_new_camera():
    state = Statistics(Clock()).snapshot()
    assert (state.received, state.answered, state.tracks, state.epoch) == (0,) * 4
    assert state.input_rate == state.output_rate == 0
    assert all(math.isnan(age) for age in state.age_ms)
    assert state.failing is None and state.last_reset is None


def test_rates_ages_and_stages():
    clock = Clock()
    statistics = Statistics(clock)
    for number in range(200):  # 20 s at 10 Hz, of which every second image is answered
        statistics.received()
        if number % 2:
            statistics.answered(number, {'network': 40.0, 'masks': number / 10}, 3, 1)
        else:
            statistics.dropped(Drop.NEWER)
        clock.now += 0.1
    state = statistics.snapshot()
    assert (state.received, state.answered, state.dropped) == (200, 100, {Drop.NEWER: 100})
    assert abs(state.input_rate - 10) < 0.2 and abs(state.output_rate - 5) < 0.2
    assert 149 <= state.age_ms[0] <= 151, 'the median of the last 10 s'
    assert 190 <= state.age_ms[1] <= 199
    assert state.stage_ms['network'] == 40.0 and 14.9 <= state.stage_ms['masks'] <= 15.1
    assert state.stage_high_ms['network'] == 40.0 and 19 <= state.stage_high_ms['masks'] <= 19.9
    assert (state.tracks, state.epoch) == (3, 1)
    clock.now += 11
    silent = statistics.snapshot()
    assert silent.input_rate == silent.output_rate == 0 and math.isnan(silent.age_ms[0])
    assert silent.received == 200


def test_rate_of_the_first_seconds():
    clock = Clock()
    statistics = Statistics(clock)
    for _ in range(20):
        statistics.received()
        clock.now += 0.1
    assert abs(statistics.snapshot().input_rate - 10) < 0.2


def test_failures():
    statistics = Statistics(Clock())
    statistics.failed('truncated rgb8')
    statistics.failed('truncated rgb8')
    statistics.failed('zero size')
    state = statistics.snapshot()
    assert state.failed == {'truncated rgb8': 2, 'zero size': 1} and state.failing == 'zero size'
    statistics.answered(1.0, {}, 0, 0)
    assert statistics.snapshot().failing is None
    assert statistics.snapshot().failed == state.failed, 'counted from the start'


def test_reset_forgets_ages_of_another_time():
    clock = Clock()
    statistics = Statistics(clock)
    statistics.answered(1e9, {}, 0, 0)
    statistics.memory_reset('stamp went back by 30.000 s')
    statistics.answered(50.0, {}, 0, 1)
    clock.now += 4
    state = statistics.snapshot()
    assert state.age_ms == (50.0, 50.0)
    assert state.last_reset == ('stamp went back by 30.000 s', 4.0)
