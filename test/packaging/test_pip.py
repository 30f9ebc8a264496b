"""`pip install .` over the ROS wheels: what the wheel holds, and that it works and goes again."""

from collections.abc import Iterator
from pathlib import Path
import zipfile

import pytest

ROUNDTRIP = Path(__file__).with_name('roundtrip.py')


@pytest.fixture(scope='module')
def wheel(checkout, ros_venv, run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('wheel')
    run('pip', 'wheel', '--no-build-isolation', '--no-deps', '--no-index', '-w', folder, checkout,
        prefix=ros_venv, cwd=folder)
    return next(folder.glob('videomt_ros-*.whl'))


@pytest.fixture(scope='module')
def names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture
def installed(wheel, ros_venv, run, tmp_path) -> Iterator[Path]:
    """Install the wheel for one test: the colcon tests need the environment without it."""
    run('pip', 'install', '--no-deps', '--no-index', wheel, prefix=ros_venv, cwd=tmp_path)
    yield ros_venv
    run('pip', 'uninstall', '-y', 'videomt_ros', prefix=ros_venv, cwd=tmp_path)
    assert not [path for path in ros_venv.rglob('*videomt_ros*') if path.is_file()]


def data_of(names: set[str]) -> set[str]:
    """Return the files that land in the prefix, by their path in it."""
    return {name.split('.data/data/', 1)[1] for name in names if '.data/data/' in name}


def test_wheel_is_for_this_python_and_version(wheel, package_xml):
    assert wheel.name.startswith(f'videomt_ros-{package_xml.version}-cp3')
    assert '-none-any' not in wheel.name


def test_wheel_holds_every_module_and_data_file(checkout, names):
    files = {str(path.relative_to(checkout)) for path in (checkout / 'videomt_ros').rglob('*')
             if path.is_file() and '__pycache__' not in path.parts}
    assert 'videomt_ros/py.typed' in files
    assert files <= names


def test_wheel_holds_the_messages(checkout, names):
    stems = {path.stem for path in checkout.glob('msg/*.msg')}
    data = data_of(names)
    assert 'videomt_ros/msg/__init__.py' in names
    support = 'videomt_ros/videomt_ros_s__rosidl_typesupport_c.'
    assert any(name.startswith(support) for name in names)
    assert 'lib/libvideomt_ros__rosidl_typesupport_fastrtps_c.so' in data
    assert {f'share/videomt_ros/msg/{stem}.msg' for stem in stems} <= data
    assert 'share/ament_index/resource_index/packages/videomt_ros' in data


def test_wheel_holds_the_shared_files(checkout, names):
    shared = {f'share/videomt_ros/{path.relative_to(checkout)}'
              for folder in ('launch', 'config', 'demo') for path in (checkout / folder).rglob('*')
              if path.is_file() and '__pycache__' not in path.parts}
    assert shared <= data_of(names)


def test_wheel_holds_nothing_else(names):
    tops = {name.split('/')[0].split('-')[0] for name in names}
    assert tops == {'videomt_ros'}
    assert not [name for name in names if name.endswith(('.pyc', '.c'))]


def test_installed_messages_work_and_are_found(installed, run, tmp_path):
    printed = run('python', ROUNDTRIP, prefix=installed, cwd=tmp_path)
    modules, messages, share = (Path(line) for line in printed.splitlines())
    assert messages == modules / 'msg'
    assert modules.is_relative_to(installed)
    assert share == installed / 'share/videomt_ros'


def test_installed_package_is_in_the_ament_index(installed, run, tmp_path):
    code = ('from ament_index_python import get_package_share_directory\n'
            'print(get_package_share_directory("videomt_ros"))')
    printed = run('python', '-c', code, prefix=installed, cwd=tmp_path,
                  AMENT_PREFIX_PATH=str(installed))
    assert Path(printed.strip()) == installed / 'share/videomt_ros'


def test_programs_are_on_the_path_and_for_ros2_run(installed, programs):
    for folder in ('bin', 'lib/videomt_ros'):
        for name in programs:
            assert (installed / folder / name).stat().st_mode & 0o111 == 0o111, name
