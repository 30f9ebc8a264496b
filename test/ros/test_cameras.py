"""Several cameras of one node: none waits for another, whatever that one does or leaves undone."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from harness import image_of
import numpy as np
from videomt_ros.msg import TrackArray

RED, BLUE = {'red': (32, 16, 32, 32)}, {'blue': (0, 64, 48, 16)}


def test_one_that_stops_and_one_that_babbles_delay_no_other(start_node, probe):
    node = start_node(cameras='[steady, babbling, stopped]', image_timeout=1.0)
    tracks = {name: probe.listen(TrackArray, f'videomt/{name}/tracks', 100)
              for name in ('steady', 'babbling', 'stopped')}
    cameras = {name: probe.publisher(f'{name}/image') for name in tracks}
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics')

    def delays(first, others):
        """Ask for 12 images of the steady camera, one after the other; gives the seconds each."""
        seconds = []
        for number in range(first, first + 12):
            sent = time.monotonic()
            cameras['steady'].publish(image_of(number / 5, **RED))
            while len(tracks['steady']) <= number:
                assert time.monotonic() < sent + 40
                others()
                probe.spin(0.002)
            seconds.append(time.monotonic() - sent)
        return np.median(seconds)

    probe.ask(cameras['stopped'], image_of(0, width=160, **BLUE), tracks['stopped'])
    alone = delays(0, lambda: None)
    babbled = [0]

    def babble():
        # Some have another size, some are broken, some run backwards: a camera gone mad.
        babbled[0] += 1
        image = image_of(babbled[0] % 50, height=96 + 32 * (babbled[0] % 2), **BLUE)
        if babbled[0] % 5 == 0:
            image.step = 1
        cameras['babbling'].publish(image)

    beside = delays(12, babble)
    print(f'{1e3 * alone:.0f} ms alone, {1e3 * beside:.0f} ms beside {babbled[0]} images')
    assert beside < 4 * alone + 0.2
    assert [answer.skipped for answer in tracks['steady']] == [0] * 24
    assert {answer.epoch for answer in tracks['steady']} == {0}
    assert tracks['steady'][-1].tracks[0].age == 24
    assert len(tracks['stopped']) == 1 and len(tracks['babbling']) > 1
    assert tracks['babbling'][-1].epoch > 0

    # The one that has stopped is named, and the others are well.
    text = node.wait_for('/stopped/image: /probe is connected')
    assert 'no image has come for 1 s' in text

    def told():
        """Give the last diagnostics of each camera: its status, and its values by key."""
        status = diagnostics[-1].status if diagnostics else []
        return {each.name.split()[-1]: (each, {value.key: value.value for value in each.values})
                for each in status}

    # Those that were sent before that, or before the broken images, may still be on their way.
    probe.wait(lambda: {'stopped', 'babbling'} <= told().keys()
               and 'no image has come' in told()['stopped'][0].message
               and 'images failed: step rgb8' in told()['babbling'][1],
               'diagnostics that name both cameras')
    (stopped, _), (babbling, values) = told()['stopped'], told()['babbling']
    assert stopped.level == b'\1'
    assert int(values['images failed: step rgb8']) > 0 and babbling.level != b'\0'
    # It comes back as if nothing had been, but for the gap.
    answer = probe.ask(cameras['stopped'], image_of(1, width=160, **BLUE), tracks['stopped'])
    assert (answer.epoch, answer.tracks[0].age) == (0, 2)
    assert node.stop() == 0
