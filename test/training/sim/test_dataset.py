from itertools import islice
import json

import cv2
import numpy as np
import pytest
from videomt_ros.training.sim import CLASS_NAMES, SimConfig, Simulation

pytest.importorskip('pybullet')
rle = pytest.importorskip('pycocotools.mask')

from videomt_ros.training.sim.dataset import write_dataset  # noqa: E402

CONFIG = SimConfig(width=160, height=120)
SEEDS = (11, 1_000_005)
FRAMES = 6


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('data')
    assert write_dataset(path, SEEDS, FRAMES, CONFIG, progress=False) == path / 'annotations.json'
    return path


@pytest.fixture(scope='module')
def document(folder):
    return json.loads((folder / 'annotations.json').read_text())


def simulate(seed):
    with Simulation(seed, CONFIG) as simulation:
        return list(islice(simulation, FRAMES))


def test_videos_name_their_frames(folder, document):
    assert [video['seed'] for video in document['videos']] == list(SEEDS)
    for video in document['videos']:
        assert (video['width'], video['height'], video['length']) == (160, 120, FRAMES)
        assert len(video['file_names']) == FRAMES
        assert video['file_names'][3] == f'frames/{video["seed"]:07d}/00003.jpg'
        assert all((folder / name).is_file() for name in video['file_names'])
    assert not list(folder.rglob('*.partial'))


def test_categories_are_the_classes_from_one_on(document):
    assert [c['id'] for c in document['categories']] == list(range(1, len(CLASS_NAMES) + 1))
    assert [c['name'] for c in document['categories']] == list(CLASS_NAMES)


def test_masks_are_those_of_the_scene(document):
    seen = 0
    for video in document['videos']:
        frames = simulate(video['seed'])
        records = [a for a in document['annotations'] if a['video_id'] == video['id']]
        by_number = {record['instance_id']: record for record in records}
        assert len(by_number) == len(records)
        for view in frames[0].objects:
            views = [frame.objects[view.instance_id - 1] for frame in frames]
            if not any(v.present for v in views):
                assert view.instance_id not in by_number
                continue
            record = by_number[view.instance_id]
            assert record['category_id'] == view.class_id + 1
            assert record['iscrowd'] == 0
            for index, (frame, v) in enumerate(zip(frames, views, strict=True)):
                code = record['segmentations'][index]
                assert record['visibilities'][index] == pytest.approx(v.visible, abs=1e-3)
                if not v.present:
                    assert code is record['bboxes'][index] is record['areas'][index] is None
                    continue
                mask = rle.decode(code).astype(bool)
                np.testing.assert_array_equal(mask, frame.ids == v.instance_id)
                rows, columns = np.nonzero(mask)
                assert record['areas'][index] == len(rows)
                assert record['bboxes'][index] == [
                    columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                seen += 1
    assert seen > 20


def test_annotation_numbers_are_unique(document):
    numbers = [annotation['id'] for annotation in document['annotations']]
    assert len(set(numbers)) == len(numbers) > 0


def test_pictures_are_those_of_the_scene_in_the_right_colours(folder, document):
    for video in document['videos']:
        for name, frame in zip(video['file_names'], simulate(video['seed']), strict=True):
            stored = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
            blurred, expected = (cv2.blur(p, (9, 9)).astype(int) for p in (stored, frame.rgb))
            assert np.abs(blurred - expected).mean() < 3
            swapped = np.abs(blurred - expected[..., ::-1]).mean()
            assert np.abs(blurred - expected).mean() < 0.5 * swapped


def test_an_interrupted_run_goes_on(folder, document, tmp_path):
    write_dataset(tmp_path, SEEDS[:1], FRAMES, CONFIG, progress=False)
    frame = next((tmp_path / 'frames').rglob('*.jpg'))
    written = frame.stat().st_mtime_ns
    (tmp_path / 'frames' / f'{SEEDS[1]:07d}.partial').mkdir()  # left behind by the interruption
    write_dataset(tmp_path, SEEDS, FRAMES, CONFIG, progress=False)
    assert frame.stat().st_mtime_ns == written
    assert json.loads((tmp_path / 'annotations.json').read_text()) == document


def test_several_processes_write_the_same(document, tmp_path):
    write_dataset(tmp_path, SEEDS, FRAMES, CONFIG, jobs=2, progress=False)
    assert json.loads((tmp_path / 'annotations.json').read_text()) == document


@pytest.mark.parametrize('wrong', [{'frames': 0}, {'jobs': 0}])
def test_counts_below_one_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} is 0, expected at least 1'):
        write_dataset(tmp_path / 'none', SEEDS, progress=False, **wrong)
    assert not (tmp_path / 'none').exists()


def test_another_kind_of_data_set_is_not_mixed_in(folder):
    before = (folder / 'annotations.json').read_bytes()
    with pytest.raises(ValueError, match='holds another data set'):
        write_dataset(folder, SEEDS, FRAMES + 1, CONFIG, progress=False)
    with pytest.raises(ValueError, match='holds another data set'):
        write_dataset(folder, SEEDS, FRAMES, SimConfig(width=160, height=128), progress=False)
    assert (folder / 'annotations.json').read_bytes() == before


@pytest.mark.parametrize('change', [
    {'info': {'description': 'YouTubeVOS'}}, {'info': None}, {'videos': {}},
    {'videos': [{'id': 1, 'width': 160, 'height': 120, 'length': FRAMES, 'file_names': []}]},
    {'categories': [{'id': 1}]}, {'annotations': None}])
def test_a_foreign_data_set_is_not_mixed_in(document, tmp_path, change):
    path = tmp_path / 'annotations.json'
    before = json.dumps({**document, **change})
    path.write_text(before)
    with pytest.raises(ValueError, match=f'^{path} holds another data set'):
        write_dataset(tmp_path, SEEDS, FRAMES, CONFIG, progress=False)
    path.write_text('[]')
    with pytest.raises(ValueError, match=f'^{path} holds another data set'):
        write_dataset(tmp_path, SEEDS, FRAMES, CONFIG, progress=False)
    assert [each.name for each in tmp_path.iterdir()] == ['annotations.json']


def test_annotations_that_are_no_json_stay(tmp_path):
    path = tmp_path / 'annotations.json'
    path.write_bytes(b'{"videos": [\xff')
    with pytest.raises(ValueError, match=f'^{path} is no JSON in UTF-8 .*; name another folder'):
        write_dataset(tmp_path, SEEDS, FRAMES, CONFIG, progress=False)
    assert path.read_bytes() == b'{"videos": [\xff'
