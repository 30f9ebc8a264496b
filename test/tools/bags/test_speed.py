"""Speed and memory: cores side by side, and no more memory for a longer recording."""

import os
from pathlib import Path
import subprocess
import sys
import time

import pytest
from videomt_ros.tools.bags.numerics import cores
from videomt_ros.tools.bags.settings import Settings
from videomt_ros.tools.bags.single import load_segmenter, process_recording


def idle_share():
    """Measure which share of all cores nobody uses, over a second."""
    def ticks():
        fields = Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:]
        return sum(map(int, fields)), int(fields[3])
    (total, idle), _ = ticks(), time.sleep(1)
    after = ticks()
    return (after[1] - idle) / max(1, after[0] - total)


@pytest.mark.slow
def test_side_by_side_is_faster_than_frame_by_frame(scene, heavy, tmp_path):
    """At least 1.2 times here, so that a noisy machine is no failure; docs/fleet.md has more."""
    if cores() < 2 or idle_share() < 0.9:
        pytest.skip('needs two idle cores')
    drive = scene().camera(frames=60).write(tmp_path / 'drive')

    def seconds(name, **how):
        settings = Settings(checkpoint=str(heavy), engine='eager', **how)
        segmenter = load_segmenter(settings)
        began = time.perf_counter()
        outcome = process_recording(
            drive, tmp_path / f'{name}.mcap', settings, lambda _: segmenter)
        assert outcome.frames == 60
        return time.perf_counter() - began
    seconds('warm')
    best = [min(seconds(f'{name}{i}', **how) for i in range(3)) for name, how in (
        ('alone', {'workers': 0, 'batch': 1}), ('together', {'workers': 2}))]
    assert best[0] / best[1] > 1.2, best


def test_memory_does_not_grow_with_the_recording(scene, colours, tmp_path):
    script = (
        'import sys\n'
        'from videomt_ros.tools.bag import main\n'
        'from videomt_ros.tools.benching.arena import memory_megabytes\n'
        'assert main(sys.argv[1:]) == 0\n'
        # Not ru_maxrss, which begins with the peak of the process that ran this one.
        'print(memory_megabytes()["peak"])\n')
    peaks = []
    for frames in (300, 1200):  # a process that has just begun still grows, up to a bound
        drive = scene().camera(frames=frames).write(tmp_path / f'drive{frames}')
        done = subprocess.run(
            [sys.executable, '-c', script, drive, tmp_path / f'{frames}.mcap', '--merge',
             '--checkpoint', colours, '--engine', 'eager', '--workers', '1', '--quiet', '--csv',
             tmp_path / f'{frames}.csv', '--coco', tmp_path / f'{frames}.json', '--ytvis',
             tmp_path / f'{frames}.y.json', '--html', tmp_path / f'{frames}.html'],
            capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'},
            timeout=120)
        assert done.returncode == 0, done.stderr
        peaks.append(1000 * float(done.stdout))
    content = 900 * 96 * 128 * 3 / 1024
    assert peaks[1] - peaks[0] < 0.5 * content, peaks  # kilobytes
