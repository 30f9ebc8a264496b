"""`colcon build` over the ROS wheels as underlay, copied and with links into the checkout."""

import os
from pathlib import Path
import shutil
import sysconfig

import pytest

ROUNDTRIP = Path(__file__).with_name('roundtrip.py')


@pytest.fixture(
    scope='module', params=['copied', pytest.param('linked', marks=pytest.mark.slow)])
def workspace(request, checkout, ros_venv, run, tmp_path_factory) -> Path:
    """Build the package in a workspace of its own, with files copied or linked."""
    folder = tmp_path_factory.mktemp(request.param)
    links = ['--symlink-install'] if request.param == 'linked' else []
    printed = run('colcon', 'build', '--paths', checkout, *links, prefix=ros_venv, cwd=folder,
                  AMENT_PREFIX_PATH=str(ros_venv), CMAKE_PREFIX_PATH=str(ros_venv))
    assert 'Summary: 1 package finished' in printed
    return folder


@pytest.fixture
def prefix(workspace) -> Path:
    return workspace / 'install/videomt_ros'


@pytest.fixture
def sourced(workspace, ros_venv, run):
    """Return a function that runs a shell command after sourcing the workspace's setup file."""
    def sourced(command: str, **variables: str) -> str:
        return run('bash', '-c', f'. install/setup.bash && {command}', prefix=ros_venv,
                   cwd=workspace, AMENT_PREFIX_PATH=str(ros_venv), **variables)
    return sourced


def test_messages_work_and_everything_is_found(sourced, prefix):
    modules, messages, share = map(Path, sourced(f'python3 {ROUNDTRIP}').splitlines())
    assert messages == modules / 'msg'
    assert modules.is_relative_to(prefix)
    assert share == prefix / 'share/videomt_ros'


def test_package_is_in_the_ament_index(sourced, prefix):
    printed = sourced("python3 -c 'from ament_index_python import get_package_prefix\n"
                      'print(get_package_prefix("videomt_ros"))\'')
    assert Path(printed.strip()) == prefix


def test_every_file_is_installed(checkout, prefix):
    site = next(prefix.glob('lib/python*/site-packages'))
    for folder, target in (('videomt_ros', site), ('launch', prefix / 'share/videomt_ros'),
                           ('config', prefix / 'share/videomt_ros'),
                           ('demo', prefix / 'share/videomt_ros')):
        for path in (checkout / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                copy = target / path.relative_to(checkout)
                assert copy.read_bytes() == path.read_bytes()


def test_links_lead_to_the_checkout(checkout, prefix, workspace):
    site = next(prefix.glob('lib/python*/site-packages'))
    linked = workspace.name.startswith('linked')
    assert (site / 'videomt_ros/share.py').is_symlink() == linked


def test_ros2_run_finds_every_program(prefix, programs):
    folder = prefix / 'lib/videomt_ros'
    assert {path.name for path in folder.iterdir()} == set(programs)
    for name in programs:
        assert os.access(folder / name, os.X_OK), name


def test_program_starts(sourced, prefix):
    # The environment of the ROS wheels has no torch: lend it that of the one that runs the tests.
    more = sysconfig.get_path('purelib')
    program = prefix / 'lib/videomt_ros/videomt_play'
    printed = sourced(f'PYTHONPATH=$PYTHONPATH:{more} {program} --help')
    assert 'usage: videomt_play' in printed


def test_messages_are_usable_from_another_package(workspace, ros_venv, run, tmp_path):
    """A package that depends on ours finds its CMake configuration and its C++ messages."""
    source = tmp_path / 'consumer'
    shutil.copytree(Path(__file__).with_name('consumer'), source)
    setup = workspace / 'install/setup.bash'
    printed = run('bash', '-c', f'. {setup} && colcon build --paths {source}', prefix=ros_venv,
                  cwd=tmp_path, AMENT_PREFIX_PATH=str(ros_venv), CMAKE_PREFIX_PATH=str(ros_venv))
    assert 'Summary: 1 package finished' in printed
