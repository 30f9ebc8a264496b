"""The page to look at: whole in itself, and shown by a browser as it is meant."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from videomt_ros.tools.bags.errors import DONE, FAILED

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which(
    'google-chrome')


@pytest.fixture
def page(scene, tmp_path, bag):
    """Give the report of a recording of two cameras."""
    drive = scene().camera('/left/image_raw').camera('/right/image_raw', 10, 16).write(
        tmp_path / 'drive')
    assert bag(drive, tmp_path / 'out.mcap', '--html', tmp_path / 'report.html')[0] == DONE
    return tmp_path / 'report.html'


def truth_of(kit, frames=24):
    """Write the truth about the squares, in the layout of YouTube-VIS."""
    pictures = [kit.squares(i) for i in range(frames)]
    coder = pytest.importorskip('pycocotools.mask')

    def masks(channel):
        found = []
        for picture in pictures:
            mask = picture[..., channel] > 0
            code = coder.encode(np.asfortranarray(mask, dtype=np.uint8))
            found.append({'size': code['size'], 'counts': code['counts'].decode()}
                         if mask.any() else None)
        return found
    return {
        'videos': [{'id': 7, 'length': frames, 'height': 96, 'width': 128,
                    'file_names': [f'x/{i}.jpg' for i in range(frames)]}],
        'categories': [{'id': 1, 'name': 'red'}, {'id': 2, 'name': 'green'}],
        'annotations': [
            {'id': 1, 'video_id': 7, 'category_id': 1, 'segmentations': masks(0)},
            {'id': 2, 'video_id': 7, 'category_id': 2, 'segmentations': masks(1)}]}


def test_the_page_is_whole_in_itself(page):
    content = page.read_text('utf8')
    assert content.count('<section class="camera">') == 2
    assert content.count('data:image/jpeg;base64,') == 12 + 10
    for kind in ('timeline', 'scores'):
        assert content.count(f'<svg class="{kind}"') == 2
    outside = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(?!data:)[^"\')\s>]+', content)
    assert not outside and '<script' not in content and 'http' not in content
    assert 'red #' in content and 'green #' in content
    assert re.search(r'<h2>/left/image_raw</h2>\s*<p>24 frames over 2\.30 s, 2 tracks', content)


@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium')
def test_a_browser_shows_it(page, tmp_path):
    common = [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
              f'--user-data-dir={tmp_path}/profile', '--virtual-time-budget=2000']
    dumped = subprocess.run([*common, '--dump-dom', page.as_uri()], capture_output=True, text=True,
                            timeout=120)
    assert dumped.returncode == 0
    assert dumped.stdout.count('<figure>') == 22 and dumped.stdout.count('<polyline') >= 4
    shot = tmp_path / 'shot.png'
    subprocess.run([*common, f'--screenshot={shot}', '--window-size=1000,2200', page.as_uri()],
                   capture_output=True, timeout=120, check=True)
    cv2 = pytest.importorskip('cv2')
    picture = cv2.cvtColor(cv2.imread(str(shot)), cv2.COLOR_BGR2RGB).astype(int)
    assert picture.shape == (2200, 1000, 3)
    page_colour = (picture == 255).all(axis=2).mean()
    # The frames are mostly black, with squares in the colours of their tracks.
    dark = (picture.max(axis=2) < 30).mean()
    assert page_colour > 0.3 and dark > 0.02
    vivid = picture.max(axis=2) - picture.min(axis=2) > 100
    assert vivid.mean() > 0.002


def test_names_do_no_harm(scene, tmp_path, bag):
    drive = scene().camera('/a/image_raw').write(tmp_path / 'x<script>alert(1)</script>')
    assert bag(drive, tmp_path / 'out.mcap', '--html', tmp_path / 'r.html')[0] == DONE
    assert '<script' not in (tmp_path / 'r.html').read_text()


def test_id_switches_where_the_truth_is_known(drive, kit, tmp_path, bag):
    truth = truth_of(kit)
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    # A track ends when its object is gone for a moment, so green gets a new number.
    code, _, _ = bag(drive, tmp_path / 'out.mcap', '--html', tmp_path / 'r.html', '--truth',
                     tmp_path / 'truth.json', '--max-lost', '0.1')
    content = (tmp_path / 'r.html').read_text()
    assert code == DONE
    shown = re.search(r'(\d+) id switches; (\d+) of (\d+) sights', content)
    assert tuple(map(int, shown.groups())) == (1, 40, 40)
    assert re.search(r'<li>1\.20 s: object 2 from #\d+ to #\d+</li>', content)
    assert content.count('<line class="switch"') == 1


def test_polygons_are_a_truth_too(drive, kit, tmp_path, bag):
    truth = truth_of(kit)
    for each, channel in zip(truth['annotations'], (0, 1), strict=True):
        for place, runs in enumerate(each['segmentations']):
            rows, columns = np.nonzero(kit.squares(place)[..., channel])
            if runs is not None:
                left, right = int(columns.min()), int(columns.max()) + 1
                top, middle, bottom = int(rows.min()), int(rows.min()) + 16, int(rows.max()) + 1
                each['segmentations'][place] = [  # two halves, one above the other
                    [left, top, right, top, right, middle, left, middle],
                    [left, middle, right, middle, right, bottom, left, bottom]]
    truth['annotations'][1]['segmentations'][-2:] = [[], [[1, 2, 3, 4]]]  # no polygon
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    code, _, _ = bag(drive, tmp_path / 'out.mcap', '--html', tmp_path / 'r.html', '--truth',
                     tmp_path / 'truth.json', '--max-lost', '0.1')
    assert code == DONE
    shown = re.search(r'(\d+) id switches; (\d+) of (\d+) sights',
                      (tmp_path / 'r.html').read_text())
    assert tuple(map(int, shown.groups())) == (1, 40, 40)


@pytest.fixture
def complaint(drive, kit, tmp_path, bag):
    """Give a function that tells what is said of a truth that was changed."""
    def ask(change=lambda truth: None):
        truth = truth_of(kit)
        change(truth)
        (tmp_path / 'truth.json').write_text(json.dumps(truth))
        code, _, err = bag(drive, tmp_path / 'out.mcap', '--html', tmp_path / 'r.html', '--truth',
                           tmp_path / 'truth.json')
        assert code == FAILED and err.count('\n') == 1
        return err

    return ask


def replace(segment, place=0):
    """Give a change that puts something in the place of a mask."""
    def change(truth):
        truth['annotations'][0]['segmentations'][place] = segment
    return change


@pytest.mark.parametrize(('change', 'sentence'), [
    (lambda truth: truth['annotations'][1]['segmentations'].pop(),
     'annotation 2 has 23 segmentations, but video 7 has 24 frames; expected one for each'),
    (lambda truth: truth['annotations'][0].update(segmentations={'0': None}),
     'is no truth in the layout of YouTube-VIS'),
    (lambda truth: truth['videos'][0].update(file_names=[5] * 24),
     'is no truth in the layout of YouTube-VIS'),
    *((replace(segment, 3), f'annotation 1 has {shown} in frame 3; expected run lengths (size '
       'and counts), polygons or null') for segment, shown in (
        ('here', 'here'), (5, '5'), ([1, 2, 3, 4, 5, 6], '[1, 2, 3, 4, 5, 6]'),
        ([[1, 2, 3, 4, 5, 1e12]], '[[1, 2, 3, 4, 5, 1000000000000.0]]'),
        ([[1, 2, 3, 4, 5, float('nan')]], '[[1, 2, 3, 4, 5, nan]]'),
        ({'counts': [96 * 128]}, "{'counts': [12288]}"),
        ({'size': [96], 'counts': [96]}, "{'size': [96], 'counts': [96]}"),
        ({'size': [96, 128], 'counts': [7]}, "{'size': [96, 128], 'counts': [7]}"),
        ({'size': [4, 4], 'counts': [-1, 17]}, "{'size': [4, 4], 'counts': [-1, 17]}"),
        ({'size': [4, 4], 'counts': 8}, "{'size': [4, 4], 'counts': 8}")))])
def test_a_truth_of_another_layout_is_told_before_the_work(
        complaint, tmp_path, monkeypatch, change, sentence):
    monkeypatch.setattr('videomt_ros.tools.bags.single.Pipeline', None)
    err = complaint(change)
    assert sentence in err
    assert f'{tmp_path}/truth.json' in err


def test_a_truth_that_takes_pycocotools_says_so_before_the_work(complaint, monkeypatch):
    monkeypatch.setattr('videomt_ros.tools.bags.single.Pipeline', None)
    monkeypatch.setitem(sys.modules, 'pycocotools.mask', None)
    assert 'to read them takes pycocotools: pip install pycocotools' in complaint()


@pytest.mark.parametrize(('change', 'sentence'), [
    (replace({'size': [96, 128], 'counts': 'no run lengths'}),
     'annotation 1 has a mask in frame 0 that cannot be read: '),
    (replace({'size': [96, 128], 'counts': '52'}),
     'annotation 1 has a mask in frame 0 that cannot be read: '),
    (lambda truth: truth['videos'][0].update(length=23),
     'video 7 has 23 frames, but 24 of /camera/image_raw were processed; expected as many'),
    (lambda truth: truth.pop('videos'), 'is no truth in the layout of YouTube-VIS'),
    (lambda truth: truth['annotations'][0]['segmentations'][0].update(size=[4, 4]),
     'a mask has 4x4 pixels, but the frame has 128x96')])
def test_a_truth_that_does_not_fit(complaint, tmp_path, change, sentence):
    err = complaint(change)
    assert sentence in err
    assert not (tmp_path / 'out.mcap').exists()
