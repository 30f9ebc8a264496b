"""The journal: parts that are there whole, readers that follow it, and only its own run."""

import threading

import numpy as np
import pytest
import torch
from videomt_ros.perception import TrackState
from videomt_ros.tools.bags.errors import BagError
from videomt_ros.tools.bags.journal import Journal
from videomt_ros.tools.bags.record import FrameRecord, Sighting
from videomt_ros.tools.bags.stages import describe, Stages

RUN = {'recording': 'a', 'options': {'batch': 4}}


def record(index, camera=0, error=None, tracks=1):
    labels = np.arange(6, dtype=np.uint16).reshape(2, 3) * index
    return FrameRecord(
        index, camera, 100 + index, 10 * index, 'eye', error, 2, 3, 1, None, 'instance', labels,
        tuple(Sighting(track, TrackState.TRACKED, 1, 'cup', 0.1 + index / 7, (1, 0, 2, 1), 2, 3, 4,
                       5, 6, np.array([0, 2], np.uint32)) for track in range(1, tracks + 1)))


def snapshot(value):
    return f'"{value}"', {'0': torch.tensor([value]), '1': torch.ones(2, 2, dtype=torch.bool)}


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / 'journal.sqlite', RUN, ('dog', 'cup'))
    yield journal
    journal.close()


def same(one, other):
    fields = {**vars(one), 'labels': one.labels.tolist(), 'sightings': [
        {**vars(each), 'runs': each.runs.tolist()} for each in one.sightings]}
    others = {**vars(other), 'labels': other.labels.tolist(), 'sightings': [
        {**vars(each), 'runs': each.runs.tolist()} for each in other.sightings]}
    return fields == others and one.labels.dtype == other.labels.dtype


def test_what_is_in_it_comes_out(journal, tmp_path):
    records = [record(0, 0), record(1, 1, tracks=2), record(2, 0, 'broken', 0)]
    journal.append(records, 3, snapshot(7))
    journal.complete('the end is missing')
    journal.close()
    again = Journal(tmp_path / 'journal.sqlite', RUN, ('dog', 'cup'))
    assert vars(again.progress) == {
        'next_index': 3, 'time': 102, 'complete': True, 'damage': 'the end is missing'}
    assert all(map(same, again.follow(), records))
    assert [each.index for each in again.follow(0)] == [0, 2]
    assert same(again.frame(1), records[1]) and again.origins() == {0: 0, 1: 10}
    text, tensors = again.snapshot()
    assert text == '"7"' and tensors['0'].tolist() == [7] and tensors['1'].all()
    assert [(frame, row.box, row.area) for frame, row in again.track(1, 2)] == [
        (1, (1, 0, 2, 1), 2)]
    again.close()


def test_a_part_is_there_as_a_whole_or_not_at_all(journal):
    journal.append([record(0)], 1, snapshot(1))
    with pytest.raises(BagError, match='cannot be written'):
        journal.append([record(1), record(0)], 2, snapshot(2))  # 0 is there already
    assert journal.progress.next_index == 1 and journal.snapshot()[0] == '"1"'
    journal.append([record(1)], 2, snapshot(2))
    journal.complete(None)
    assert [each.index for each in journal.follow()] == [0, 1]


def test_readers_follow(journal):
    got = []
    reader = threading.Thread(target=lambda: got.extend(journal.follow()))
    reader.start()
    for start in range(0, 60, 20):
        journal.append([record(i) for i in range(start, start + 20)], start + 20, snapshot(start))
    reader.join(0.2)
    assert reader.is_alive(), 'more may come'
    journal.complete(None)
    reader.join(10)
    assert [each.index for each in got] == list(range(60))


def test_readers_learn_that_nothing_more_comes(journal):
    journal.append([record(0)], 1, snapshot(0))
    reader = journal.follow()
    assert next(reader).index == 0
    journal.fail()
    with pytest.raises(InterruptedError):
        next(reader)


def test_only_the_same_run_goes_on(journal, tmp_path):
    path = tmp_path / 'journal.sqlite'
    Journal(path, dict(RUN), ('dog', 'cup')).close()
    with pytest.raises(BagError, match=r'unfinished work of another run \(other options, weights'):
        Journal(path, {**RUN, 'options': {'batch': 8}, 'weights': 'x'}, ('dog', 'cup'))
    (tmp_path / 'text').write_text('no journal, but long enough to be looked into ' * 9)
    with pytest.raises(BagError, match='is no journal of videomt_bag'):
        Journal(tmp_path / 'text', RUN, ())


def test_the_busiest_stage_is_told_first():
    stages = Stages()
    stages.add('slow')
    stages.add('fast', 2)
    stages.count('slow', 0.5, 'network')
    stages.count('fast', 0.6)
    assert list(stages.each('fast', 'abc')) == ['a', 'b', 'c']
    first, second = stages.report()
    assert (first.name, second.name) == ('slow', 'fast')
    assert first.busy == 0.5 and second.threads == 2 and first.share > second.share
    lines = describe((first, second), 10)
    assert lines[0].startswith('  slow        50.0 ms a frame')
    assert lines[0].endswith('(network 50.0)  <- limits the speed') and 'limits' not in lines[1]
