"""A data set is read with its ids, its rate, and the videos in which nothing is."""

import json

import cv2
import numpy as np
import pytest
from videomt_ros.training.config import ConfigError
from videomt_ros.training.metrics import encode, read_ground_truth

MASK = np.zeros((4, 6), dtype=bool)
MASK[1:3, 2:5] = True


def document(**changes):
    videos = [{'id': n, 'width': 6, 'height': 4, 'file_names': [f'{n}/{t}.png' for t in range(2)]}
              for n in (7, 3)]
    return {
        'info': {'rate': 5},
        'videos': videos,
        'categories': [{'id': 30, 'name': 'cat'}, {'id': 10, 'name': 'ant'}],
        'annotations': [{'id': 1, 'video_id': 3, 'category_id': 30, 'iscrowd': 0,
                         'segmentations': [None, encode(MASK)]}], **changes}


def write(folder, content):
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder


def test_a_folder(tmp_path):
    truth = read_ground_truth(write(tmp_path, document()))
    assert truth.class_names == ('ant', 'cat') and truth.category_ids == (10, 30)
    assert truth.fps == 5 and truth.path == tmp_path / 'annotations.json'
    empty, video = truth.videos
    assert (empty.video_id, empty.tracks, len(empty.files)) == (7, (), 2)
    assert (video.video_id, video.height, video.width) == (3, 4, 6)
    assert video.files == (tmp_path / '3/0.png', tmp_path / '3/1.png')
    track, = video.tracks
    assert (track.class_id, track.score, track.masks) == (1, 1.0, (None, encode(MASK)))


def test_videos_that_begin_with_the_same_frame_have_tracks_of_their_own(tmp_path):
    content = document()
    content['videos'][0]['file_names'] = ['3/0.png']
    content['annotations'].insert(0, {
        'id': 2, 'video_id': 7, 'category_id': 10, 'segmentations': [encode(~MASK)]})
    one, other = read_ground_truth(write(tmp_path, content)).videos
    assert one.files == other.files[:1] == (tmp_path / '3/0.png',)
    assert [(track.class_id, track.masks) for track in one.tracks] == [(0, (encode(~MASK),))]
    assert [(track.class_id, track.masks) for track in other.tracks] == [(1, (None, encode(MASK)))]
    del content['annotations'][0]
    one, other = read_ground_truth(write(tmp_path, content)).videos
    assert (len(one.tracks), len(other.tracks)) == (0, 1)


def test_crowds_are_no_objects(tmp_path):
    content = document()
    content['annotations'] += [
        {'id': 5 + n, 'video_id': n, 'category_id': 10, 'iscrowd': 1,
         'segmentations': [encode(~MASK), None]} for n in (3, 7)]
    alone, video = read_ground_truth(write(tmp_path, content)).videos
    assert (len(alone.tracks), len(video.tracks)) == (0, 1)
    for each in (alone, video):
        crowd, = each.crowds
        assert (crowd.class_id, crowd.masks) == (0, (encode(~MASK), None))


def test_a_file_with_frames_elsewhere(tmp_path):
    write(tmp_path, document(info={}))
    truth = read_ground_truth(tmp_path / 'annotations.json', '/frames')
    assert str(truth.videos[1].files[0]) == '/frames/3/0.png'
    assert truth.fps is None


def test_frames_are_read_as_rgb(tmp_path):
    video = read_ground_truth(write(tmp_path, document())).videos[1]
    (tmp_path / '3').mkdir()
    picture = np.random.default_rng(0).integers(0, 256, size=(4, 6, 3), dtype=np.uint8)
    for path in video.files:
        cv2.imwrite(str(path), picture[..., ::-1])
    frames = list(video.frames())
    assert len(frames) == 2
    np.testing.assert_array_equal(frames[0], picture)


def test_a_missing_frame(tmp_path):
    with pytest.raises(ConfigError, match=r'7/0.png: cannot be read \(No such file'):
        list(read_ground_truth(write(tmp_path, document())).videos[0].frames())


def test_a_frame_of_another_size(tmp_path):
    video = read_ground_truth(write(tmp_path, document())).videos[0]
    (tmp_path / '7').mkdir()
    cv2.imwrite(str(video.files[0]), np.zeros((5, 6, 3), dtype=np.uint8))
    with pytest.raises(ConfigError, match='has 6x5 pixels; expected 6x4'):
        list(video.frames())


@pytest.mark.parametrize(('segments', 'message'), [
    ([None], 'annotations 1 segmentations; expected as many'),
    ([None, encode(MASK.T)], 'size 4x6; expected 6x4'),
    ([None, [['a'] * 6]], 'annotation 1: a segmentation is .*; expected run lengths'),
    ([None, {'size': [4, 6], 'counts': [3, 4]}], 'annotation 1: .*expected 24 pixels'),
])
def test_a_track_that_does_not_fit(tmp_path, segments, message):
    content = document()
    content['annotations'][0]['segmentations'] = segments
    with pytest.raises(ValueError, match=f'video 3.*{message}'):
        read_ground_truth(write(tmp_path, content))


def test_what_is_no_data_set(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read as JSON'):
        read_ground_truth(tmp_path)
    content = document(images=[{'id': 1, 'file_name': 'a', 'width': 6, 'height': 4}], annotations=[
        {'id': 1, 'image_id': 1, 'category_id': 10, 'segmentation': encode(MASK)}])
    del content['videos']
    with pytest.raises(ValueError, match='has images and no videos'):
        read_ground_truth(write(tmp_path, content))
    content = document()
    content['videos'][0]['file_names'] = []
    with pytest.raises(ValueError, match='video 7 has no frames'):
        read_ground_truth(write(tmp_path, content))
    content['annotations'][0].update(video_id=7, segmentations=[])
    with pytest.raises(ValueError, match='annotations.json: video 7 has no frames'):
        read_ground_truth(write(tmp_path, content))
    content = document()
    content['videos'][0]['id'] = 3
    with pytest.raises(ValueError, match='annotations.json: several videos have the same id'):
        read_ground_truth(write(tmp_path, content))
