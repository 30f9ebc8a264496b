"""The command that lists the published checkpoints and converts files."""

import json

from networks import make_network
import pytest
import torch
from videomt_ros.network import load_network, registry, VideoMT
from videomt_ros.tools.checkpoints import main

C, BLOCKS, CLASSES = 64, 2, 25


def linear(name, rows, columns):
    return {f'{name}.weight': torch.randn(rows, columns) * 0.1, f'{name}.bias': torch.randn(rows)}


def norm(name):
    return {f'{name}.weight': torch.randn(C), f'{name}.bias': torch.randn(C)}


def original_file(path, dinov3=False):
    """Write a tiny checkpoint under the names of the authors' files."""
    encoder, tensors = 'encoder.backbone', {}
    embed = f'{encoder}.patch_embed' if dinov3 else encoder
    convolution = 'patch_embeddings' if dinov3 else 'patch_embed.proj'
    tensors[f'{embed}.cls_token'] = torch.randn(1, 1, C)
    tensors[f'{embed}.{"register_tokens" if dinov3 else "reg_token"}'] = torch.randn(1, 4, C)
    tensors[f'{embed}.{convolution}.weight'] = torch.randn(C, 3, 16, 16)
    tensors[f'{embed}.{convolution}.bias'] = torch.randn(C)
    if not dinov3:
        tensors[f'{encoder}.pos_embed'] = torch.randn(1, 4, C)
    for index in range(BLOCKS):
        block = f'{encoder}.blocks.{index}'
        tensors |= norm(f'{block}.norm1') | norm(f'{block}.norm2')
        if dinov3:
            for letter in 'qkvo':
                tensors |= linear(f'{block}.attention.{letter}_proj', C, C)
            del tensors[f'{block}.attention.k_proj.bias']
            tensors |= linear(f'{block}.mlp.up_proj', 4 * C, C)
            tensors |= linear(f'{block}.mlp.down_proj', C, 4 * C)
        else:
            tensors |= linear(f'{block}.attn.qkv', 3 * C, C) | linear(f'{block}.attn.proj', C, C)
            tensors |= linear(f'{block}.mlp.fc1', 4 * C, C) | linear(f'{block}.mlp.fc2', C, 4 * C)
        for number in '12':
            scale = f'layer_scale{number}.lambda1' if dinov3 else f'ls{number}.gamma'
            tensors[f'{block}.{scale}'] = torch.randn(C)
    tensors |= norm(f'{encoder}.norm')
    tensors |= {'attn_mask_probs': torch.ones(1), 'q.weight': torch.randn(5, C)}
    tensors |= linear('query_updater', C, C) | linear('class_head', CLASSES + 1, C)
    for index in '024':
        tensors |= linear(f'mask_head.{index}', C, C)
    for index in '01':
        tensors[f'upscale.{index}.conv1.weight'] = torch.randn(C, C, 2, 2) * 0.1
        tensors[f'upscale.{index}.conv1.bias'] = torch.randn(C)
        tensors[f'upscale.{index}.conv2.weight'] = torch.randn(C, 1, 3, 3)
        tensors |= norm(f'upscale.{index}.norm')
    torch.save({'model': {f'backbone.{name}': t for name, t in tensors.items()}}, path)
    return path


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(registry, 'try_to_load_from_cache', lambda *_: None)


def test_the_table_tells_accuracy_speed_cache_and_licence_of_all(capsys):
    by_hand = registry.by_hand_folder()
    by_hand.mkdir(parents=True)
    (by_hand / 'ovis_vit_large_52.5.pth').touch()
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith('videomt-')}
    assert list(rows) == [entry.name for entry in registry.ENTRIES]
    assert 'AP 52.5, AR10 57.5' in rows['videomt-l-ovis']
    assert '115' in rows['videomt-l-ovis'].split()
    assert {name for name, row in rows.items() if 'yes' in row.split()} == {'videomt-l-ovis'}
    assert {name for name, row in rows.items() if '(?)' in row} == {
        'videomt-l-dinov3-vipseg', 'videomt-l-dinov3-vspw'}
    assert rows['videomt-l-dinov3-vspw'].split()[-3:] == ['1', '2', '3']
    text = '\n'.join(lines)
    assert 'non-commercial' in text and "Meta's DINOv3 licence" in text and 'MIT' in text
    assert str(by_hand) in text


def test_a_converted_file_computes_the_same_and_carries_its_record(tmp_path, capsys):
    source = original_file(tmp_path / 'mine.pth')
    assert main(['--convert', str(source), str(tmp_path / 'out'), '--norm-queries', 'true']) == 0
    assert 'norm_queries true, 25 classes (Person, Bird, Cat, ...)' in capsys.readouterr().out
    converted = load_network(tmp_path / 'out')
    assert converted.config.norm_queries
    assert converted.config.class_names[24] == 'Vehical'
    assert converted.config == load_network(source, norm_queries=True).config
    pixels = torch.randn(1, 3, 32, 64)
    expected = load_network(source)(pixels)
    assert torch.equal(converted(pixels).class_logits, expected.class_logits)
    record = json.loads((tmp_path / 'out' / 'config.json').read_text())
    assert record['id2label']['24'] == 'Vehical' and record['model_type'] == 'videomt'


