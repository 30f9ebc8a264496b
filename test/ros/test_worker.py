"""The worker thread: newest image first, batches, errors once per cause, and a quick end."""

import threading
import time

from builtin_interfaces.msg import Time
from harness import header, image_of
from sensor_msgs.msg import Image
from videomt_ros.ros.drops import Drop
from videomt_ros.ros.parameters import Settings
from videomt_ros.ros.scene import Scene
from videomt_ros.ros.stamps import nanoseconds
from worker_bench import Bench


def stamps(camera):
    return [answer.result.stamp for answer in camera.answers]


def test_the_newest_image_wins_and_the_others_are_counted(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    started = time.perf_counter()
    bench.offer(bench.front, 0.1, 0.2, 0.3, 0.4)  # while the network runs
    assert time.perf_counter() - started < 1, 'handing over waits for nothing'
    bench.run(2)
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0.0, 0.4]
    assert [a.result.skipped for a in bench.front.answers] == [0, 3]
    state = bench.front.statistics.snapshot()
    assert (state.received, state.answered, state.dropped) == (5, 2, {Drop.NEWER: 3})
    bench.offer(bench.front, 0.5)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 3)
    assert bench.front.answers[-1].result.skipped == 0


def test_a_pause_drops_what_waits_and_what_comes(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bench.worker.pause(True)
    bench.offer(bench.front, 0.2, 0.3)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    bench.worker.pause(False)
    bench.offer(bench.front, 0.4)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0.0, 0.4]
    assert bench.front.answers[1].result.skipped == 3
    assert bench.front.statistics.snapshot().dropped == {Drop.PAUSED: 3}


def test_an_image_that_has_waited_too_long(bench):
    bench.settings = Settings(max_age=1.0)
    now = time.time() - 1_700_000_000.123456789
    bench.offer(bench.front, now)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, now - 0.5)  # young enough, but its turn comes a second later
    bench.offer(bench.rear, now + 10)
    time.sleep(1.0)
    bench.run(2)
    bench.wait(lambda: bench.rear.answers)
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['rear']]
    state = bench.front.statistics.snapshot()
    assert state.dropped == {Drop.MAX_AGE: 1} and 1.5 <= state.late_by < 60
    warning, = bench.log.warnings
    assert warning.startswith('camera front: the newest image was')


def test_an_image_without_a_stamp_has_no_age(bench):
    bench.settings = Settings(max_age=0.5)
    image = image_of(0)
    image.header.stamp = Time()
    bench.worker.offer(bench.front, image)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    assert bench.front.statistics.snapshot().dropped == {}


def test_cameras_that_wait_are_one_batch(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bench.offer(bench.rear, 7.0, 7.1)
    bench.run(2)
    bench.wait(lambda: bench.rear.answers and len(bench.front.answers) == 2)
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['front', 'rear']]
    given = bench.segmenter.batches[1]['rear']
    assert (given.stamp, given.frame_id, given.skipped) == (7.1, 'rear', 1)
    assert given.frame.shape == (96, 128, 3)
    assert bench.rear.answers[0].header == header(7.1, 'rear')


def test_a_result_is_published_while_the_network_is_at_the_next_image(bench):
    publish, gate = bench.front.publish, threading.Event()
    bench.front.publish = lambda *given: gate.wait(10) and publish(*given)
    bench.run(2)
    for number in range(2):
        bench.offer(bench.front, number)
        bench.wait(lambda: len(bench.segmenter.batches) == number + 1)  # noqa: B023
    assert not bench.front.answers
    gate.set()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert stamps(bench.front) == [0, 1]


def test_the_end_waits_for_what_is_published(bench):
    publish = bench.front.publish
    bench.front.publish = lambda *given: time.sleep(0.3) or publish(*given)
    bench.run()
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.worker.stop()
    assert stamps(bench.front) == [0]


def test_reset_comes_before_the_next_image(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.worker.reset(bench.front, 'why')
    bench.offer(bench.front, 0.1)
    bench.run(2)
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.segmenter.resets == [(1, 'front', 'why')]


def test_a_reset_is_not_lost_at_the_end():
    bench = Bench()
    bench.worker.reset(bench.front, 'why')
    bench.worker.stop()
    assert bench.segmenter.resets == [(0, 'front', 'why')]


def test_settings_are_taken_between_two_images(bench):
    for number, score in enumerate((0.5, 0.5, 0.8)):
        if score != bench.settings.start_score:
            bench.settings = Settings(start_score=score, classes=('a',))
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda n=number: len(bench.front.answers) == n + 1)
    assert [(c['start_score'], c['classes']) for c in bench.segmenter.configured] == [
        (0.5, None), (0.8, ('a',))]


def test_end_waits_for_the_image_at_work_alone():
    bench = Bench()
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 1)
    threading.Timer(0.2, bench.run).start()
    bench.worker.stop()
    assert stamps(bench.front) == [0.0]
    assert len(bench.segmenter.batches) == 1


def test_what_waits_is_dropped_when_the_clock_goes_back(bench):
    def on_clock(seconds):
        stamp = header(seconds).stamp
        return stamp.sec * 10 ** 9 + stamp.nanosec

    bench.offer(bench.front, 90)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 99.9)
    bench.offer(bench.rear, 50.1)  # of the new time already
    bench.worker.clock_went_back(on_clock(100), on_clock(50))
    bench.run(2)
    bench.wait(lambda: bench.rear.answers)
    assert bench.segmenter.resets == [(1, 'front', 'the clock went back by 50.000 s')]
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front'], ['rear']]
    assert bench.front.statistics.snapshot().dropped == {Drop.CLOCK: 1}
    bench.offer(bench.front, 50.2)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.front.answers[-1].result.skipped == 1


def test_one_image_through_a_pause(bench):
    assert not bench.worker.process_once([bench.front])
    bench.worker.pause(True)
    assert bench.worker.process_once([bench.front])
    bench.offer(bench.rear, 0)
    bench.offer(bench.front, 0, 1)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    assert stamps(bench.front) == [0.0] and not bench.rear.answers
    assert bench.front.statistics.snapshot().dropped == {Drop.PAUSED: 1}
    bench.worker.process_once([bench.rear])
    bench.worker.pause(True)
    bench.offer(bench.rear, 1)
    assert bench.rear.statistics.snapshot().dropped == {Drop.PAUSED: 2}, 'a new pause'


def test_an_image_is_placed_by_its_own_depth_while_the_next_one_is_in_the_network(
        bench, monkeypatch):
    depths, found = bench.front.locator.depths, []

    def locate(result, header_of_image, *_):
        wanted = nanoseconds(header_of_image.stamp)
        bench.wait(lambda: len(bench.segmenter.batches) == len(found) + 2)
        depth = depths.take(wanted, 0.01)
        found.append((wanted, depth and nanoseconds(depth.header.stamp)))
        return Scene('')

    monkeypatch.setattr(bench.front.locator, 'locate', locate)
    for number in range(1, 5):
        depths.add(Image(header=header(number)))
        bench.offer(bench.front, number)
        bench.wait(lambda n=number: len(bench.segmenter.batches) == n)
        bench.run()
    bench.wait(lambda: len(found) == 3)
    bench.offer(bench.front, 5)  # lets the last one be published
    bench.wait(lambda: len(found) == 4)
    assert found == [(taken, taken) for taken in (
        nanoseconds(header(number).stamp) for number in range(1, 5))]
    bench.segmenter.batches.append({})  # and what is left, at the end
