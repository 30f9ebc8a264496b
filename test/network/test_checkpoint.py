"""Every layout gives back the network it was written from; damaged files are told in a line."""

from dataclasses import replace
import json
import pathlib
import zipfile

from networks import make_network, original_weights
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
import torch
from videomt_ros.network import CheckpointError, load_network, Preprocessing, registry


def assert_same_network(one, other, **changed):
    assert other.config == replace(one.config, **changed)
    expected, found = one.state_dict(), other.state_dict()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


@pytest.mark.parametrize('fields', [
    {}, {'num_registers': 0}, {'num_upscale_blocks': 1, 'patch_size': 8}, {'num_heads': 4},
    {'backbone': 'dinov3', 'norm_queries': True, 'layer_norm_eps': 1e-5},
    {'thing_classes': frozenset({1, 3}), 'class_names': ('floor', 'cup', 'wall', 'dog', 'x')},
    {'preprocessing': Preprocessing('square', 64, mean=(1., 2., 3.)), 'mask_parts': 'main',
     'renew_below': 0.25},
])
def test_our_folder_round_trip(fields, tmp_path):
    network = make_network(**fields)
    network.save_pretrained(tmp_path / 'made' / 'on demand')
    assert_same_network(network, load_network(tmp_path / 'made' / 'on demand'))


def test_folder_without_our_record_is_fed_as_its_processor_says(tmp_path):
    network = make_network()
    network.save_pretrained(tmp_path)
    (tmp_path / 'videomt_ros.json').unlink()
    assert load_network(tmp_path).config.preprocessing == Preprocessing('square', 64)
    (tmp_path / 'video_preprocessor_config.json').write_text(json.dumps({
        'size': {'height': 32, 'width': 32}, 'image_mean': [0.5] * 3, 'image_std': [0.25] * 3}))
    rule = load_network(tmp_path).config.preprocessing
    assert (rule.rule, rule.size) == ('square', 32)
    assert rule.mean == pytest.approx((127.5,) * 3) and rule.std == pytest.approx((63.75,) * 3)


def test_the_weights_know_their_grid_better_than_the_record(tmp_path):
    make_network().save_pretrained(tmp_path)
    (tmp_path / 'videomt_ros.json').unlink()
    record = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps({**record, 'image_size': 32}))
    config = load_network(tmp_path).config
    assert config.grid_size == 4 and config.preprocessing == Preprocessing('square', 64)


@pytest.mark.parametrize('wrapped', [True, False])
@pytest.mark.parametrize('fields', [
    {'num_registers': 4}, {'num_registers': 0}, {'num_upscale_blocks': 3, 'patch_size': 32},
    {'num_query_blocks': 3, 'hidden_size': 128, 'num_heads': 2, 'mlp_size': 300},
])
def test_original_dinov2_file(fields, wrapped, tmp_path):
    network = make_network(**fields)
    weights = original_weights(network)
    path = tmp_path / 'model.pth'
    torch.save({'model': weights, 'iteration': 5} if wrapped else weights, path)
    loaded = load_network(path)
    assert_same_network(
        network, loaded, class_names=loaded.config.class_names,
        preprocessing=loaded.config.preprocessing)
    assert loaded.config.num_classes == 5 and loaded.config.preprocessing.rule == 'short_side'


@pytest.mark.parametrize('names', [
    {}, {'.blocks.': '.layer.', '.patch_embed.': '.embeddings.'}, {'.blocks.': '.model.layer.'},
], ids=['renamed', 'of transformers 4', 'of transformers 5'])
@pytest.mark.parametrize('fused', [True, False])
def test_original_dinov3_file(fused, names, tmp_path):
    network = make_network(backbone='dinov3', layer_norm_eps=1e-5, grid_size=40)
    weights = original_weights(network, fused)
    for authors, transformers in names.items():
        weights = {name.replace(authors, transformers): each for name, each in weights.items()}
    torch.save({'model': weights}, tmp_path / 'model.pth')
    loaded = load_network(tmp_path / 'model.pth')
    assert_same_network(
        network, loaded, class_names=loaded.config.class_names,
        preprocessing=loaded.config.preprocessing)