def test_nothing_of_a_dinov3_is_lost(tmp_path, capsys):
    source = original_file(tmp_path / 'three.pth', dinov3=True)
    assert main(['--convert', str(source), str(tmp_path / 'out')]) == 0
    assert 'transformers has no VidEoMT of this kind' in capsys.readouterr().out
    converted, expected = load_network(tmp_path / 'out'), load_network(source)
    assert converted.config == expected.config and converted.config.backbone == 'dinov3'
    pixels = torch.randn(1, 3, 32, 64)
    assert torch.equal(converted(pixels).mask_logits, expected(pixels).mask_logits)


def test_the_data_set_can_be_named(tmp_path):
    source = original_file(tmp_path / 'mine.pth')
    assert main(['--convert', str(source), str(tmp_path / 'out'), '--classes', 'ovis']) == 0
    assert load_network(tmp_path / 'out').config.class_names[0] == 'Person'
    other = original_file(tmp_path / 'other.pth')
    assert main(['--convert', str(source), str(tmp_path / 'mean'), '--classes', 'vipseg',
                 '--average', str(other)]) == 1, 'of another number'
    assert main(['--convert', str(source), str(tmp_path / 'mean'), '--classes', 'ovis',
                 '--average', str(other)]) == 0


def test_weights_are_averaged_under_the_first_ones_record(tmp_path, capsys):
    folders = [tmp_path / name for name in 'abc']
    weights = []
    for seed, folder in enumerate(folders):
        network = make_network(seed, mask_parts='main' if folder.name == 'a' else 'all')
        network.save_pretrained(folder)
        weights.append(network.state_dict())
    out = tmp_path / 'out'
    first, *others = map(str, folders)
    assert main(['--convert', first, str(out), '--average', *others]) == 0
    averaged = load_network(out)
    assert averaged.config == load_network(first).config
    for name, tensor in averaged.state_dict().items():
        torch.testing.assert_close(tensor, sum(each[name] for each in weights) / 3)
    make_network(num_queries=7).save_pretrained(folders[2])
    capsys.readouterr()
    said = fails(capsys, '--convert', first, out, '--average', *others)
    assert f'{folders[2]} is another network than {first}; expected the same sizes' in said


def test_masks_can_be_made_larger(tmp_path, capsys):
    before, after = tmp_path / 'before', tmp_path / 'after'
    make_network().save_pretrained(before)
    assert main(['--convert', str(before), str(after), '--average', str(before),
                 '--mask-bias', '0.7', '--half']) == 0
    pixels = torch.randn(1, 3, 32, 64)
    kept, raised = load_network(before)(pixels), load_network(after)(pixels)
    difference = raised.mask_logits - kept.mask_logits
    torch.testing.assert_close(difference.mean(), torch.tensor(0.7), atol=0.05, rtol=0)
    torch.testing.assert_close(raised.class_logits, kept.class_logits, atol=0.05, rtol=0)
    VideoMT(load_network(before).config).save_pretrained(before)
    capsys.readouterr()
    said = fails(capsys, '--convert', before, after, '--mask-bias', '0.7')
    assert f'{before}: nothing can be added' in said and 'a trained network' in said


def fails(capsys, *arguments):
    """Run the command, which must fail; return its one line."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.count('\n') == 1
    assert captured.err.startswith('videomt_checkpoints: ')
    return captured.err


def test_what_cannot_be_converted_is_told_in_one_line(tmp_path, capsys):
    source, out = original_file(tmp_path / 'mine.pth'), tmp_path / 'out'
    torn = tmp_path / 'torn.pth'
    torn.write_bytes(source.read_bytes()[:1000])
    assert 'torn.pth' in fails(capsys, '--convert', torn, out)
    assert 'absent.pth' in fails(capsys, '--convert', tmp_path / 'absent.pth', out)
    message = fails(capsys, '--convert', source, out, '--classes', 'vipseg')
    assert '25 classes; VIPSeg has 124' in message
    assert 'is a file' in fails(capsys, '--convert', source, torn)
    assert not out.exists()


@pytest.mark.parametrize('arguments', (
    ['--classes', 'ovis'], ['--norm-queries', 'true'], ['--convert', 'one.pth'],
    ['--mask-bias', '0.7'], ['--convert', 'a', 'b', '--mask-bias', 'nan'],
    ['--convert', 'a', 'b', '--norm-queries', 'maybe'], ['--convert', 'a', 'b', '--classes', 'x']))
def test_arguments_that_make_no_sense_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert 'usage: videomt_checkpoints' in capsys.readouterr().err


def test_half_takes_half_the_space(tmp_path):
    make_network().save_pretrained(tmp_path / 'whole')
    assert main(['--convert', str(tmp_path / 'whole'), str(tmp_path / 'half'), '--half']) == 0
    sizes = [(tmp_path / kind / 'model.safetensors').stat().st_size for kind in ('whole', 'half')]
    assert sizes[1] < 0.6 * sizes[0]
    whole, half = load_network(tmp_path / 'whole'), load_network(tmp_path / 'half')
    torch.testing.assert_close(half.queries, whole.queries, atol=2e-3, rtol=0)
