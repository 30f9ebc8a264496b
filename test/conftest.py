"""Rules for every test: no hub, no ROS traffic beyond this machine; a clean ROS to build with."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import subprocess
import sys

import pytest

# Read by huggingface_hub when it is imported and by DDS when a node is made, so set before both.
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
# Set by whoever runs the tests, and by the ROS wheels in every process that they have touched.
INHERITED = ('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'LD_LIBRARY_PATH',
             'PYTHONPATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')

Run = Callable[..., str]


@pytest.fixture(scope='session')
def ros_venv() -> Path:
    """Find the environment with the ROS wheels and colcon alone, which `make test` sets up."""
    venv = Path(sys.prefix + '-ros')
    if not (venv / '.ready').is_file():
        pytest.skip(f'{venv} is not there: `make test` makes it')
    return venv


@pytest.fixture(scope='session')
def run() -> Run:
    """Return a function that runs a command as a fresh shell would, and returns what it prints."""
    def run(*command: object, prefix: Path, cwd: Path, **variables: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in INHERITED}
        environment['PATH'] = f'{prefix}/bin{os.pathsep}{environment["PATH"]}'
        environment.update(variables)
        done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, f'{command} ended with {done.returncode}:\n{done.stdout}'
        return done.stdout
    return run


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, as on a machine with one core."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--soak', type=float, metavar='MINUTES',
                     help='run test/ros/test_soak.py for so long; `make soak` does, for 30')
