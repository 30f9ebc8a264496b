"""The launch files: read everywhere, run where ROS's launch is installed."""

import ast
from dataclasses import fields
import os
import signal
import subprocess
import sys

from harness import image_of
import pytest
from videomt_ros.msg import TrackArray
from videomt_ros.ros.parameters import Settings
from videomt_ros.share import share_directory

FILES = sorted((share_directory() / 'launch').glob('*.launch.py'))
START = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[word.split(':=', 1) for word in sys.argv[2:]])]))
sys.exit(service.run())
"""


def test_there_are_launch_files():
    assert [path.name for path in FILES] == ['demo.launch.py', 'videomt.launch.py']


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_launch_file_is_python_that_names_real_things(path):
    tree = ast.parse(path.read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert 'generate_launch_description' in functions
    imported = {node.module: [name.name for name in node.names] for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module.startswith('videomt_ros')}
    for module, names in imported.items():
        code = f'from {module} import {", ".join(names)}'
        subprocess.run([sys.executable, '-c', code], check=True)
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for name in strings & {'videomt.yaml', 'videomt.rviz', 'videomt.launch.py'}:
        assert list(share_directory().glob(f'*/{name}'))


def test_arguments_are_parameters_of_the_node():
    tree = ast.parse((share_directory() / 'launch' / 'videomt.launch.py').read_text())
    table, = (node.value for node in tree.body if isinstance(node, ast.Assign)
              and node.targets[0].id == 'PARAMETERS')
    names = {key.value for key in table.keys}
    assert names <= {spec.name for spec in fields(Settings)} | {'use_sim_time'}
    assert {'checkpoint', 'task', 'device'} <= names


def test_launched_node_answers_and_ends_cleanly(start, probe, checkpoint):
    pytest.importorskip('launch_ros')
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])
    launched = start('-c', START, share_directory() / 'launch' / 'videomt.launch.py',
                     'image:=/camera/image_raw', f'checkpoint:={checkpoint}', 'name:=seg',
                     'namespace:=robot', 'autostart:=true', 'use_sim_time:=true', environment={
                         'AMENT_PREFIX_PATH': os.environ.get('AMENT_PREFIX_PATH', sys.prefix),
                         'PATH': path})
    launched.wait_for('Configured')
    tracks = probe.listen(TrackArray, '/robot/seg/tracks')
    camera = probe.publisher('/camera/image_raw')
    answer = probe.ask(camera, image_of(0, red=(32, 16, 32, 32)), tracks)
    assert [track.class_name for track in answer.tracks] == ['red']
    os.killpg(launched.pid, signal.SIGINT)  # from a terminal, which tells all of them
    assert launched.end() == 0
    assert launched.find('process has finished cleanly'), launched.lines
