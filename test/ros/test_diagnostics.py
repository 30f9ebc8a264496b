"""The level and the sentence of a camera's status, by what has happened to its images."""

from dataclasses import replace

import pytest
from videomt_ros.ros.diagnostics import status_message, unconfigured_message
from videomt_ros.ros.drops import Drop
from videomt_ros.ros.image_input import Complaint
from videomt_ros.ros.statistics import Snapshot, Statistics

OK, WARN, ERROR, STALE = b'\0', b'\1', b'\2', b'\3'
HEALTHY = Snapshot(input_rate=10.0, output_rate=9.5, age_ms=(40.0, 60.0), received=100,
                   answered=98, recent=(100, 2, 0), tracks=3, epoch=1,
                   last_reset=('gap of 7.000 s', 12.4))


class Input:
    """What the status asks of the subscription of a camera."""

    topic, asked = '/image', 'reliable'

    def publishers(self):
        return '/camera (reliable)'

    def lost(self):
        return 0


def status(active=True, complaint=None, paused=False, misplaced=None, **changes):
    return status_message(
        'videomt: camera front', 'weights on cpu', replace(HEALTHY, **changes),
        Input() if active else None, complaint, paused, [('memory of the process [MiB]', '300')],
        ['tracks'], 'none', misplaced)


SILENCE = Complaint('nobody', '/image: nobody publishes sensor_msgs/msg/Image on it')


@pytest.mark.parametrize('situation,level,words', [
    ({}, OK, '9.5 results/s'),
    ({'paused': True}, OK, 'paused by ~/set_enabled'),
    ({'active': False}, STALE, 'not active'),
    ({'complaint': SILENCE}, WARN, 'nobody publishes'),
    ({'late_by': 2.0}, WARN, '2.0 s old at its turn'),
    ({'recent': (100, 40, 0)}, WARN, '40 of the 100 images of the last 10 s were skipped'),
    ({'recent': (100, 10, 0)}, OK, 'results/s'),
    ({'recent': (4, 4, 0)}, OK, 'results/s'),
    ({'recent': (100, 0, 1)}, WARN, '1 of the 100 images of the last 10 s gave no result'),
    ({'failing': 'network: MemoryError'}, ERROR, 'network: MemoryError'),
    # The worst is told.
    ({'failing': 'network: MemoryError', 'complaint': SILENCE, 'late_by': 2.0}, ERROR, 'Memory'),
    ({'complaint': SILENCE, 'recent': (100, 40, 0)}, WARN, 'nobody publishes'),
    ({'active': False, 'failing': 'network: MemoryError'}, STALE, 'not active'),
])
def test_level(situation, level, words):
    told = status(**situation)
    assert told.level == level and words in told.message
    assert told.name == 'videomt: camera front' and told.hardware_id == 'weights on cpu'


def test_values():
    told = status(dropped={Drop.NEWER: 2, Drop.CLOCK: 1}, failed={'zero size': 4},
                  stage_ms={'network': 33.33}, stage_high_ms={'network': 51.0})
    values = {value.key: value.value for value in told.values}
    assert values['images skipped for a newer one'] == '2'
    assert values['images dropped as of before the clock went back'] == '1'
    assert values['images dropped above max_rate'] == '0'
    assert values['images failed: zero size'] == '4'
    assert values['stage network p50 [ms]'] == '33.3'
    assert values['stage network p95 [ms]'] == '51.0'
    assert (values['age p50 [ms]'], values['age p95 [ms]']) == ('40.0', '60.0')
    assert values['last reset'] == '12 s ago: gap of 7.000 s' and values['epoch'] == '1'
    assert values['publishers'] == '/camera (reliable)'
    assert values['memory of the process [MiB]'] == '300'
    assert values['outputs that somebody hears'] == 'tracks'


def test_ages_of_another_clock_are_no_numbers():
    told = status(age_ms=(5e12, float('nan')))
    values = {value.key: value.value for value in told.values}
    assert values['age p50 [ms]'].startswith('unknown') and values['age p95 [ms]'] == 'none'


@pytest.mark.parametrize('failure,level,words', [
    (None, STALE, 'not configured'), ('the network is broken', ERROR, 'configure the node again'),
])
def test_without_cameras(failure, level, words):
    told = unconfigured_message('videomt', failure)
    assert told.level == level and words in told.message


def test_what_was_lately_is_forgotten():
    now = [100.0]
    statistics = Statistics(lambda: now[0])
    for _ in range(6):
        statistics.received()
        statistics.dropped(Drop.NEWER)
        statistics.dropped(Drop.MAX_RATE)
    statistics.failed('zero size')
    statistics.answered(40.0, {}, 0, 0)
    assert statistics.snapshot().recent == (6, 6, 1), 'what max_rate drops is as it was asked for'
    statistics.forget_ages()
    assert statistics.snapshot().age_ms != (40.0, 40.0)
    now[0] += 11
    assert statistics.snapshot().recent == (0, 0, 0)
