"""Toy data, made once, and the folder of the module that makes it."""

from importlib.util import find_spec
from pathlib import Path
import sys

import cv2
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

if not all(find_spec(name) for name in ('pycocotools', 'scipy', 'tqdm', 'yaml')):
    # Without the extra `train`, as on a robot; the folders below look after themselves.
    collect_ignore_glob = ['test_*.py']


@pytest.fixture(scope='session')
def videos(tmp_path_factory):
    """Give the annotations of three toy videos of six frames."""
    from toy import write_videos  # not for all tests below: it needs the packages of the trainer
    return write_videos(tmp_path_factory.mktemp('videos'))


@pytest.fixture(autouse=True)
def threads():
    """Give torch and OpenCV back the threads that a trainer takes from them."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])
