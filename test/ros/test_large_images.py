"""Images of 1280x720 from another process, with the package's DDS profile and without it."""

import pathlib

from videomt_ros.msg import TrackArray
from videomt_ros.ros.dds import profile_environment

FRAMES = 25
CAMERA = pathlib.Path(__file__).parent / 'camera_process.py'


def test_large_images(start_node, start, probe):
    """
    Four cameras one after the other: best effort and reliable, with the profile and without.

    With the profile all images arrive. Without it, what arrives is up to the kernel's UDP buffers:
    on Debian as it comes some 10 in 100 of best effort, and all of reliable, but late. The node
    must not keep quiet about it.
    """
    node = start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')

    def received(reliability, environment):
        tracks.clear()
        camera = start(CAMERA, '--reliability', reliability, '--frames', FRAMES,
                       '--size', 720, 1280, environment=environment)
        probe.wait(lambda: camera.find('done'), f'{reliability} camera')
        probe.spin(0.5)
        assert camera.end() == 0
        stamps = [(t.header.stamp.sec, t.header.stamp.nanosec) for t in tracks]
        assert stamps == sorted(set(stamps)), 'each is answered once, in order'
        assert all((t.height, t.width) == (720, 1280) for t in tracks)
        return sum(1 + t.skipped for t in tracks)

    with_profile = profile_environment({})
    assert received('best_effort', with_profile) >= FRAMES - 1
    assert received('reliable', with_profile) >= FRAMES - 1
    assert not node.find('DDS has lost'), node.lines
    assert received('reliable', {}) >= 0.7 * FRAMES
    best_effort = received('best_effort', {})
    print(f'without the profile {best_effort} of {FRAMES} best-effort images arrived')
    if best_effort < 0.7 * FRAMES:
        text = node.wait_for('DDS has lost')
        assert '/image' in text and '/camera' in text
        assert 'FASTDDS_DEFAULT_PROFILES_FILE=' in text and 'fastdds_large_images.xml' in text
    assert node.stop() == 0
