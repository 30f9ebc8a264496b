"""share_directory() in a checkout, in each kind of prefix, and with nothing there."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import shutil

import pytest
from videomt_ros import share


def copied_into(folder: Path):
    """Import a copy of the module from a folder, as if the package were installed there."""
    package = folder / 'videomt_ros'
    package.mkdir(parents=True)
    path = shutil.copy(share.__file__, package)
    spec = spec_from_file_location('share_copy', path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_manifest(folder: Path) -> Path:
    """Make the folder with a package.xml in it, as each installation has one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'package.xml').write_text('<package/>')
    return folder


@pytest.mark.parametrize('site', [
    'lib/python3.11/site-packages', 'local/lib/python3.10/dist-packages'])
def test_prefix_of_pip_and_of_colcon(tmp_path, site):
    installed = with_manifest(tmp_path / 'share/videomt_ros')
    assert copied_into(tmp_path / site).share_directory() == installed


def test_checkout_comes_before_any_prefix_around_it(tmp_path):
    with_manifest(tmp_path / 'share/videomt_ros')
    checkout = with_manifest(tmp_path / 'home/checkout')
    assert copied_into(checkout).share_directory() == checkout


def test_modules_without_shared_files_are_named(tmp_path):
    module = copied_into(tmp_path / 'site-packages')
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        module.share_directory()
