"""Print what the build of this package needs, one requirement a line, for `pip install -r`."""

from pathlib import Path
import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # mypy and pytest bring it where Python has none of its own

pyproject = tomllib.loads(Path('pyproject.toml').read_text())
print('\n'.join(pyproject['build-system']['requires']))
