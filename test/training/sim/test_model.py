import numpy as np
import pytest
from videomt_ros.training.sim.catalogue import CLASS_NAMES, KINDS
from videomt_ros.training.sim.model import load_model

pytest.importorskip('pybullet')


def test_there_are_at_least_ten_classes_of_different_names():
    assert len(set(CLASS_NAMES)) == len(KINDS) >= 10


@pytest.mark.parametrize('kind', KINDS, ids=CLASS_NAMES)
def test_every_class_can_be_loaded_and_measured(kind):
    model = load_model(kind)
    assert len(model.parts) >= 1
    assert (model.extent > 0).all()
    # The points lie in the box and reach its sides.
    assert (np.abs(model.surface) <= model.extent / 2 + 1e-9).all()
    assert (model.surface.max(0) > 0.3 * model.extent).all()
    assert (model.surface.min(0) < -0.3 * model.extent).all()
    assert np.linalg.norm(model.extent) / 2 < kind.reach * 1.5
    assert kind.size[0] < kind.size[1]


@pytest.mark.parametrize(('name', 'extent'), [
    ('block', (1.0, 1.0, 1.0)), ('soccer_ball', (1.0, 1.0, 1.0)),
    ('domino', (0.00635, 0.0254, 0.0508))])
def test_measured_sides_are_those_of_the_meshes(name, extent):
    model = load_model(KINDS[CLASS_NAMES.index(name)])
    np.testing.assert_allclose(model.extent, extent, rtol=0.02, atol=3e-4)
    np.testing.assert_allclose(model.centre, 0.0, atol=0.01 * max(extent))


@pytest.mark.parametrize('name', ['duck', 'teddy', 'r2d2', 'mug', 'table'])
def test_upright_objects_are_tall(name):
    extent = load_model(KINDS[CLASS_NAMES.index(name)]).extent
    assert extent[2] > 0.75 * extent.max()
