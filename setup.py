"""
Build for pip over the ROS 2 wheels of PyPI: CMake does the work, as it does under colcon.

The wheels make a virtual environment one merged ROS prefix. CMake installs into a staging prefix,
whose lib/pythonX.Y/site-packages/videomt_ros becomes the package of our wheel; the rest (share/,
lib/, include/) becomes data files, which land in the environment's prefix.

An editable install (``pip install -e .``) leaves our modules in the checkout and puts everything
that is generated, the messages among it, into the environment; videomt_ros/__init__.py joins them.
"""

from collections.abc import Iterator
import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sys

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


def ros_prefixes() -> list[str]:
    """
    List the prefixes that hold ROS packages.

    :returns: those of a sourced setup file, the folder of the ROS wheels (pip's own build
        environment, or the environment that runs us), and the running environment.
    """
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    spec = importlib.util.find_spec('ament_package')
    if spec and spec.origin:
        # PREFIX/lib/pythonX.Y/site-packages/ament_package/__init__.py
        prefixes.append(str(Path(spec.origin).parents[4]))
    prefixes.append(sys.prefix)
    return list(dict.fromkeys(prefixes))


def stage(build_base: Path) -> Path:
    """
    Build with CMake and install into a staging prefix.

    :param build_base: folder for everything that is built.
    :returns: the staging prefix.
    :raises SystemExit: CMake has failed, and has said why. (In an editable install setuptools
        swallows any Exception of a build step and installs a package without messages.)
    """
    build, prefix = build_base / 'cmake', build_base / 'prefix'
    for folder in (build, prefix):
        # A CMake cache would name the build environment of an earlier run, which pip has deleted.
        shutil.rmtree(folder, ignore_errors=True)
    prefixes = ros_prefixes()
    environment = dict(os.environ, AMENT_PREFIX_PATH=os.pathsep.join(prefixes))
    configure = [
        'cmake', '-S', str(HERE), '-B', str(build), '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release',
        '-DBUILD_TESTING=OFF', f'-DCMAKE_INSTALL_PREFIX={prefix}',
        f'-DCMAKE_PREFIX_PATH={";".join(prefixes)}', f'-DPython3_EXECUTABLE={sys.executable}']
    for command in (configure, ['cmake', '--build', str(build), '--target', 'install']):
        if subprocess.run(command, env=environment).returncode:
            sys.exit(f'videomt_ros: the build of the messages has failed in: {" ".join(command)}')
    return prefix


def files_below(folder: Path) -> Iterator[Path]:
    """
    Walk over the files of a folder that belong into a wheel.

    :param folder: the folder, searched with all that is below it.
    :returns: the files in sorted order, without byte code and generated C sources.
    """
    return (path for path in sorted(folder.rglob('*'))
            if path.is_file() and path.suffix not in ('.c', '.pyc'))


class BuildWithCMake(build_py):
    """Replace the copying of the package by what CMake installs."""

    def run(self) -> None:
        """Fill the build folder (not in an editable install) and list the data files."""
        # A module that is gone from the checkout must not come back out of an earlier build.
        shutil.rmtree(Path(self.build_lib, self.distribution.metadata.name), ignore_errors=True)
        super().run()
        prefix = stage(Path(self.get_finalized_command('build').build_base).resolve())
        site = next(prefix.glob('lib/python*/site-packages'))
        outside = [path for path in files_below(prefix) if site not in path.parents]
        inside = list(files_below(site / self.distribution.metadata.name))
        if self.editable_mode:
            outside += [path for path in inside if not (HERE / path.relative_to(site)).exists()]
        else:
            for path in inside:
                target = Path(self.build_lib, path.relative_to(site))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
        self.distribution.data_files[:] = [
            (str(path.parent.relative_to(prefix)), [str(path)]) for path in outside]
        if self.editable_mode:
            self.run_command('install_data')  # the build of an ordinary wheel does it


class BinaryDistribution(Distribution):
    """Mark the wheel as one for this Python and platform: the messages are compiled."""

    def has_ext_modules(self) -> bool:
        """Answer as a package with extension modules does."""
        return True


setup(
    distclass=BinaryDistribution,
    cmdclass={'build_py': BuildWithCMake},
    data_files=[('share/videomt_ros', ['package.xml'])],  # BuildWithCMake replaces this list
)
