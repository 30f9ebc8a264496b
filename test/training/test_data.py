"""Clips out of YouTube-VIS and COCO files: masks on their objects, the same ones every time."""

import json

import cv2
import numpy as np
from pycocotools import mask as coco_mask
import pytest
import torch
from toy import COLOURS, config, counts, NAMES, polygons, rle, stage, write_pictures, write_videos
from videomt_ros.network import Preprocessing
from videomt_ros.training import data
from videomt_ros.training.config import ConfigError, DataSource
from videomt_ros.training.data import ClipBatches, collate, read_source, read_sources
from videomt_ros.training.run_lengths import as_rle

PLAIN = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def batches(annotations, rank=0, index=0, preprocessing=PLAIN, changes=None, **of_stage):
    """Give the batches of a stage over one source, colours left as they are."""
    settings = config(annotations, **(changes or {}))
    _, found = read_sources(settings.data)
    now = stage(**{'colour': 0.0, **of_stage})
    return ClipBatches(found, settings, now, index, preprocessing, rank)


def same(one, other):
    return torch.equal(one[0], other[0]) and all(
        torch.equal(getattr(one[1], f), getattr(other[1], f))
        for f in ('labels', 'masks', 'first'))


def fits(clips, steps):
    """Give the overlap of each mask with where the colour of its class is to be seen."""
    found = []
    for pixels, targets in (clips[step] for step in range(steps)):
        for b, n in (targets.labels >= 0).nonzero().tolist():
            colour = torch.tensor(COLOURS[targets.labels[b, n]]).view(3, 1, 1)
            for shown, mask in zip(pixels[b], targets.masks[b, n], strict=True):
                painted = (shown - colour).abs().amax(dim=0) < 55
                union = (painted | mask).sum().item()
                if union > 30:
                    found.append((painted & mask).sum().item() / union)
    return np.array(found)


def test_a_youtube_vis_file_gives_classes_by_id_frames_and_tracks(videos):
    names, found = read_source(DataSource(str(videos)))
    assert names == NAMES and len(found) == 3
    video = found[1]
    assert (video.height, video.width, video.still) == (64, 96, False)
    assert [f.relative_to(videos.parent).as_posix() for f in video.files] == [
        f'frames/1/{t}.png' for t in range(6)]
    assert [track.label for track in video.tracks] == [0, 1, 2]
    bar = video.tracks[2].segments
    assert bar[0] is None and bar[3] is None and bar[1] is not None


def test_frames_may_lie_in_another_folder_than_the_annotations(videos, tmp_path):
    copy = tmp_path / 'elsewhere.json'
    copy.write_text(videos.read_text())
    _, found = read_source(DataSource(str(copy), images=str(videos.parent)))
    assert found[0].files[0].is_file()


@pytest.mark.parametrize('encode, tolerance', ((rle, 0), (counts, 0), (polygons, 60)))
def test_coco_files_hold_masks_in_three_ways(tmp_path, encode, tolerance):
    names, found = read_source(DataSource(str(write_pictures(tmp_path, encode))))
    _, reference = read_source(DataSource(str(write_pictures(tmp_path / 'rle', rle))))
    assert names == NAMES and all(video.still and len(video.files) == 1 for video in found)
    for video, other in zip(found, reference, strict=True):
        for track, expected in zip(video.tracks, other.tracks, strict=True):
            mask = coco_mask.decode(as_rle(track.segments[0], 64, 96))
            wanted = coco_mask.decode(as_rle(expected.segments[0], 64, 96))
            assert mask.shape == (64, 96) and wanted.sum() > 150
            assert (mask != wanted).sum() <= tolerance


def test_a_file_with_videos_and_images_is_read_as_videos(videos, tmp_path):
    content = json.loads(videos.read_text())
    both = tmp_path / 'both.json'
    both.write_text(json.dumps({**content, 'images': []}))
    _, found = read_source(DataSource(str(both), images=str(videos.parent)))
    assert len(found) == 3 and not found[0].still


def test_a_video_has_the_id_of_the_file(videos):
    _, found = read_source(DataSource(str(videos)))
    assert [video.video_id for video in found] == [1, 2, 3]
    assert [track.annotation_id for track in found[1].tracks] == [4, 5, 6]


