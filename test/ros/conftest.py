"""A domain, a node process and a probe for each test, and weights that see colours."""

from functools import cache
import os
from pathlib import Path
import sys

from colour_network import colour_network
from harness import NodeProcess, own_domain, Probe, Process
import pytest
from videomt_ros.ros.lifecycle import VideomtNode
from worker_bench import Bench

HERE = Path(__file__).parent


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    """Give a folder with the weights of the colour network."""
    folder = tmp_path_factory.mktemp('weights') / 'colours'
    colour_network().save_pretrained(folder)
    return folder


@pytest.fixture
def bench():
    """Give a worker among stand-ins; what is at work is let go at the end."""
    bench = Bench()
    yield bench
    bench.run(100)
    bench.worker.stop()


@pytest.fixture(scope='session')
def stand_in(ros_venv, run, tmp_path_factory):
    """Give a function that builds messages without a wheel: how a process finds them."""

    def more(name, *paths):
        return os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get(name)])])

    @cache
    def build(package):
        folder = tmp_path_factory.mktemp(package)
        prefix = folder / 'prefix'
        run('cmake', '-S', HERE / f'stand_in_{package}', '-B', folder / 'build', '-GNinja',
            f'-DCMAKE_PREFIX_PATH={ros_venv}', f'-DCMAKE_INSTALL_PREFIX={prefix}',
            prefix=ros_venv, cwd=folder, AMENT_PREFIX_PATH=str(ros_venv))
        run('cmake', '--build', folder / 'build', '--target', 'install', prefix=ros_venv,
            cwd=folder, AMENT_PREFIX_PATH=str(ros_venv))
        return {'AMENT_PREFIX_PATH': f'{prefix}{os.pathsep}{sys.prefix}',
                'PYTHONPATH': more('PYTHONPATH', *prefix.glob('lib/python*/site-packages'), HERE),
                'LD_LIBRARY_PATH': more('LD_LIBRARY_PATH', prefix / 'lib')}

    return build


@pytest.fixture
def domain():
    with own_domain() as number:
        yield number


@pytest.fixture
def start(domain):
    """Give a function that starts a program in the test's domain."""
    processes = []

    def start_process(*command, environment=None, kind=Process):
        processes.append(kind(command, domain, environment))
        return processes[-1]

    yield start_process
    for process in processes:
        process.kill()


@pytest.fixture
def start_node(start, checkpoint):
    """Give a function that starts the node with parameters and waits until it is configured."""

    def start_it(*arguments, ready='Configured', environment=None, **parameters):
        parameters = {'checkpoint': checkpoint, 'engine': 'eager', **parameters}
        settings = [word for name, value in parameters.items()
                    for word in ('-p', f'{name}:={value}')]
        node = start('--ros-args', *settings, *arguments, environment=environment,
                     kind=NodeProcess)
        if ready:
            node.wait_for(ready)
        return node

    return start_it


@pytest.fixture
def probe(domain):
    probe = Probe(domain)
    yield probe
    probe.close()


@pytest.fixture
def host(probe, checkpoint):
    """Give a function that makes the node in this process, for what needs no second one."""

    def make(**parameters):
        parameters = {'checkpoint': str(checkpoint), 'engine': 'eager', **parameters}
        return probe.host(VideomtNode, **parameters)

    return make
