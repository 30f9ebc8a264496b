"""Which topics are cameras, how they are called, and which frames count."""

import pytest
from videomt_ros.tools.bags.cameras import find_cameras, FrameChoice, frames
from videomt_ros.tools.bags.errors import BagError
from videomt_ros.tools.bags.reading import Recording


@pytest.fixture
def named(tmp_path, kit):
    """Give a function that finds the cameras of a scene: names by topic, and what is left out."""
    def find(scene, *asked):
        folder = tmp_path / f'bag{len(list(tmp_path.iterdir()))}'
        with Recording(scene.write(folder)) as recording:
            cameras, left_out = find_cameras(recording, asked)
        return {camera.topic.name: camera.name for camera in cameras}, left_out
    return find


@pytest.mark.parametrize(('topics', 'names'), [
    (['/camera/image_raw'], ['']),
    (['/front/image_raw', '/rear/image_color'], ['front', 'rear']),
    (['/robot/front/image', '/robot/rear/image'], ['robot/front', 'robot/rear']),
    (['/a/image_raw', '/a/image_rect'], ['a/image_raw', 'a/image_rect']),
    (['/image_raw', '/other'], ['image_raw', 'other'])])
def test_names(scene, named, topics, names):
    whole = scene()
    for topic in topics:
        whole.camera(topic, 1)
    assert named(whole) == (dict(zip(topics, names, strict=True)), ())


def test_compressed_cameras_are_called_like_raw_ones(scene, named):
    assert named(scene().compressed_camera('/left/image_raw/compressed', 1).compressed_camera(
        '/right/image_raw/compressed', 1))[0] == {
        '/left/image_raw/compressed': 'left', '/right/image_raw/compressed': 'right'}


def test_a_raw_topic_without_messages_leaves_the_compressed_one(scene, named):
    found, left_out = named(scene().empty('/a/image_raw', 'sensor_msgs/msg/Image')
                            .compressed_camera('/a/image_raw/compressed', 1))
    assert found == {'/a/image_raw/compressed': ''}
    assert left_out == ('/a/image_raw is left out: it has no messages',)


def test_depth_images_are_known_by_name_or_content(scene, named, kit):
    found, left_out = named(
        scene().camera('/a/image_raw', 1).camera('/b/image_raw', 1, encoding='16UC1')
        .compressed_camera('/c/image_raw/compressed', 1, kind='32FC1; compressedDepth png')
        .camera('/d/Depth_registered', 1))
    assert found == {'/a/image_raw': ''}
    assert [line.split(' is left out: ')[0] for line in left_out] == [
        '/b/image_raw', '/c/image_raw/compressed', '/d/Depth_registered']
    assert "'16UC1' is not supported" in left_out[0]
    assert 'is a depth image; expected colour or grey' in left_out[1]


def test_one_broken_image_is_no_reason(scene, named):
    broken = scene().camera('/a/image_raw', 3)
    kind, messages = broken.topics['/a/image_raw']
    messages[0] = (messages[0][0], messages[0][1][:60])
    assert named(broken)[0] == {'/a/image_raw': ''}


def test_topics_that_are_asked_for(scene, named):
    whole = scene().camera('/a/image_raw', 1).camera('/a/depth', 1).texts()
    assert named(whole, '/a/depth', '/a/image_raw', '/a/depth')[0] == {
        '/a/depth': 'a/depth', '/a/image_raw': 'a'}
    with pytest.raises(BagError, match='has no topic /b; its image topics are /a/depth, /a/image'):
        named(whole, '/b')
    with pytest.raises(BagError, match="shows no pictures: image encoding '16UC1'"):
        named(scene().camera('/b', 1, encoding='16UC1'), '/b')


def test_frames_are_numbered_over_all_cameras(scene, tmp_path, kit):
    folder = scene().camera('/a/image', 6).camera('/b/image', 4, delay=1).write(tmp_path / 'bag')
    with Recording(folder) as recording:
        cameras, _ = find_cameras(recording)
        assert [(frame.index, frame.camera) for frame in frames(
            recording, cameras, FrameChoice())] == [
            (0, 0), (1, 1), (2, 0), (3, 1), (4, 0), (5, 1), (6, 0), (7, 1), (8, 0), (9, 0)]
        found = list(frames(recording, cameras, FrameChoice(start=0.1, duration=0.3, every=2)))
    assert [(frame.index, frame.camera, (frame.message.time - kit.start) // kit.step)
            for frame in found] == [(0, 0, 1), (1, 1, 1), (2, 0, 3), (3, 1, 3)]