def test_crowds_and_empty_videos_are_given_on_demand(videos, tmp_path):
    def change(content):
        for annotation in content['annotations']:
            annotation['iscrowd'] = int(annotation['id'] in (1, 4, 5, 6))
        content['annotations'][-3:] = []

    path = broken(videos, tmp_path / 'crowds.json', change)
    counts_of = [
        [(video.video_id, len(video.tracks), len(video.crowds)) for video in found]
        for _, found in (read_source(DataSource(str(path)), each) for each in (False, True))]
    assert counts_of == [[(1, 2, 0)], [(1, 2, 1), (2, 0, 3), (3, 0, 0)]]


@pytest.mark.parametrize('everything', (False, True))
def test_crowds_alone_are_no_data_set(videos, tmp_path, everything):
    path = broken(videos, tmp_path / 'crowds.json', lambda c: [
        a.update(iscrowd=1) for a in c['annotations']])
    with pytest.raises(ConfigError, match='no annotated videos'):
        read_source(DataSource(str(path)), everything)


def test_crowds_are_left_out(tmp_path):
    path = write_pictures(tmp_path)
    content = json.loads(path.read_text())
    content['annotations'][1]['iscrowd'] = 1
    path.write_text(json.dumps(content))
    _, found = read_source(DataSource(str(path)))
    assert [len(video.tracks) for video in found] == [1, 2, 2]


@pytest.mark.parametrize('frame_size', ((32, 48), (64, 96), (64, 64), (128, 192)))
@pytest.mark.parametrize('frames', (1, 3))
def test_masks_of_videos_lie_on_their_objects(videos, frame_size, frames):
    clips = batches(videos, frame_size=frame_size, frames=frames, clips=4, stride=2)
    pixels, _ = clips[0]
    assert pixels.shape == (4, frames, 3, *frame_size) and pixels.dtype == torch.float32
    found = fits(clips, 4)
    small = frame_size == (32, 48)
    assert len(found) > 20 * frames
    assert found.mean() > (0.85 if small else 0.97) and found.min() > (0.3 if small else 0.7)


@pytest.mark.parametrize('encode', (rle, polygons))
@pytest.mark.parametrize('frames', (1, 4))
def test_masks_of_pictures_lie_on_their_objects_however_they_turn(tmp_path, encode, frames):
    path = write_pictures(tmp_path, encode)
    found = fits(batches(path, frame_size=(64, 96), frames=frames, clips=4), 4)
    assert len(found) > 20 * frames
    assert found.mean() > (0.97 if encode is rle else 0.87) and found.min() > 0.7


def test_a_picture_becomes_a_clip_by_turning(tmp_path):
    path = write_pictures(tmp_path)
    pixels, targets = batches(path, frame_size=(64, 96), frames=3)[0]
    assert not torch.equal(pixels[0, 0], pixels[0, 1])
    assert not torch.equal(targets.masks[0, 0, 0], targets.masks[0, 0, 2])
    alone, _ = batches(path, frame_size=(64, 96), frames=1, zoom=1.0)[0]
    picture = cv2.imread(str(tmp_path / '0.png'))[..., ::-1]
    shown = alone[:, 0].permute(0, 2, 3, 1).numpy()
    others = [cv2.imread(str(tmp_path / f'{i}.png'))[..., ::-1] for i in (1, 2)]
    for one in shown:  # upright, mirrored or not
        assert any(np.array_equal(one, p[:, ::way]) for p in (picture, *others) for way in (1, -1))


def test_pixels_are_normalised_as_the_network_wants_them(videos):
    raw, _ = batches(videos)[0]
    pixels, _ = batches(
        videos, preprocessing=Preprocessing(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0)))[0]
    for c in range(3):
        torch.testing.assert_close(
            pixels[:, :, c], (raw[:, :, c] - 10 * (c + 1)) / 2 ** (c + 1))


def test_frames_are_drawn_in_order_or_all_backwards_and_at_most_stride_apart():
    random = np.random.default_rng(0)
    steps, starts = set(), set()
    for _ in range(300):
        indices = data._draw_frames(random, 20, 4, 3)
        gaps = set(np.diff(indices).tolist())
        assert len(gaps) == 1 and 0 <= min(indices) and max(indices) <= 19
        steps |= gaps
        starts.add(min(indices))
    assert steps == {-3, -2, -1, 1, 2, 3}
    assert starts == set(range(17)), 'every part of the video is drawn'


@pytest.mark.parametrize('length', (1, 2, 3))
def test_a_video_shorter_than_a_clip_is_shown_to_and_fro(length):
    random = np.random.default_rng(0)
    begun = set()
    for _ in range(50):
        indices = data._draw_frames(random, length, 9, 5)
        assert len(indices) == 9 and set(indices) == set(range(length))
        gaps = np.diff(indices)
        assert (np.abs(gaps) == (length > 1)).all()
        turns = np.flatnonzero(np.diff(gaps)) + 1
        assert {indices[t] for t in turns} <= {0, length - 1}
        begun.add(indices[0])
    assert begun == set(range(length))


