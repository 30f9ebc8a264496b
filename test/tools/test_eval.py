"""`videomt_eval` from the command line: a network that sees colours, on a data set of squares."""

import json
import pathlib
import shutil
import sys

from builtin_interfaces.msg import Time
import cv2
import numpy as np
import pytest
from recordings import IMAGE, record
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from videomt_ros.tools.eval import main
from videomt_ros.training.metrics import encode

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / 'ros'))
from colour_network import colour_network, COLOURS  # noqa: E402, I100

SIZE, SQUARE = 96, 32
FRAMES = 8
# Class and path of each object; the second video shows nothing, the third what comes back.
VIDEOS = {
    11: [('red', [(0, 0)] * 4 + [(16, 0)] * 4), ('blue', [None] * 3 + [(48, 64)] * 5)],
    12: [],
    13: [('green', [(32, 16)] * 3 + [None] * 2 + [(32, 32)] * 3)],
}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights') / 'colours'
    colour_network(SIZE).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Paint the videos and write what is in them."""
    folder = tmp_path_factory.mktemp('squares')
    names = ['blue', 'green', 'red']  # in another order than the network has them
    videos, annotations = [], []
    for video_id, objects in VIDEOS.items():
        (folder / str(video_id)).mkdir()
        files = [f'{video_id}/{t}.png' for t in range(FRAMES)]
        videos.append({'id': video_id, 'width': SIZE, 'height': SIZE, 'file_names': files})
        pictures = np.full((FRAMES, SIZE, SIZE, 3), 90, dtype=np.uint8)
        for name, path in objects:
            masks = []
            for picture, place in zip(pictures, path, strict=True):
                mask = np.zeros((SIZE, SIZE), dtype=bool)
                if place:
                    x, y = place
                    mask[y:y + SQUARE, x:x + SQUARE] = True
                    picture[mask] = COLOURS[name]
                masks.append(encode(mask) if place else None)
            annotations.append({
                'id': len(annotations) + 1, 'video_id': video_id, 'iscrowd': 0,
                'category_id': names.index(name) + 1, 'segmentations': masks})
        for file, picture in zip(files, pictures, strict=True):
            cv2.imwrite(str(folder / file), picture[..., ::-1])
    (folder / 'annotations.json').write_text(json.dumps({
        'info': {'rate': 10}, 'videos': videos, 'annotations': annotations,
        'categories': [{'id': n, 'name': name} for n, name in enumerate(names, start=1)]}))
    return str(folder)


def run(tmp_path, *arguments):
    """Run the command; gives the report that it writes."""
    path = tmp_path / 'report.json'
    assert main([*arguments, '--json', str(path)]) == 0
    return json.loads(path.read_text())


def assert_perfect(report):
    metrics = report['metrics']
    assert metrics['track_ap'] == pytest.approx(
        {'ap': 1, 'ap50': 1, 'ap75': 1, 'ar1': 1, 'ar10': 1})
    assert metrics['tracking']['class_averaged']['hota'] == pytest.approx(1)
    assert metrics['id_switches']['total'] == 0 and metrics['id_switches']['objects'] == 3
    assert metrics['vc']['16'] is None  # no video is that long
    for value in (metrics['miou'], metrics['vc']['8'], metrics['vpq']['vpq'],
                  metrics['stq']['stq']):
        assert value == pytest.approx(1, abs=0.01)  # corners of squares are round


def test_a_stray_part_of_a_mask_counts_only_where_it_is_wanted(dataset, checkpoint, tmp_path):
    stray = tmp_path / 'stray'
    shutil.copytree(dataset, stray)
    for path in (stray / '11').iterdir():
        picture = cv2.imread(str(path))
        picture[:16, 80:] = COLOURS['red'][::-1]
        cv2.imwrite(str(path), picture)
    words = (str(stray), '--checkpoint', checkpoint, '--mask-parts')
    assert_perfect(run(tmp_path, *words, 'main'))
    found = run(tmp_path, *words, 'all')['metrics']['tracking']['class_averaged']['hota']
    assert found < 0.95


def test_online(dataset, checkpoint, tmp_path, capsys):
    report = run(tmp_path, dataset, '--checkpoint', checkpoint)
    assert_perfect(report)
    assert report['checkpoint'] == checkpoint and report['protocol'] == 'online'
    assert report['start_score'] == 0.5 and report['keep_score'] == 0.3
    assert report['mask_parts'] == 'auto' and report['min_score'] == 0
    assert report['data'] == {
        'path': f'{dataset}/annotations.json', 'videos': 3, 'frames': 24, 'objects': 3, 'fps': 10}
    assert 0 < report['seconds_per_frame'] < 5
    assert set(report['versions']) == {
        'videomt_ros', 'python', 'torch', 'numpy', 'trackeval', 'pycocotools'}
    assert list(report['per_class']) == ['blue', 'green', 'red', 'background']
    table = capsys.readouterr().out
    assert 'AP50 1.000' in table and 'per object in 10 s 0.000' in table
    assert 'background' in table and 'ms a frame' in table


def test_offline_tells_no_object_apart_by_score_alone(dataset, checkpoint, tmp_path):
    report = run(tmp_path, dataset, '--checkpoint', checkpoint, '--protocol', 'offline',
                 '--top-k', '4', '--fps', '5', '--min-score', '0.5')
    # The class of a slot of this network does not depend on what it sees: all are in all videos.
    assert report['top_k'] == 4 and report['data']['fps'] == 5
    assert report['metrics']['track_ap']['ar10'] == pytest.approx(1)
    assert report['metrics']['id_switches']['total'] == 0


def test_predictions_are_saved_and_scored_as_anybodys(dataset, checkpoint, tmp_path, capsys):
    path = str(tmp_path / 'found.json')
    first = run(tmp_path, dataset, '--checkpoint', checkpoint, '--save-predictions', path)
    capsys.readouterr()
    second = run(tmp_path, dataset, '--predictions', path)
    assert second['metrics'] == first['metrics']
    assert second['predictions'] == path and second['seconds_per_frame'] is None
    assert 'checkpoint' not in second and 'ms a frame' not in capsys.readouterr().out
    records = json.loads(pathlib.Path(path).read_text())
    assert {(r['video_id'], r['category_id']) for r in records} == {(11, 3), (11, 1), (13, 2)}
    for each in records:  # what somebody else's file may look like
        each['score'] *= 0.1
    pathlib.Path(path).write_text(json.dumps(records))
    unsure = run(tmp_path, dataset, '--predictions', path)
    assert unsure['min_score'] == 0.3
    unsure = unsure['metrics']
    assert unsure['track_ap']['ap'] == pytest.approx(1)
    assert unsure['tracking']['class_agnostic']['hota'] == 0
    assert run(tmp_path, dataset, '--predictions', path, '--min-score', '0.05')[
        'metrics'] == first['metrics']


def test_the_first_videos_alone(dataset, checkpoint, tmp_path):
    report = run(tmp_path, dataset, '--checkpoint', checkpoint, '--limit', '1')
    assert (report['data']['videos'], report['data']['objects']) == (1, 2)
    assert report['per_class']['green'] == {'vpq': None, 'iou': None}


@pytest.fixture
def recording(dataset, tmp_path):
    """Put the first video into a recording, and its annotations beside it."""
    path = tmp_path / 'drive'
    truth = json.loads(pathlib.Path(dataset, 'annotations.json').read_text())
    truth['videos'] = truth['videos'][:1]
    truth['annotations'] = [a for a in truth['annotations'] if a['video_id'] == 11]
    record(path, [
        image_of(cv2.imread(f'{dataset}/{file}')[..., ::-1], t)
        for t, file in enumerate(truth['videos'][0]['file_names'])])
    (path / 'annotations.json').write_text(json.dumps(truth))
    return path


def image_of(picture, index):
    height, width = picture.shape[:2]
    header = Header(stamp=Time(sec=index // 10, nanosec=index % 10 * 10 ** 8))
    return Image(header=header, height=height, width=width, step=3 * width, encoding='rgb8',
                 data=np.ascontiguousarray(picture).tobytes())


def test_a_recording_with_its_truth(dataset, recording, checkpoint, tmp_path):
    expected = run(tmp_path, dataset, '--checkpoint', checkpoint, '--limit', '1')['metrics']
    assert run(tmp_path, str(recording), '--checkpoint', checkpoint)['metrics'] == expected
    truth = tmp_path / 'elsewhere.json'
    truth.write_text((recording / 'annotations.json').read_text())
    assert run(tmp_path, str(truth), '--checkpoint', checkpoint, '--bag', str(recording),
               '--topic', IMAGE)['metrics'] == expected


def test_a_recording_that_is_not_what_its_truth_says(dataset, recording, checkpoint, capsys):
    def complaint(*arguments):
        assert main([*arguments, '--checkpoint', checkpoint]) == 1
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert 'annotates 3 videos; expected one' in complaint(dataset, '--bag', str(recording))
    assert '/nowhere' in complaint(str(recording), '--topic', '/nowhere')
    path = recording / 'annotations.json'
    truth = json.loads(path.read_text())
    for segmentations in (a['segmentations'] for a in truth['annotations']):
        segmentations.append(None)
    truth['videos'][0]['file_names'].append('11/8.png')
    path.write_text(json.dumps(truth))
    assert 'has 8 images that can be read; expected 9' in complaint(str(recording))


@pytest.mark.parametrize(('arguments', 'message'), [
    (['nowhere'], 'nowhere: cannot be read as JSON'),
    (['{dataset}', '--checkpoint', 'nowhere'], 'nowhere: no such file or folder'),
    (['{dataset}', '--predictions', 'nowhere'], "No such file or directory: 'nowhere'"),
    (['{dataset}', '--checkpoint', '{checkpoint}', '--keep-score', '0.9'],
     'keep_score is 0.9: expected at most start_score'),
    (['{dataset}', '--checkpoint', '{checkpoint}', '--images', '/nowhere'],
     '/nowhere/11/0.png: cannot be read (No such file'),
])
def test_mistakes_are_told_in_one_line(dataset, checkpoint, capsys, arguments, message):
    filled = [word.format(dataset=dataset, checkpoint=checkpoint) for word in arguments]
    assert main(filled) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('videomt_eval: ') and message in error


@pytest.mark.parametrize('arguments', [
    ['--limit', '0'], ['--min-score', '1.5'], ['--fps', '-1'], ['--protocol', 'guess'],
    ['--predictions', 'a', '--checkpoint', 'b']])
def test_bad_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['folder', *arguments])
    assert stop.value.code == 2 and capsys.readouterr().err


def test_what_was_measured_is_told_even_where_it_cannot_be_written(
        dataset, checkpoint, tmp_path, capsys, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(pathlib.Path, 'write_text', full)
    assert main([str(dataset), '--checkpoint', checkpoint, '--limit', '1',
                 '--json', str(tmp_path / 'report.json')]) == 1
    told = capsys.readouterr()
    assert 'HOTA 1.000' in told.out and 'No space left on device' in told.err


def test_a_folder_that_is_missing_is_told_before_the_work(dataset, capsys, monkeypatch):
    monkeypatch.setattr('videomt_ros.tools.eval._evaluate', None)
    for option in ('--json', '--save-predictions'):
        assert main([str(dataset), option, '/nowhere/file.json']) == 1
        assert capsys.readouterr().err == (
            'videomt_eval: /nowhere/file.json: its folder does not exist\n')


@pytest.mark.parametrize(('device', 'message'), [
    ('cuda:99', "device is 'cuda:99'; this PyTorch finds"),
    ('gpu', "device is 'gpu'; expected auto, cpu, cuda, cuda:1")])
def test_a_device_that_is_not_there_is_told(dataset, checkpoint, capsys, device, message):
    assert main([str(dataset), '--checkpoint', checkpoint, '--device', device]) == 1
    assert capsys.readouterr().err.startswith(f'videomt_eval: {message}')
