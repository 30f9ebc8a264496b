"""The configuration file: what it may say, and how mistakes in it are told."""

from itertools import pairwise
from pathlib import Path
import re
import subprocess

import pytest
from videomt_ros.training.config import (
    ConfigError,
    DataSource,
    Network,
    read_config,
    Stage,
    TrainConfig,
)
from videomt_ros.training.losses import LossWeights
from videomt_ros.training.sim import HELD_OUT_SEED
import yaml

ROOT = Path(__file__).parents[2]


def minimal(**changes):
    return {
        'output': 'out', 'data': [{'annotations': 'a.json'}],
        'stages': [{'name': 'frame', 'steps': 10, 'frame_size': [32, 48]}], **changes}


def write(path, content):
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_what_is_left_out_has_the_values_of_the_records(tmp_path):
    found = read_config(write(tmp_path / 'c.yaml', minimal()))
    assert found == TrainConfig(
        'out', (DataSource('a.json'),), (Stage('frame', 10, (32, 48)),))


def test_every_entry_is_read(tmp_path):
    found = read_config(write(tmp_path / 'c.yaml', """
        output: out
        data: [{annotations: a.json, images: pictures, weight: 2}]
        seed: 3
        test_size: 96
        mask_parts: main
        renew_below: 0.25
        network: {hidden_size: 64, layer_scale: 1e-5}
        loss: {num_points: 100, no_object: 0.2, loyalty: 2}
        precision: bf16
        device: cuda:1
        stages:
          - {name: one, steps: 5, frame_size: [8, 16], lr: 1e-3, masked_attention: [0, 0.5]}
          - {name: two, steps: 6, frame_size: [8, 16], frames: 4, optimizer: muon}
        """))
    assert found == TrainConfig(
        'out', (DataSource('a.json', 'pictures', 2.0),), (
            Stage('one', 5, (8, 16), lr=1e-3, masked_attention=(0.0, 0.5)),
            Stage('two', 6, (8, 16), frames=4, optimizer='muon')),
        seed=3, test_size=96, mask_parts='main', renew_below=0.25,
        network=Network(hidden_size=64, layer_scale=1e-5),
        loss=LossWeights(num_points=100, no_object=0.2, loyalty=2.0),
        precision='bf16', device='cuda:1')


def test_the_configuration_of_the_embedded_checkpoint_reads():
    found = read_config(ROOT / 'config/train_embedded.yaml')
    frame, *clips = found.stages
    assert frame.frames == 1 and frame.masked_attention != (0, 0)
    assert clips and all(stage.frames > 1 for stage in clips)
    assert all(side % found.network.patch_size == 0
               for stage in found.stages for side in stage.frame_size)


def test_each_of_its_trainings_begins_with_what_is_made_before():
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8').replace('\\\n', ' ')
    recipe = re.search(r'^train:.*\n((?:\t.*\n)+)', makefile, re.MULTILINE)
    made, found = [''], []
    for line in recipe[1].splitlines():
        words = line.split()
        if '--convert' in words:
            source, result = words[words.index('--convert') + 1:][:2]
            others = [word for word in words[words.index('--average') + 1:] if word != '--half']
            assert source == made[-1] and others and set(others) <= set(made)
            made.append(result)
        elif any(word.endswith('videomt_train') for word in words):
            found.append(read_config(ROOT / words[-1]))
            assert found[-1].init == made[-1]
            made.append(f'{found[-1].output}/network')
    assert len(found) == len(list(ROOT.glob('config/train_embedded*.yaml'))) > 1
    assert made[-1] == 'runs/embedded' and len(set(made)) == len(made)
    *early, before, rows, dense, renewed, unseen, live, every = found
    for former, latter in pairwise([*early, before]):
        assert scenes(former, 5) < scenes(latter)
    # The next three ran on scenes of six seconds alone: the first two of them on ever fewer of
    # those that the one before had seen, the third on further ones too.
    assert scenes(dense) < scenes(rows) < scenes(before) and scenes(dense) < scenes(renewed)
    assert all('/spread_' in annotations for annotations in scenes(rows) | scenes(renewed))
    # Then one saw new ones alone, the next some of those and the camera's rate, the last all.
    assert not scenes(unseen) & (scenes(before) | scenes(renewed))
    assert scenes(renewed) | scenes(unseen) | scenes(live) == scenes(every)
    assert scenes(live) - scenes(unseen) - scenes(rows) > {
        f'runs/data/live_{i}/annotations.json' for i in range(4)}


