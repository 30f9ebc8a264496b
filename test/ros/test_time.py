"""Time that stands still, starts over, or is missing: new epochs, and never a restart."""

from diagnostic_msgs.msg import DiagnosticArray
from harness import header, image_of
import pytest
from rosgraph_msgs.msg import Clock
from videomt_ros.msg import Track, TrackArray

RED = {'red': (32, 16, 32, 32)}


@pytest.fixture
def diagnostics(probe):
    """Give a function that waits for the next status of every camera: level and values."""
    got = probe.listen(DiagnosticArray, '/diagnostics')

    def read():
        got.clear()
        probe.wait(lambda: len(got) >= 2, 'diagnostics')  # the first may have been on its way
        return {status.name.split()[-1]: (status.level, {v.key: v.value for v in status.values})
                for status in got[-1].status}

    return read


def test_a_clock_that_starts_over_and_stands_still(start_node, probe, diagnostics):
    node = start_node(cameras='[front, rear]', use_sim_time='true')
    tracks = {name: probe.listen(TrackArray, f'videomt/{name}/tracks')
              for name in ('front', 'rear')}
    cameras = {name: probe.publisher(f'{name}/image') for name in tracks}
    clock = probe.publisher('/clock', message_type=Clock)

    def set_clock(seconds):
        clock.publish(Clock(clock=header(seconds).stamp))
        probe.spin(0.3)

    def ask(name, seconds):
        answer = probe.ask(cameras[name], image_of(seconds, **RED), tracks[name])
        assert answer.header.stamp == header(seconds).stamp
        return answer.epoch, [track.track_id for track in answer.tracks
                              if track.state != Track.STATE_ENDED]

    set_clock(100)
    assert ask('front', 100) == (0, [1])
    assert ask('rear', 5000) == (0, [1]), 'stamps that are not of the clock'
    set_clock(130)
    assert ask('front', 104) == (0, [1])
    assert ask('rear', 5001) == (0, [1])
    # The clock of a recording that starts over, before the first image of the new round.
    set_clock(103)
    node.wait_for('The clock went back by 27.000 s')
    assert ask('front', 103.5) == (1, [2]), 'its newest stamp is not before the jump'
    set_clock(103.6)
    assert ask('front', 103.6) == (1, [2])
    set_clock(100)
    assert ask('front', 100.1) == (2, [3])
    node.wait_for('camera front begins epoch 2: the clock went back by 3.600 s')
    assert ask('rear', 5002) == (0, [1]), 'no clock has to do with it'
    # An image of the new round may come before the clock; that is one new epoch, not two.
    set_clock(101)
    assert ask('front', 101) == (2, [3])
    assert ask('front', 99) == (3, [4])
    set_clock(98.9)
    assert ask('front', 99.1) == (3, [4])
    # A pause: neither the rates nor the report stand still with the clock.
    for number in range(5):
        ask('front', 99.2 + number / 100)
    level, values = diagnostics()['front']
    assert level == b'\0' and float(values['input rate [1/s]']) > 0.5
    assert 's ago: stamp went back by 2.000 s' in values['last reset'] and values['epoch'] == '3'
    assert -1000 < float(values['age p95 [ms]']) < 0, 'the stamps are ahead of the clock'
    ask('rear', 5003)
    assert diagnostics()['rear'][1]['age p50 [ms]'].startswith('unknown')
    assert node.stop() == 0


def test_images_without_a_stamp(start_node, probe, diagnostics):
    """A driver leaves it empty: no time is known, but tracks end when their object is gone."""
    start_node(max_lost=0.5, confirm_frames=1)
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')

    def ask(seconds=None, **squares):
        image = image_of(seconds or 0, **squares)
        if seconds is None:
            image.header.stamp.sec = image.header.stamp.nanosec = 0
        return probe.ask(camera, image, tracks)

    first = ask(**RED)
    assert first.header.stamp == first.tracks[0].first_seen
    assert first.header.stamp.sec == 0
    states = [[track.state for track in ask().tracks] for _ in range(8)]
    assert states[0] == [Track.STATE_LOST] and [Track.STATE_ENDED] in states and states[-1] == []
    level, values = diagnostics()['camera']
    assert level == b'\0' and values['age p50 [ms]'].startswith('unknown')
    # Once there are stamps, they are exact.
    answer = ask(1.0, **RED)
    assert answer.epoch == 0 and answer.tracks[0].first_seen == header(1.0).stamp