@pytest.mark.parametrize('backbone', ['dinov2', 'dinov3'])
@pytest.mark.parametrize('saved', [
    lambda weights: {name.removeprefix('backbone.'): value for name, value in weights.items()},
    lambda weights: {'state_dict': {'module.' + name: value for name, value in weights.items()}},
    lambda weights: {'model': {'state_dict': {
        'model.network.' + name: value for name, value in weights.items()}}},
    lambda weights: {'model': {name: value.numpy() for name, value in weights.items()},
                     'scheduler': {'last': np.float64(0.1)}, '__author__': 'detectron2'},
    lambda weights: {**weights, 'pixel_mean': torch.zeros(3, 1, 1)},
], ids=['backbone alone', 'module.', 'model.network.', 'NumPy', 'pixel_mean'])
def test_original_weights_are_found_however_they_were_saved(saved, backbone, tmp_path):
    network = make_network(backbone=backbone, **(
        {'layer_norm_eps': 1e-5, 'grid_size': 40} if backbone == 'dinov3' else {}))
    torch.save(saved(original_weights(network)), tmp_path / 'model.pth')
    loaded = load_network(tmp_path / 'model.pth')
    assert_same_network(network, loaded, class_names=loaded.config.class_names,
                        preprocessing=loaded.config.preprocessing)


def test_without_its_mark_the_depth_tells_how_many_blocks_see_queries(tmp_path):
    for layers, expected in ((12, 3), (24, 4)):
        weights = original_weights(make_network(num_layers=layers))
        del weights['backbone.attn_mask_probs']
        torch.save(weights, tmp_path / 'model.pth')
        assert load_network(tmp_path / 'model.pth').config.num_query_blocks == expected


@pytest.mark.parametrize(
    ('backbone', 'classes', 'grid', 'side', 'norm'),
    [('dinov2', 40, 4, 448, False), ('dinov2', 25, 4, 544, False), ('dinov2', 124, 4, 720, False),
     ('dinov3', 40, 40, 480, False), ('dinov3', 124, 80, 720, True)])
def test_published_kinds_are_fed_as_the_paper_does(
        backbone, classes, grid, side, norm, tmp_path):
    network = make_network(
        backbone=backbone, class_names=tuple(map(str, range(classes))), grid_size=grid,
        thing_classes=frozenset())
    torch.save({'model': original_weights(network)}, tmp_path / 'any name.pth')
    config = load_network(tmp_path / 'any name.pth').config
    assert config.preprocessing == Preprocessing('short_side', side)
    assert config.norm_queries is norm
    assert load_network(
        tmp_path / 'any name.pth', norm_queries=not norm).config.norm_queries is not norm


def test_heads_of_an_unusual_file_are_asked_for(tmp_path):
    network = make_network(hidden_size=96, num_heads=4)
    torch.save(original_weights(network), tmp_path / 'model.pth')
    with pytest.raises(CheckpointError, match='96 channels.*num_heads'):
        load_network(tmp_path / 'model.pth')
    assert load_network(tmp_path / 'model.pth', num_heads=4).config.num_heads == 4


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_keeps_norms_and_tokens(dtype, tmp_path):
    make_network().save_pretrained(tmp_path)
    network = load_network(tmp_path, dtype=dtype)
    assert network.dtype is dtype
    assert network.blocks[0].mlp.fc1.weight.dtype is dtype
    assert network.norm.weight.dtype is network.queries.dtype is torch.float32
    exact, pixels = load_network(tmp_path), torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        out, expected = network(pixels), exact(pixels)
    assert out.state.queries.dtype is dtype and out.class_logits.dtype is torch.float32
    torch.testing.assert_close(out.class_logits, expected.class_logits, atol=0.2, rtol=0.05)


