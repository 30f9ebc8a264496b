"""
A simulated robot camera: physics scenes with known instances, classes, depth and poses.

`Simulation` renders a scene frame by frame; `dataset.write_dataset` and `bag.write_bag` turn
scenes into training data and recordings. PyBullet is needed (extra `sim`), but only when a scene
is built.
"""

from .catalogue import CLASS_NAMES
from .frame import HELD_OUT_SEED, ObjectView, SimConfig, SimFrame
from .physics import SimulatorMissingError
from .world import Simulation

__all__ = ['CLASS_NAMES', 'HELD_OUT_SEED', 'ObjectView', 'SimConfig', 'SimFrame', 'Simulation',
           'SimulatorMissingError']
