"""The node as its users meet it: a process that answers images over DDS."""

import signal
import subprocess
import sys
import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from harness import header, image_of, scene, wait_until
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from videomt_ros.msg import SegmentationMask, Track, TrackArray
from videomt_ros.ros.images import array_to_image, image_to_labels, image_to_rgb
from videomt_ros.ros.messages import label_image, segment_mask, track_mask

RED, BLUE = (32, 16, 32, 32), (0, 64, 48, 16)


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


def by_class(tracks):
    return {track.class_name: track for track in tracks.tracks}


def test_masks_and_tracks(start_node, probe):
    node = start_node(confirm_frames=2)
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    masks = probe.listen(SegmentationMask, 'videomt/mask')
    pictures = {name: probe.listen(Image, f'videomt/{name}')
                for name in ('mask_image', 'class_mask', 'confidence', 'overlay')}
    camera = probe.publisher('image')
    truth = scene(red=RED, blue=BLUE)
    red, blue = truth[..., 0] > 0, truth[..., 2] > 0
    for number in range(4):
        image = array_to_image(truth, header(number / 10))
        answer = probe.ask(camera, image, tracks)
        assert answer.header == image.header
    probe.wait(lambda: all(len(got) == 4 for got in (masks, *pictures.values())), 'all outputs')
    probe.spin(0.3)
    assert len(tracks) == 4, 'each image is answered once'

    assert [a.epoch for a in tracks] == [0] * 4 and [a.skipped for a in tracks] == [0] * 4
    assert (answer.height, answer.width) == truth.shape[:2]
    found = by_class(answer)
    assert set(found) == {'red', 'blue'}
    for track, truly, box in ((found['red'], red, RED), (found['blue'], blue, BLUE)):
        assert track.state == Track.STATE_TRACKED and track.age == 4
        assert (track.box.x_offset, track.box.y_offset, track.box.width, track.box.height) == box
        assert track.score > 0.9
        assert track.first_seen == header(0).stamp and track.last_seen == header(0.3).stamp
        decoded = track_mask(track, answer.height, answer.width)
        assert decoded.sum() == track.area and overlap(decoded, truly) > 0.99
    assert by_class(tracks[0])['red'].state == Track.STATE_NEW
    assert [by_class(each)['red'].track_id for each in tracks] == [found['red'].track_id] * 4

    mask = masks[-1]
    assert mask.header == mask.labels.header == answer.header and mask.task == 'instance'
    labels = label_image(mask)
    assert labels.dtype == np.uint8 and labels.shape == truth.shape[:2]
    assert {s.mask_value for s in mask.segments} == set(np.unique(labels)) - {0}
    for segment in mask.segments:
        track = found[segment.class_name]
        assert (segment.track_id, segment.mask_value, segment.class_id) == (
            track.track_id, track.mask_value, track.class_id)
        decoded = track_mask(track, answer.height, answer.width)
        np.testing.assert_array_equal(labels == segment.mask_value, decoded)
        np.testing.assert_array_equal(segment_mask(mask, segment.track_id), decoded)

    last = {name: got[-1] for name, got in pictures.items()}
    assert all(image.header == answer.header for image in last.values())
    assert {name: image.encoding for name, image in last.items()} == {
        'mask_image': 'mono8', 'class_mask': 'mono8', 'confidence': 'mono8', 'overlay': 'rgb8'}
    np.testing.assert_array_equal(image_to_labels(last['mask_image']), labels)
    classes = image_to_labels(last['class_mask'])
    np.testing.assert_array_equal(classes == found['red'].class_id, labels ==
                                  found['red'].mask_value)
    np.testing.assert_array_equal(classes == 255, labels == 0)
    np.testing.assert_array_equal(image_to_labels(last['confidence']) > 0, labels > 0)
    overlay = image_to_rgb(last['overlay'])
    assert overlay.shape == truth.shape and (overlay != truth).any()
    assert node.stop() == 0


def test_unusable_images_are_told_once(start_node, probe):
    node = start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    diagnostics = probe.listen(DiagnosticArray, '/diagnostics')
    camera = probe.publisher('image')
    probe.ask(camera, image_of(0, red=RED), tracks)

    def bad(seconds, **changes):
        image = image_of(seconds, red=RED)
        for name, value in changes.items():
            setattr(image, name, value)
        return image

    faults = [{'encoding': 'rgb565'}, {'data': bytes(1000)}, {'height': 0, 'width': 0, 'step': 0},
              {'step': 12}]
    for number in range(12):
        camera.publish(bad(0.1 + number / 100, **faults[number % 4]))
        probe.spin(0.05)
    answer = probe.ask(camera, image_of(0.3, red=RED), tracks)
    assert answer.header == header(0.3) and len(tracks) == 2
    assert [track.age for track in answer.tracks] == [2], 'the memory is untouched'
    for text in ("'rgb565' is not supported", 'carries 1000 bytes; expected 36864',
                 'size 0x0 has no pixels', 'step 12; expected at least 384'):
        assert len(node.find(text)) == 1, node.lines
    assert len(node.find('[ERROR]')) == 4

    def values():
        return {value.key: value.value for value in diagnostics[-1].status[0].values}

    # One that was filled before the last answer may still be on its way.
    probe.wait(lambda: diagnostics and values()['images answered'] == '2', 'diagnostics')
    status = diagnostics[-1].status[0]
    assert status.level == b'\1' and status.name == 'videomt: the camera'
    assert '12 of the 14 images of the last 10 s gave no result' in status.message
    assert values()['images failed: encoding rgb565'] == '3'
    assert values()['images received'] == '14'
    assert node.stop() == 0


