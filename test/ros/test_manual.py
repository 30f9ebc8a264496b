"""The manual for robots names topics, services and parameters that there are."""

from dataclasses import fields
from pathlib import Path
import re

import pytest
from videomt_ros.ros.outputs import OUTPUTS
from videomt_ros.ros.parameters import Settings
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def manual():
    return (ROOT / 'docs/robot.md').read_text(encoding='utf-8')


def test_examples_are_yaml_with_topics_of_the_node(manual):
    layer, manager = [yaml.safe_load(text) for text in
                      re.findall(r'^```yaml\n(.*?)^```', manual, re.MULTILINE | re.DOTALL)]
    topics = layer['semantic_segmentation_layer']['camera']
    assert {topics[f'{name}_topic'].removeprefix('/videomt/')
            for name in ('segmentation', 'confidence')} == {'class_mask', 'confidence'}
    settings = manager['lifecycle_manager_perception']['ros__parameters']
    assert settings['node_names'] == ['videomt'] and settings['bond_timeout'] == 0.0


def test_names_are_those_of_the_node(manual, host, probe):
    node = host()
    node.trigger_configure()
    services = {name.removeprefix('/videomt/') for name, _ in
                node.get_service_names_and_types_by_node('videomt', '')}
    others = {'label_info', 'detections'}  # where vision_msgs is installed
    for name in re.findall(r'`~/([a-z_/]+)`', manual):
        assert name in {*OUTPUTS, *services, *others}, name
    for name in re.findall(r'/videomt/([a-z_/]+)', manual):
        assert name in {*OUTPUTS, *others}, name
    parameters = {spec.name for spec in fields(Settings)} | {'use_sim_time', 'bond_timeout'}
    for name in re.findall(r'`([a-z]+_[a-z_]+)`', manual):
        assert name in parameters | {
            'vision_msgs', 'semantic_segmentation_layer', 'mask_image', 'class_id', 'frame_id'}
