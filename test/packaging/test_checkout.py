"""The development install: modules from the checkout, messages from the environment."""

from importlib.metadata import distribution
from pathlib import Path
import subprocess
import sys

import pytest

ROUNDTRIP = Path(__file__).with_name('roundtrip.py')


@pytest.fixture(scope='module', autouse=True)
def development_install(checkout):
    """Skip where the tests run over another installation, as in `colcon test`."""
    import videomt_ros
    if Path(videomt_ros.__file__).parents[1] != checkout:
        pytest.skip('videomt_ros is installed, not run from the checkout')


def test_modules_come_from_the_checkout_in_any_folder(checkout, run, tmp_path):
    venv = Path(sys.prefix)
    for folder in (checkout, tmp_path):
        printed = run('python', ROUNDTRIP, prefix=venv, cwd=folder)
        modules, messages, share = (Path(line) for line in printed.splitlines())
        assert modules == checkout / 'videomt_ros'
        assert messages.is_relative_to(venv)
        assert share == checkout


def test_generated_messages_are_not_older_than_their_definitions(checkout):
    for path in checkout.glob('msg/*.msg'):
        installed = Path(sys.prefix, 'share/videomt_ros/msg', path.name)
        assert installed.read_text() == path.read_text(), 'run `make setup`'


def test_programs_are_on_the_path(programs):
    assert {entry.name for entry in distribution('videomt_ros').entry_points} == set(programs)
    for name in programs:
        assert Path(sys.prefix, 'bin', name).stat().st_mode & 0o111, name


def test_program_tells_its_usage(programs, run, tmp_path):
    for name in set(programs) - {'videomt_node'}:  # which takes ROS's arguments
        program = Path(sys.prefix, 'bin', name)
        printed = run(program, '--help', prefix=Path(sys.prefix), cwd=tmp_path)
        assert printed.startswith(f'usage: {name}'), name


@pytest.mark.parametrize('python', ['python-that-is-not-there', '/bin/true'])
def test_machine_without_a_fitting_python_is_told_in_one_line(checkout, python):
    done = subprocess.run([checkout / '.ci/check_machine', python], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and 'make PYTHON=' in done.stderr


def test_machine_without_a_compiler_is_told_which_package_has_it(checkout, monkeypatch):
    monkeypatch.setenv('CXX', 'compiler-that-is-not-there -O2')
    done = subprocess.run([checkout / '.ci/check_machine', sys.executable],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ('videomt_ros: the compiler compiler-that-is-not-there, with which the '
                           'messages are built, is missing; apt install gcc g++\n')


def test_this_machine_has_what_is_needed(checkout):
    done = subprocess.run([checkout / '.ci/check_machine', sys.executable],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