@pytest.mark.parametrize('numbers', [[signal.SIGINT] * 2, [signal.SIGTERM]])
def test_clean_end(start_node, probe, numbers):
    node = start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    probe.ask(camera, image_of(0, red=RED), tracks)
    for number in numbers:
        camera.publish(image_of(1, red=RED))  # an image is at work when the signal comes
        node.send(number)
    assert node.end() == 0
    assert not node.find('Traceback') and not node.find('[ERROR]')


def test_clean_end_while_it_starts(start):
    node = start('-m', 'videomt_ros.ros.node')
    wait_until(lambda: 'libtorch_cpu' in node.libraries(), 'the loading of torch')
    node.send(signal.SIGINT)
    assert node.end() == 0
    assert not node.lines


@pytest.mark.parametrize('parameters,words', [
    ({'checkpoint': '/no/such/folder'}, ['/no/such/folder']),
    ({'start_score': 7.0}, ['start_score', '7.0', '0.0 to 1.0']),
])
def test_what_cannot_start_says_why_in_a_line(start_node, parameters, words):
    node = start_node(ready=None, **parameters)
    assert node.end() == 1
    assert len(node.lines) == 1, node.lines
    assert all(word in node.lines[0] for word in words)


def test_reset(start_node, probe):
    node = start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    first = probe.ask(camera, image_of(0, red=RED), tracks)
    assert first.epoch == 0 and [track.track_id for track in first.tracks] == [1]

    response = probe.call(Trigger, 'videomt/reset')
    assert response.success and '1 camera' in response.message
    second = probe.ask(camera, image_of(0.1, red=RED), tracks)
    assert second.epoch == 1
    assert [(t.track_id, t.state) for t in second.tracks] == [
        (1, Track.STATE_ENDED), (2, Track.STATE_NEW)]
    ended = second.tracks[0]
    assert (ended.area, ended.mask_value, len(ended.mask_counts)) == (0, 0, 0)
    assert not track_mask(ended, second.height, second.width).any()

    backwards = probe.ask(camera, image_of(-5, red=RED), tracks)  # as a bag that loops
    assert backwards.epoch == 2 and backwards.tracks[-1].track_id == 3
    gap = probe.ask(camera, image_of(60, red=RED), tracks)
    assert gap.epoch == 3
    other = probe.ask(camera, image_of(60.1, frame_id='rear', red=RED), tracks)
    assert other.epoch == 4 and other.header.frame_id == 'rear'
    size = probe.ask(camera, image_of(60.2, frame_id='rear', width=160, red=RED), tracks)
    assert size.epoch == 5 and size.width == 160
    for words in ('epoch 1: reset was asked for', 'epoch 2: stamp went back', 'epoch 3: gap of',
                  'epoch 4: frame_id changed', 'epoch 5: image size changed'):
        node.wait_for(words)


def test_several_cameras(start_node, probe):
    start_node(cameras='[front, rear]')
    names = 'front', 'rear'
    tracks = {name: probe.listen(TrackArray, f'videomt/{name}/tracks') for name in names}
    cameras = {name: probe.publisher(f'{name}/image') for name in names}
    for number in range(3):
        probe.ask(cameras['front'], image_of(number / 10, red=RED), tracks['front'])
        probe.ask(cameras['rear'], image_of(100 + number, 'rear', blue=BLUE, width=160),
                  tracks['rear'])
    assert [[t.class_name for t in a.tracks] for a in tracks['front']] == [['red']] * 3
    assert [[t.class_name for t in a.tracks] for a in tracks['rear']] == [['blue']] * 3
    assert tracks['rear'][-1].tracks[0].age == 3
    # Stamps of one camera that go back leave the other's memory alone.
    assert probe.ask(cameras['front'], image_of(-9, red=RED), tracks['front']).epoch == 1
    assert probe.ask(cameras['rear'], image_of(103, 'rear', blue=BLUE, width=160),
                     tracks['rear']).epoch == 0


@pytest.mark.parametrize('topic', ['image', 'image/compressed'])
def test_compressed_images(start_node, probe, topic):
    start_node(image_transport='compressed')
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher(topic, message_type=CompressedImage)
    data = cv2.imencode('.png', scene(red=RED)[..., ::-1])[1]
    image = CompressedImage(header=header(0), format='png')
    image.data.frombytes(data.tobytes())
    answer = probe.ask(camera, image, tracks)
    assert answer.header == image.header and [t.class_name for t in answer.tracks] == ['red']


def test_nothing_is_imported_that_a_node_needs_not():
    code = ('import sys, videomt_ros.ros.lifecycle; '
            "print([m for m in ('cv_bridge', 'transformers', 'matplotlib', 'scipy') "
            'if m in sys.modules])')
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=True).stdout.strip() == '[]'


def test_slow_discovery_is_no_matter(start_node, probe):
    """A camera that was there before the node is heard as well as one that comes later."""
    early = probe.node.create_publisher(Image, 'image', 1)
    start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    probe.wait(early.get_subscription_count, 'the node')
    probe.spin(0.3)
    probe.ask(early, image_of(0, red=RED), tracks)
    probe.node.destroy_publisher(early)
    time.sleep(0.2)
    late = probe.publisher('image')
    assert probe.ask(late, image_of(0.1, red=RED), tracks).tracks[0].age == 2
