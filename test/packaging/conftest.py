"""What the tests of the package's build share: the checkout, its metadata, and a clean ROS."""

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from catkin_pkg.package import Package, parse_package
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

CHECKOUT = Path(__file__).parents[2]
# Set by whoever runs the tests, and by the ROS wheels in every process that they have touched.
INHERITED = ('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'LD_LIBRARY_PATH',
             'PYTHONPATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')

Run = Callable[..., str]


@pytest.fixture(scope='session')
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope='session')
def pyproject(checkout: Path) -> dict[str, Any]:
    return tomllib.loads((checkout / 'pyproject.toml').read_text())


@pytest.fixture(scope='session')
def programs(pyproject: dict[str, Any]) -> dict[str, str]:
    return pyproject['project']['scripts']


@pytest.fixture(scope='session')
def package_xml(checkout: Path) -> Package:
    return parse_package(checkout / 'package.xml')


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
