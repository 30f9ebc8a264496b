"""Nothing is imported that is not declared, and no layer imports the one above it."""

import ast
from collections.abc import Iterator
from pathlib import Path
import re
import sys

import pytest

CHECKOUT = Path(__file__).parents[2]
NAME = 'videomt_ros'
LAYERS = ('network', 'perception', 'ros', 'training', 'tools')
MAY_IMPORT = {
    'network': {'network'},
    'perception': {'network', 'perception'},
    'ros': {'network', 'perception', 'ros'},
    'training': {'network', 'perception', 'training'},
    'tools': set(LAYERS),
}
# What only some of a layer need.
EXTRAS_OF = {
    'perception': ('int8', 'onnx', 'openvino'), 'training': ('eval', 'sim', 'train'),
    'tools': ('bench', 'fleet', 'train')}
# Distributions whose modules have another name.
MODULE_OF = {'backports.zstd': 'backports', 'opencv-python-headless': 'cv2', 'pyyaml': 'yaml'}
# Part of the distribution of that name.
BUNDLED = {'pybullet_data': 'pybullet', 'pybullet_utils': 'pybullet'}
# Used where a robot's ROS has them, and not to be had from PyPI.
OPTIONAL_ROS = {'cv_bridge', 'tf2_msgs', 'vision_msgs'}
# On PyPI in one wheel, ros-kilted-common-interfaces, or along with ros-kilted-rclpy.
WITH_THE_ROS_WHEELS = {
    'ament_index_python', 'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs',
    'lifecycle_msgs', 'rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs',
    'std_srvs', 'visualization_msgs'}


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names of all that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:  # relative to the folder of the file, or to one above it
                folders = path.relative_to(CHECKOUT).parts[:-node.level]
                parts = [*folders, *parts]
            yield from ('.'.join([*parts, alias.name]) for alias in node.names)


def files_of(layer: Path) -> list[Path]:
    """Return the Python files of a layer, of which there must be some."""
    files = sorted(layer.rglob('*.py'))
    assert files, f'nothing in {layer}'
    return files


def foreign_modules(folder: Path) -> set[str]:
    """Return the top-level names that the files below a folder import from other packages."""
    names = {name.split('.')[0] for path in files_of(folder) for name in imported(path)}
    return names - sys.stdlib_module_names - {NAME, 'compression'}  # this one since Python 3.14


def declared(requirements: list[str]) -> set[str]:
    """Return the modules that a list of requirements provides."""
    names = [re.match(r'[\w.-]+', requirement)[0] for requirement in requirements]
    return {MODULE_OF.get(name, name) for name in names}


@pytest.mark.parametrize('layer', LAYERS)
def test_no_layer_imports_upwards(checkout, layer):
    for path in files_of(checkout / NAME / layer):
        for name in imported(path):
            parts = name.split('.')
            if parts[0] == NAME and parts[1] in LAYERS:
                assert parts[1] in MAY_IMPORT[layer], f'{path} imports {name}'


@pytest.mark.parametrize('layer', ['network', 'perception'])
def test_lower_layers_know_no_ros(checkout, layer):
    ros = WITH_THE_ROS_WHEELS | OPTIONAL_ROS | {'launch', 'launch_ros'}
    assert not foreign_modules(checkout / NAME / layer) & ros
    for path in files_of(checkout / NAME / layer):
        assert not any(name.startswith(f'{NAME}.msg') for name in imported(path)), path


def test_pip_installs_all_that_is_imported(checkout, pyproject):
    project = pyproject['project']
    at_hand = declared(project['dependencies'])
    extras = {name: declared(needs) for name, needs in project['optional-dependencies'].items()}
    for layer in LAYERS:
        more = set().union(*(extras[name] for name in EXTRAS_OF.get(layer, ())))
        names = {BUNDLED.get(name, name) for name in foreign_modules(checkout / NAME / layer)}
        assert names <= at_hand | more | WITH_THE_ROS_WHEELS | OPTIONAL_ROS, layer


def test_rosdep_installs_the_ros_packages_that_are_imported(checkout, package_xml):
    keys = {depend.name for depend in package_xml.exec_depends}
    used = foreign_modules(checkout / NAME) & WITH_THE_ROS_WHEELS
    used |= foreign_modules(checkout / 'launch') - OPTIONAL_ROS
    assert used <= keys
    assert keys & WITH_THE_ROS_WHEELS <= used | {
        depend.name for depend in package_xml.build_depends}  # the fields of messages