class TestFaults:

    @pytest.fixture
    def folder(self, tmp_path):
        make_network().save_pretrained(tmp_path)
        return tmp_path

    @pytest.fixture
    def file(self, tmp_path):
        torch.save({'model': original_weights(make_network())}, tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    def refuse(self, source, *parts):
        with pytest.raises(CheckpointError) as caught:
            load_network(source)
        message = str(caught.value)
        assert '\n' not in message
        for part in parts:
            assert part in message, message

    def test_no_such_source(self):
        self.refuse('/nowhere/model.pth', '/nowhere/model.pth', 'no such file')

    def test_a_version_in_a_hub_id_is_no_file(self, monkeypatch):
        asked = []

        def fetch(source):
            asked.append(source)
            raise CheckpointError('asked')

        monkeypatch.setattr(registry, 'fetch_hub', fetch)
        self.refuse('someone/videomt-v1.5', 'asked')
        self.refuse('weights/model.pth', 'no such file')
        assert asked == ['someone/videomt-v1.5']

    def test_truncated_files(self, folder, file):
        for path in (folder / 'model.safetensors', file):
            path.write_bytes(path.read_bytes()[:-1000])
        self.refuse(folder, 'model.safetensors')
        self.refuse(file, str(file))

    def test_foreign_files(self, tmp_path):
        (tmp_path / 'text.pth').write_text('hello')
        self.refuse(tmp_path / 'text.pth', 'text.pth', 'PyTorch')
        torch.save({'model': {'conv.weight': torch.zeros(3)}}, tmp_path / 'other.pth')
        self.refuse(tmp_path / 'other.pth', 'conv.weight', 'VidEoMT')
        torch.save([1, 2], tmp_path / 'list.pth')
        self.refuse(tmp_path / 'list.pth', 'list', 'dict of tensors')

    @pytest.mark.parametrize(('content', 'what'), [
        (b'', 'it is empty'), (b'<!DOCTYPE html><html>', 'it is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:1', 'it is a Git LFS pointer'),
        (b'PK' + bytes(99), 'it is cut short')])
    def test_what_often_lies_in_the_place_of_weights(self, folder, file, content, what):
        for path in (folder / 'model.safetensors', file):
            path.write_bytes(content)
        self.refuse(folder, str(folder / 'model.safetensors'), 'safetensors; ' + what)
        self.refuse(file, str(file), 'PyTorch file of plain tensors; ' + what)

    def test_archives_of_something_else_and_damaged_ones(self, file):
        damaged = bytearray(file.read_bytes())
        start = damaged.index(b'ctorch')
        damaged[start:start + 20] = bytes(20)
        file.write_bytes(damaged)
        self.refuse(file, 'it is damaged')
        with zipfile.ZipFile(file, 'w') as archive:
            archive.writestr('text.txt', 'hello')
        self.refuse(file, 'it is a zip archive of something else')

    def test_code_in_a_file_is_not_run_nor_advised(self, tmp_path):
        torch.save({'model': pathlib.PurePosixPath('x')}, tmp_path / 'code.pth')
        self.refuse(tmp_path / 'code.pth', 'plain tensors; it holds pathlib.PurePosixPath')
        with pytest.raises(CheckpointError) as caught:
            load_network(tmp_path / 'code.pth')
        assert 'weights_only' not in str(caught.value)

    def test_how_many_blocks_see_queries_must_be_known(self, file):
        weights = torch.load(file, weights_only=True)['model']
        del weights['backbone.attn_mask_probs']
        torch.save(weights, file)
        self.refuse(file, 'attn_mask_probs', '12 or 24 blocks')

    def test_missing_tensors(self, file):
        weights = torch.load(file, weights_only=True)['model']
        for name in ('backbone.q.weight', 'backbone.encoder.backbone.blocks.1.ls1.gamma'):
            torch.save({k: v for k, v in weights.items() if k != name}, file)
            self.refuse(file, str(file), 'missing')

    def test_folder_of_another_model(self, folder):
        record = json.loads((folder / 'config.json').read_text())
        (folder / 'config.json').write_text(json.dumps({**record, 'model_type': 'vit'}))
        self.refuse(folder, 'config.json', "'vit'")

    def test_record_and_weights_disagree(self, folder):
        record = json.loads((folder / 'config.json').read_text())
        (folder / 'config.json').write_text(json.dumps({**record, 'num_queries': 5}))
        self.refuse(folder, 'queries', '(9, 64)', '(5, 64)')

    @pytest.mark.parametrize(('field', 'value'), [
        ('num_blocks', 3), ('num_hidden_layers', 10 ** 7), ('hidden_size', '64'),
        ('hidden_size', -64), ('patch_size', [16, 8]), ('id2label', [1, 2]), ('image_size', None),
        ('num_queries', 10 ** 12), ('layer_norm_eps', 'small'), ('num_upscale_blocks', 2.5)])
    def test_records_that_lie(self, field, value, tmp_path):
        # Rotary positions leave the size of the image to the record.
        make_network(backbone='dinov3').save_pretrained(tmp_path)
        record = json.loads((tmp_path / 'config.json').read_text())
        (tmp_path / 'config.json').write_text(json.dumps({**record, field: value}))
        self.refuse(tmp_path, str(tmp_path), 'expected')

    def test_a_folder_without_one_of_its_tensors(self, folder):
        weights = load_file(folder / 'model.safetensors')
        del weights['layers.1.mlp.fc1.bias']
        save_file(weights, folder / 'model.safetensors')
        self.refuse(folder, str(folder), 'blocks.1.mlp.fc1.bias', 'missing')

    def test_incomplete_folder(self, folder, tmp_path_factory):
        (folder / 'model.safetensors').unlink()
        self.refuse(folder, 'model.safetensors')
        self.refuse(tmp_path_factory.mktemp('empty'), 'config.json')
