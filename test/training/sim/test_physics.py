import sys

import pytest
from videomt_ros.training.sim import Simulation, SimulatorMissingError
from videomt_ros.training.sim.physics import asset_folder, bullet


@pytest.fixture
def without_pybullet(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pybullet', None)
    for function in (bullet, asset_folder):
        function.cache_clear()
    yield
    for function in (bullet, asset_folder):
        function.cache_clear()


def test_a_missing_simulator_is_told_in_one_sentence(without_pybullet):
    with pytest.raises(SimulatorMissingError, match=r"pip install 'videomt_ros\[sim\]'$"):
        Simulation(0)
    with pytest.raises(SimulatorMissingError, match='PyBullet, which is not installed'):
        asset_folder()


def test_the_meshes_are_found():
    pytest.importorskip('pybullet')
    assert (asset_folder() / 'duck.obj').is_file()