def scenes(config, count=None):
    """Name the data of a training, or the first so many of them."""
    return {source.annotations for source in config.data[:count]}


def rendered(folder):
    """Give for each data set of `make data` the seeds of its scenes."""
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8').replace('\\\n', ' ')
    recipe = re.search(r'^data:.*\n((?:\t.*\n)+)', makefile, re.MULTILINE)
    script = recipe[1].replace('$(BIN)/videomt_simulate', 'echo').replace('$$', '$')
    for name, value in re.findall(r'^(\w+) = (.*)$', makefile, re.MULTILINE):
        script = script.replace(f'$({name})', value)
    # The shell counts, as it does for make; of commands it finds its own alone.
    done = subprocess.run(
        ['/bin/sh', '-ec', script], cwd=folder, env={'PATH': '/nowhere'}, capture_output=True,
        text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        command, name, *options = line.split()
        values = dict(zip(options[::2], options[1::2], strict=True))
        assert command == 'dataset' and name not in found
        first = int(values['--seed'])
        found[name] = range(first, first + int(values['--scenes']))
    return found


def test_no_scene_of_the_trainings_is_held_out(tmp_path):
    seeds = rendered(tmp_path)
    held_out = seeds.pop('runs/data/val')
    assert held_out[0] == HELD_OUT_SEED
    assert len(seeds) > 50 and max(each[-1] for each in seeds.values()) < HELD_OUT_SEED
    # Each scene is rendered once, and no training reads what is not among these.
    assert len(set().union(*seeds.values())) == sum(len(each) for each in seeds.values())
    trained = set()
    for path in ROOT.glob('config/train_embedded*.yaml'):
        trained |= scenes(read_config(path))
    assert trained and trained <= {f'{folder}/annotations.json' for folder in seeds}


def documented():
    text = (ROOT / 'docs/training.md').read_text(encoding='utf-8')
    return re.findall(r'^```yaml\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_manual_read(tmp_path):
    whole = [text for text in documented() if 'output:' in text]
    assert len(whole) == 1
    found = read_config(write(tmp_path / 'c.yaml', whole[0]))
    assert found.init and found.network == Network()
    assert all(side % 16 == 0 for stage in found.stages for side in stage.frame_size)


def told(path):
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f'{path}: ') and '\n' not in message
    return message.removeprefix(f'{path}: ')


STAGE = {'name': 'a', 'steps': 1, 'frame_size': [8, 8]}


@pytest.mark.parametrize('changes, message', (
    ({'steps': 3}, "the file has an unknown entry 'steps'; expected output, data, stages, seed"),
    ({'output': 5}, 'output is 5; expected text'),
    ({'output': ''}, "output is ''; expected a folder"),
    ({'data': []}, 'data is []; expected at least one source'),
    ({'data': 'a.json'}, "data is 'a.json'; expected a list"),
    ({'data': ['a.json']}, "data[0] is 'a.json'; expected entries with names"),
    ({'data': [{'images': 'x'}]}, "data[0] lacks the entry 'annotations'"),
    ({'data': [{'annotations': 'a', 'weight': 0}]}, 'data[0].weight is 0.0; expected more than'),
    ({'stages': []}, 'stages is []; expected at least one stage'),
    ({'stages': [STAGE, STAGE]}, "stages is ['a', 'a']; expected a name of its own for each"),
    ({'stages': [STAGE, {'name': 'b', 'frame_size': [8, 8]}]},
     "stages[1] lacks the entry 'steps'"),
    ({'stages': [{**STAGE, 'speed': 1}]}, "stages[0] has an unknown entry 'speed'; expected name"),
    ({'stages': [{**STAGE, 'steps': 0}]}, 'stages[0].steps is 0; expected at least 1'),
    ({'stages': [{**STAGE, 'steps': 1.5}]}, 'stages[0].steps is 1.5; expected a whole number'),
    ({'stages': [{**STAGE, 'steps': True}]}, 'stages[0].steps is True; expected a whole number'),
    ({'stages': [{**STAGE, 'frame_size': [8]}]}, 'stages[0].frame_size is [8]; expected 2 values'),
    ({'stages': [{**STAGE, 'frame_size': [8, 'x']}]},
     "stages[0].frame_size[1] is 'x'; expected a whole number"),
    ({'stages': [{**STAGE, 'frame_size': [0, 8]}]}, 'stages[0].frame_size is (0, 8); expected'),
    ({'stages': [{**STAGE, 'lr': 'fast'}]}, "stages[0].lr is 'fast'; expected a number"),
    ({'stages': [{**STAGE, 'lr': 0}]}, 'stages[0].lr is 0.0; expected more than 0'),
    ({'stages': [{**STAGE, 'dense_rate': 0}]},
     'stages[0].dense_rate is 0.0; expected more than 0'),
    ({'stages': [{**STAGE, 'lr': '.nan'}]}, "stages[0].lr is '.nan'; expected a number"),
    ({'stages': [{**STAGE, 'lr': float('nan')}]}, 'stages[0].lr is nan; expected a finite number'),
    ({'stages': [{**STAGE, 'layer_decay': 2}]}, 'stages[0].layer_decay is 2.0; expected above 0'),
    ({'stages': [{**STAGE, 'warmup': -1}]}, 'stages[0].warmup is -1; expected at least 0'),
    ({'stages': [{**STAGE, 'lead': -1}]}, 'stages[0].lead is -1; expected at least 0'),
    ({'stages': [{**STAGE, 'zoom': 0.5}]}, 'stages[0].zoom is 0.5; expected at least 1'),
    ({'stages': [{**STAGE, 'colour': -1}]}, 'stages[0].colour is -1.0; expected at least 0'),
    ({'stages': [{**STAGE, 'paste': 2}]}, 'stages[0].paste is 2.0; expected 0 to 1'),
    ({'stages': [{**STAGE, 'twins': -1}]}, 'stages[0].twins is -1.0; expected 0 to 1'),
    ({'stages': [{**STAGE, 'masked_attention': [0.5, 0.5]}]},
     'stages[0].masked_attention is [0.5, 0.5]; expected two rising numbers in 0..1, or [0, 0]'),
    ({'stages': [{**STAGE, 'masked_attention': [0, 20]}]}, 'stages[0].masked_attention is'),
    ({'network': {'patch_size': 0}}, 'network.patch_size is 0; expected at least 1'),
    ({'network': None}, 'network is None; expected entries with names'),
    ({'loss': {'num_points': 0}}, 'loss is LossWeights('),
    ({'loss': {'dice': -1}}, 'expected weights of at least 0'),
    ({'loss': {'importance': 2}}, 'importance in 0..1'),
    ({'loss': {'loyalty': -1}}, 'a loyalty of at least 0'),
    ({'mask_parts': 'half'}, "mask_parts is 'half'; expected one of all, main, or nothing"),
    ({'renew_below': 1.5}, 'renew_below is 1.5; expected at most 1'),
    ({'precision': 'fp8'}, "precision is 'fp8'; expected fp32, bf16 or fp16"),
    ({'device': 'tpu'}, "device is 'tpu'; expected auto, cpu, cuda or cuda:N"),
    ({'seed': -1}, 'seed is -1; expected at least 0'),
    ({'threads': 0}, 'threads is 0; expected at least 1'),
    ({'save_every': 0}, 'save_every is 0; expected at least 1'),
    ({'init': 'x', 'network': {'num_layers': 3}},
     'expected none, for the sizes are those of init (x)'),
))
def test_a_mistake_is_told_with_file_entry_and_what_was_expected(tmp_path, changes, message):
    assert message in told(write(tmp_path / 'c.yaml', minimal(**changes)))


@pytest.mark.parametrize('missing', ('output', 'data', 'stages'))
def test_what_must_be_given_is_named(tmp_path, missing):
    content = minimal()
    del content[missing]
    assert told(write(tmp_path / 'c.yaml', content)) == f'the file lacks the entry {missing!r}'


@pytest.mark.parametrize('content, message', (
    ('', 'the file is None; expected entries with names'),
    ('[1, 2]', 'the file is [1, 2]; expected entries with names'),
    ('a: [1', 'not YAML'),
    ('!!python/object/apply:os.system [ls]', 'not YAML'),
))
def test_a_file_that_is_no_configuration_is_named(tmp_path, content, message):
    assert message in told(write(tmp_path / 'c.yaml', content))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert 'cannot be read (No such file or directory)' in told(tmp_path / 'absent.yaml')
    assert 'cannot be read (Is a directory)' in told(tmp_path)
    (tmp_path / 'bytes.yaml').write_bytes(b'\xff\xfe\x00')
    assert 'not text in UTF-8' in told(tmp_path / 'bytes.yaml')
