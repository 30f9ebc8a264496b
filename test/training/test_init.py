"""Every layout of the family is a start for a training: it learns, and gets the data's classes."""

import csv
import math

from networks import make_network, original_weights
import pytest
import torch
from toy import config, NAMES, stage
from videomt_ros.network import load_network
from videomt_ros.training.config import Network
from videomt_ros.training.trainer import FOLDER, LOG, Trainer


def our_folder(network, path, dtype=None):
    network.save_pretrained(path, dtype)
    return path


def halved_folder(network, path):
    return our_folder(network, path, torch.float16)  # as the embedded weights are stored


def hugging_face_folder(network, path):
    network.save_pretrained(path)
    (path / 'videomt_ros.json').unlink()
    return path


def original_file(network, path, fused=False):
    torch.save({'model': original_weights(network, fused)}, path.with_suffix('.pth'))
    return path.with_suffix('.pth')


def fused_file(network, path):
    return original_file(network, path, True)


DINOV3 = {'backbone': 'dinov3', 'layer_norm_eps': 1e-5}
# No original file says that its queries are normed; so many classes of a DINOv3 do.
MANY = {'class_names': tuple(map(str, range(124))), 'thing_classes': frozenset(range(58))}
STARTS = (
    pytest.param(our_folder, {}, id='ours, DINOv2'),
    pytest.param(our_folder, {'norm_queries': True}, id='ours, DINOv2, normed'),
    pytest.param(our_folder, {'num_registers': 0}, id='ours, DINOv2, no registers'),
    pytest.param(our_folder, DINOV3, id='ours, DINOv3'),
    pytest.param(our_folder, {**DINOV3, 'norm_queries': True}, id='ours, DINOv3, normed'),
    pytest.param(halved_folder, {}, id='halved, DINOv2'),
    pytest.param(halved_folder, DINOV3, id='halved, DINOv3'),
    pytest.param(hugging_face_folder, {}, id='Hugging Face'),
    pytest.param(original_file, {}, id='original, DINOv2'),
    pytest.param(original_file, {'num_registers': 0}, id='original, DINOv2, no registers'),
    pytest.param(original_file, DINOV3, id='original, DINOv3'),
    pytest.param(fused_file, DINOV3, id='original, DINOv3, fused'),
    pytest.param(
        original_file, {**DINOV3, **MANY, 'norm_queries': True}, id='original, DINOv3, normed'))


def train(videos, tmp_path, source):
    """Take one step; gives the network with which the trainer began, its weights, and the loss."""
    settings = config(
        videos, tmp_path / 'out', (
            # What has no gradient would change by the decay alone.
            stage(steps=1, frames=2, warmup=0, encoder_warmup=0, weight_decay=0.0),),
        init=str(source), network=Network())
    trainer = Trainer(settings)
    begun = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    trainer.run()
    with (tmp_path / 'out' / LOG).open(newline='') as file:
        row, = csv.DictReader(file)
    return trainer.network, begun, float(row['loss'])


def differing(one, other):
    return {name for name in one
            if one[name].shape != other[name].shape or not torch.equal(one[name], other[name])}


@pytest.mark.parametrize('write, fields', STARTS)
def test_one_step_teaches_every_part_of_any_layout(videos, tmp_path, write, fields):
    source = write(make_network(**fields), tmp_path / 'start')
    start = load_network(source)
    network, begun, loss = train(videos, tmp_path, source)
    given = start.state_dict()
    assert given.keys() == begun.keys()
    assert differing(given, begun) == {'class_head.weight', 'class_head.bias'}, 'swapped'
    assert begun['class_head.weight'].shape == (len(NAMES) + 1, 64)
    assert math.isfinite(loss) and loss > 0
    now = network.state_dict()
    assert all(tensor.isfinite().all() for tensor in now.values())
    still = now.keys() - differing(begun, now)
    assert still <= {'embed.register_tokens'} and all(not begun[name].numel() for name in still)
    saved = load_network(tmp_path / 'out' / FOLDER)
    assert not differing(now, saved.state_dict())
    assert saved.config == network.config and saved.config.class_names == NAMES
    for field in ('backbone', 'layer_norm_eps', 'norm_queries', 'num_queries'):
        assert getattr(saved.config, field) == getattr(start.config, field)
    assert saved.config.backbone == fields.get('backbone', 'dinov2')
    assert saved.config.norm_queries == fields.get('norm_queries', False)


@pytest.mark.parametrize('fields', (
    pytest.param({}, id='dinov2'), pytest.param(DINOV3, id='dinov3')))
def test_a_class_head_for_the_classes_of_the_data_is_trained_on(videos, tmp_path, fields):
    start = make_network(class_names=NAMES, thing_classes=frozenset(range(3)), **fields)
    _, begun, loss = train(videos, tmp_path, our_folder(start, tmp_path / 'start'))
    assert not differing(start.state_dict(), begun)
    assert math.isfinite(loss)
    trained = load_network(tmp_path / 'out' / FOLDER).state_dict()
    assert {'class_head.weight', 'class_head.bias'} <= differing(begun, trained)