def test_a_lead_of_any_length_up_to_the_stages_comes_before_a_clip_on_all_processes(videos):
    counts = [[batches(videos, rank=rank, frames=2, lead=3)[step][0].shape[1]
               for step in range(20)] for rank in (0, 1)]
    assert counts[0] == counts[1] and set(counts[0]) == {2, 3, 4, 5}
    assert batches(videos, frames=2, lead=3)[0][1].masks.shape[2] == counts[0][0]


def test_masks_of_a_clip_with_a_lead_fit(videos):
    found = fits(batches(videos, frame_size=(64, 96), frames=2, lead=9, clips=4), 5)
    assert len(found) > 200 and found.mean() > 0.97 and found.min() > 0.7


def test_a_clip_is_drawn_closer_where_the_video_is_too_short_for_the_stride():
    random = np.random.default_rng(0)
    drawn = [data._draw_frames(random, 7, 4, 5) for _ in range(100)]
    assert {abs(indices[1] - indices[0]) for indices in drawn} == {1, 2}


def test_a_source_may_have_a_stride_of_its_own(videos, monkeypatch):
    strides = []
    draw = data._draw_frames

    def note(random, length, count, stride):
        strides.append(stride)
        return draw(random, length, count, stride)

    monkeypatch.setattr(data, '_draw_frames', note)
    settings = config(videos, data=(
        DataSource(str(videos)), DataSource(str(videos), weight=9.0, stride=1)))
    clips = ClipBatches(
        read_sources(settings.data)[1], settings, stage(frames=2, clips=8, stride=3), 0, PLAIN)
    for step in range(10):
        clips[step]
    assert set(strides) == {1, 3} and 60 < strides.count(1) < 80


def test_targets_hold_objects_that_are_seen_and_the_frame_in_which_they_are_first():
    masks = np.zeros((3, 3, 4, 4), dtype=bool)
    masks[0, 1:, 0, 0] = masks[2, 0, 1, 1] = True  # the second object is never seen
    targets = collate([[4, 5, 6], []], [masks, np.zeros((0, 3, 4, 4), dtype=bool)])
    assert targets.labels.tolist() == [[4, 6], [-1, -1]]
    assert targets.first.tolist() == [[1, 0], [3, 3]]
    assert targets.masks.shape == (2, 2, 3, 4, 4)
    assert np.array_equal(targets.masks[0].numpy(), masks[[0, 2]])
    assert not targets.masks[1].any()


def test_clips_without_objects_make_a_batch_too():
    targets = collate([[1]], [np.zeros((1, 2, 4, 4), dtype=bool)])
    assert targets.labels.tolist() == [[-1]] and targets.first.tolist() == [[2]]


def test_a_batch_depends_on_seed_stage_step_and_process_alone(videos):
    one = batches(videos, frames=2)[3]
    later = batches(videos, frames=2)
    later[0], later[1]
    assert same(one, later[3])
    assert not same(one, later[4])
    assert not same(one, batches(videos, frames=2, rank=1)[3])
    assert not same(one, batches(videos, frames=2, index=1)[3])
    assert not same(one, batches(videos, frames=2, changes={'seed': 1})[3])


def test_pasted_objects_lie_where_their_masks_are(videos):
    plain, pasted = (
        batches(videos, frames=3, clips=4, frame_size=(64, 96), zoom=1.0, paste=share)
        for share in (0.0, 1.0))
    assert len(plain[0][1].labels[0]) <= 3 < len(pasted[0][1].labels[0])
    masks = pasted[0][1].masks
    assert masks.sum(dim=1).max() == 1  # what is pasted in front hides what is behind
    # All is painted in the colour of its class, so a mask fits what is of its class.
    shown, found = pasted[0]
    for colour, kind in zip(COLOURS, range(3), strict=True):
        of_kind = (found.masks & (found.labels == kind)[..., None, None, None]).any(dim=1)
        painted = (shown - torch.tensor(colour).view(3, 1, 1)).abs().amax(dim=2) < 55
        assert (painted & of_kind).sum() > 0.9 * (painted | of_kind).sum()


