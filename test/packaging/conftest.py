"""What the tests of the package's build share: the checkout and its metadata."""

from pathlib import Path
import sys
from typing import Any

from catkin_pkg.package import Package, parse_package
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

CHECKOUT = Path(__file__).parents[2]


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
