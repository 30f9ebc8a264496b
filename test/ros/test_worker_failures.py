"""What goes wrong with one image costs no other, and is told once."""

import time

from harness import image_of
from videomt_ros.ros.parameters import Settings


def test_images_skipped_before_a_bad_one_are_reported_with_the_next_answer(bench):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bench.offer(bench.front, 0.1)
    bad = image_of(0.2)
    bad.encoding = 'secret'
    bench.worker.offer(bench.front, bad)
    bench.run()
    bench.wait(lambda: bench.front.statistics.snapshot().failed)
    bench.offer(bench.front, 0.3)
    bench.run()
    bench.wait(lambda: len(bench.front.answers) == 2)
    assert bench.front.answers[-1].result.skipped == 1


def test_a_bad_image_of_one_camera_is_no_matter_to_another(bench):
    bench.offer(bench.rear, 0)
    bench.wait(lambda: bench.segmenter.batches)
    bad = image_of(0)
    bad.data = bytes(7)
    bench.worker.offer(bench.front, bad)
    bench.offer(bench.rear, 0.1)
    bench.run(2)
    bench.wait(lambda: len(bench.rear.answers) == 2)
    assert not bench.front.answers
    error, = bench.log.errors
    assert 'camera front' in error and '7 bytes' in error


def test_a_failing_network_is_told_once_and_forgets(bench):
    bench.segmenter.faults = [RuntimeError('out of memory')] * 3
    for number in range(3):
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda n=number: bench.front.statistics.snapshot().failed.get(
            'network: RuntimeError') == n + 1)
    error, = bench.log.errors
    assert 'out of memory' in error and 'Traceback' in error
    assert bench.segmenter.resets[-1][1:] == ('front', 'the network failed: out of memory')
    assert len(bench.segmenter.resets) == 3
    bench.offer(bench.front, 3)
    bench.run()
    bench.wait(lambda: bench.front.answers)
    assert bench.front.statistics.snapshot().failing is None


def test_a_network_that_fails_too_often_is_given_up(bench):
    bench.settings = Settings(max_failures=3)
    fault = RuntimeError('CUDA out of\nmemory')
    bench.segmenter.faults = [fault, fault]

    def offer(number):
        bench.offer(bench.front, number)
        bench.run()
        bench.wait(lambda: len(bench.segmenter.batches) == number + 1)
        bench.wait(lambda: sum(bench.front.statistics.snapshot().failed.values())
                   + len(bench.front.answers) == number + 1)

    for number in range(3):
        offer(number)
    assert bench.front.answers and bench.worker.broken is None, 'two in a row, then a result'
    bench.segmenter.faults = [fault] * 3
    for number in range(3, 6):
        assert bench.worker.broken is None
        offer(number)
    bench.wait(lambda: bench.worker.broken)
    assert bench.worker.broken == (
        'the network has failed 3 times in a row: CUDA out of memory')
    bench.offer(bench.front, 6)
    time.sleep(0.1)
    assert len(bench.segmenter.batches) == 6


def test_a_result_that_cannot_be_published(bench):
    bench.front.fault = ValueError('no such shape')
    bench.offer(bench.front, 0)
    bench.run()
    bench.wait(lambda: bench.log.errors)
    assert 'could not be published: no such shape' in bench.log.errors[0]
    bench.front.fault = None
    bench.offer(bench.front, 1)
    bench.run()
    bench.wait(lambda: bench.front.answers)


def test_causes_are_remembered_up_to_a_limit(bench):
    for number in range(60):
        bad = image_of(0)
        bad.encoding = f'secret {number}'
        bench.worker.offer(bench.front, bad)
        bench.wait(lambda n=number: sum(
            bench.front.statistics.snapshot().failed.values()) == n + 1)
    assert len(bench.log.errors) == 50
    failed = bench.front.statistics.snapshot().failed
    assert len(failed) == 51 and failed['other'] == 10


def test_a_failure_of_one_camera_is_no_matter_to_another(bench, monkeypatch):
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.segmenter.batches)
    process = bench.segmenter.process_many

    def process_many(frames, failed):
        if 'front' in frames:
            bench.segmenter.batches.append(frames)
            raise MemoryError('front is too large')
        return process(frames, failed)

    monkeypatch.setattr(bench.segmenter, 'process_many', process_many)
    for number in range(1, 4):
        bench.offer(bench.front, number)
        bench.offer(bench.rear, number)
        bench.run(2)
        bench.wait(lambda n=number: len(bench.rear.answers) == n)
    assert bench.front.statistics.snapshot().failed == {'network: MemoryError': 3}
    assert [sorted(batch) for batch in bench.segmenter.batches[1:4]] == [
        ['front', 'rear'], ['front'], ['rear']]
    assert {name for _, name, _ in bench.segmenter.resets} == {'front'}
    assert not bench.rear.statistics.snapshot().failed and bench.worker.broken is None
    assert len(bench.log.errors) == 1


def test_bad_masks_of_one_camera_are_no_second_frame_for_another(bench, monkeypatch):
    process = bench.segmenter.process_many

    def process_many(frames, failed):
        results = process(frames, failed)
        failed['front'] = FloatingPointError('mask logits')
        del results['front']
        return results

    monkeypatch.setattr(bench.segmenter, 'process_many', process_many)
    bench.worker.pause(True)
    bench.worker.process_once([bench.front, bench.rear])
    with bench.worker._change:
        bench.offer(bench.front, 1)
        bench.offer(bench.rear, 1)
    bench.run()
    bench.wait(lambda: bench.rear.answers)
    bench.wait(lambda: bench.segmenter.resets)
    assert [sorted(batch) for batch in bench.segmenter.batches] == [['front', 'rear']]
    assert bench.front.statistics.snapshot().failed == {'network: FloatingPointError': 1}
    assert bench.segmenter.resets == [(1, 'front', 'the network failed: mask logits')]
    assert not bench.front.answers and bench.worker.broken is None


def test_what_nobody_thought_of_is_no_silent_end(bench, monkeypatch):
    def fail(camera, reason):
        raise KeyError('a fault of ours')

    monkeypatch.setattr(bench.segmenter, 'reset', fail)
    bench.worker.reset(bench.front, 'why')
    bench.offer(bench.front, 0)
    bench.wait(lambda: bench.worker.broken)
    assert 'a fault of ours' in bench.worker.broken
    assert 'Traceback' in bench.log.errors[0]
