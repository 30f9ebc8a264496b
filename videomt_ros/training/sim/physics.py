"""The one place that imports PyBullet, which is an optional dependency."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType


class SimulatorMissingError(ImportError):
    """PyBullet, the optional simulator, is not installed."""


@cache
def bullet() -> ModuleType:
    """
    Import PyBullet.

    :returns: the module `pybullet`.
    :raises SimulatorMissingError: when it is not installed.
    """
    try:
        import pybullet
        import pybullet_data  # noqa: F401
    except ImportError as error:
        raise SimulatorMissingError(
            'the simulated camera needs PyBullet, which is not installed: '
            "pip install 'videomt_ros[sim]'") from error
    return pybullet


@cache
def asset_folder() -> Path:
    """
    Find the meshes of the pybullet_data wheel.

    :returns: its folder.
    :raises SimulatorMissingError: when PyBullet is not installed.
    """
    bullet()
    import pybullet_data
    return Path(pybullet_data.getDataPath())