def test_twins_come_as_often_as_the_stage_says(videos):
    plain, twins = (
        batches(videos, frames=2, clips=1, frame_size=(64, 96), zoom=1.0, twins=share)
        for share in (0.0, 0.5))
    more = 0
    for step in range(60):
        (_, alone), (_, found) = plain[step], twins[step]
        if len(found.labels[0]) > len(alone.labels[0]):
            assert set(found.labels[0].tolist()) == set(alone.labels[0].tolist())
            more += 1
    assert 15 < more < 45


def test_half_of_the_clips_can_get_objects(videos):
    clips = batches(videos, clips=1, paste=0.5)
    counts_of = [int((clips[step][1].labels >= 0).sum()) for step in range(60)]
    assert 15 < sum(count > 3 for count in counts_of) < 40


def test_sources_are_drawn_by_their_weights(videos, tmp_path):
    both = config(videos, data=(
        DataSource(str(videos), weight=3.0), DataSource(str(write_pictures(tmp_path)))))
    _, found = read_sources(both.data)
    random = np.random.default_rng(0)
    clips = ClipBatches(found, both, stage(clips=1), 0, PLAIN)
    drawn = [len(clips._clip(random, 1).labels) for _ in range(200)]  # pictures have two objects
    assert 120 < drawn.count(3) < 180


def broken(videos, path, change):
    """Write a copy of the annotations with a mistake in it."""
    content = json.loads(videos.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('change, message', (
    (lambda c: c.pop('categories'), 'expected YouTube-VIS JSON'),
    (lambda c: c.pop('videos'), 'expected YouTube-VIS JSON'),
    (lambda c: c.update(annotations=[]), 'no annotated videos'),
    (lambda c: c.update(annotations=None), 'not laid out as'),
    (lambda c: c['annotations'][0].pop('category_id'), "entries lacks 'category_id'"),
    (lambda c: c['annotations'][0].update(category_id=9), 'category_id 9'),
    (lambda c: c['annotations'][2]['segmentations'].pop(),
     'video 1 has 6 frames, but one of its annotations 5 segmentations'),
    (lambda c: (c['videos'][0].update(file_names=[]), [
        a.update(segmentations=[]) for a in c['annotations'] if a['video_id'] == 1]),
     'video 1 has no frames; expected at least one'),
    (lambda c: c['videos'][0].pop('width'), "entries lacks 'width'"),
    (lambda c: c['annotations'].append(3), 'not laid out as'),
))
def test_a_mistake_in_the_annotations_is_told_in_one_line(videos, tmp_path, change, message):
    path = broken(videos, tmp_path / 'broken.json', change)
    with pytest.raises(ConfigError) as caught:
        read_source(DataSource(str(path)))
    told = str(caught.value)
    assert told.startswith(f'{path}: ') and message in told and '\n' not in told


@pytest.mark.parametrize('content', (None, b'', b'{', b'[1, 2]', b'7', b'\xff\xfe'))
def test_a_file_that_is_no_annotations_is_told_in_one_line(tmp_path, content):
    path = tmp_path / 'file.json'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_source(DataSource(str(path)))
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)


def test_sources_of_other_categories_are_refused(videos, tmp_path):
    other = broken(videos, tmp_path / 'o.json', lambda c: c['categories'][0].update(name='ball'))
    with pytest.raises(ConfigError, match='o.json: its categories differ from those of'):
        read_sources((DataSource(str(videos)), DataSource(str(other))))


@pytest.mark.parametrize('damage, message', (
    (lambda f: f.unlink(), 'No such file'), (lambda f: f.write_bytes(b''), 'as a picture'),
    (lambda f: f.write_bytes(b'no picture'), 'as a picture'),
    (lambda f: cv2.imwrite(str(f), np.zeros((30, 40, 3), np.uint8)),
     'has 40x30 pixels; expected 96x64'),
))
def test_a_picture_that_cannot_be_used_is_named(tmp_path, capfd, damage, message):
    clips = batches(write_videos(tmp_path, videos=1, frames=1))
    damage(tmp_path / 'frames/0/0.png')
    with pytest.raises(ConfigError, match=message) as caught:
        clips[0]
    assert str(caught.value).startswith(f'{tmp_path / "frames/0/0.png"}: ')
    assert capfd.readouterr() == ('', '')


def test_a_mask_of_another_size_than_its_frame_is_refused(videos, tmp_path):
    small = rle(np.ones((32, 48), np.uint8))
    path = broken(videos, tmp_path / 'b.json', lambda c: [
        a.update(segmentations=[small] * 6) for a in c['annotations']])
    clips = batches(path, changes={'data': (DataSource(str(path), str(videos.parent)),)})
    with pytest.raises(ConfigError, match=r'\.png: one of its masks has 48x32 pixels'):
        clips[0]
