"""Parameters: described, limited, refused with a reason, and taken between two images."""

from dataclasses import fields

from harness import image_of
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from videomt_ros.msg import Track, TrackArray
from videomt_ros.ros.parameters import ParameterError, Settings, When
from videomt_ros.share import share_directory
import yaml

NAMES = [spec.name for spec in fields(Settings)]


def put(node, **values):
    """Set parameters at once, as the service set_parameters_atomically does."""
    return node.set_parameters_atomically([Parameter(n, value=v) for n, v in values.items()])


def test_every_parameter_is_described(probe, host):
    host()
    response = probe.call(DescribeParameters, 'videomt/describe_parameters',
                          DescribeParameters.Request(names=NAMES))
    for name, descriptor in zip(NAMES, response.descriptors, strict=True):
        assert descriptor.name == name and len(descriptor.description) > 10
        assert descriptor.additional_constraints
    described = {each.name: each for each in response.descriptors}
    score = described['start_score'].floating_point_range[0]
    assert (score.from_value, score.to_value) == (0.0, 1.0)
    assert described['confirm_frames'].integer_range[0].from_value == 1
    assert described['autostart'].read_only and not described['checkpoint'].read_only
    assert 'auto, reliable, best_effort' in described['reliability'].additional_constraints


def test_params_file_names_every_parameter_with_its_default(probe, host):
    node = host(checkpoint='', engine='auto')
    content = yaml.safe_load((share_directory() / 'config' / 'videomt.yaml').read_text())
    written = content['/**']['ros__parameters']
    assert list(written) == sorted(written, key=list(written).index)
    assert set(written) == set(NAMES)
    for name, value in written.items():
        assert node.get_parameter(name).value == value, name
        assert type(node.get_parameter(name).value) is type(value), name


@pytest.mark.parametrize('values,words', [
    ({'start_score': 1.5}, ['start_score', '1.0', '1.5']),
    ({'start_score': float('nan')}, ['start_score', 'nan']),
    ({'keep_score': 0.9}, ['keep_score is 0.9', 'at most start_score = 0.5']),
    ({'max_gap': 0.0}, ['max_gap', '0.0']),
    ({'confirm_frames': 0}, ['confirm_frames', '0']),
    ({'confirm_frames': 2.5}, ['type']),
    ({'image_transport': 'theora'}, ["'theora'", 'one of raw, compressed']),
    ({'reliability': 'maybe'}, ["'maybe'", 'auto, reliable, best_effort']),
    ({'task': 'cook'}, ["'cook'", 'one of', 'instance']),
    ({'precision': 'int3'}, ["'int3'", 'fp32']),
    ({'engine': 'steam'}, ["'steam'", 'eager']),
    ({'outputs': ['mask', 'masque']}, ["['mask', 'masque']", 'one of mask, mask_image']),
    ({'resize': 'crop'}, ["'crop'", 'short_side']),
    ({'mask_parts': 'half'}, ["'half'", 'auto, all, main']),
    ({'autostart': False}, ['read-only']),
    ({'start_score': 0.6, 'keep_score': 0.7}, ['keep_score is 0.7']),
    ({'start_score': 0.6, 'reliability': 'maybe'}, ["'maybe'"]),
])
def test_bad_values_are_refused_with_the_reason(host, values, words):
    node = host()
    before = node.parameters.settings
    result = put(node, **values)
    assert not result.successful
    for word in words:
        assert word in result.reason, result.reason
    assert node.parameters.settings is before


def test_good_values_are_taken(host):
    node = host()
    assert put(node, start_score=0.2, keep_score=0.1, classes=['red', '']).successful
    settings = node.parameters.settings
    assert (settings.start_score, settings.keep_score, settings.classes) == (0.2, 0.1, ('red',))
    assert put(node, classes=['']).successful and node.parameters.settings.classes == ()
    assert put(node, use_sim_time=False).successful, 'parameters that are not ours go through'


def test_empty_names_in_a_list_do_not_count(host):
    assert host(cameras=['left', '', 'right']).parameters.settings.cameras == ('left', 'right')


@pytest.mark.parametrize('name', [
    spec.name for spec in fields(Settings) if spec.metadata['when'] is When.CONFIGURE])
def test_what_configure_reads_stays_until_cleanup(host, name):
    node = host()
    node.trigger_configure()
    same = node.get_parameter(name)
    result = node.set_parameters([same])[0]
    assert not result.successful and f'{name} is read in configure' in result.reason
    node.trigger_cleanup()
    assert node.set_parameters([same])[0].successful


def test_class_that_the_weights_do_not_know(host):
    node = host()
    node.trigger_configure()
    result = put(node, classes=['red', 'purple'])
    assert not result.successful
    assert 'purple' in result.reason and 'red, green, blue' in result.reason


@pytest.mark.parametrize('parameters,words', [
    ({'max_lost': -1.0}, ['max_lost', 'float 0.0 to 3600.0']),
    ({'max_lost': 3}, ['max_lost', 'expected float', 'INTEGER']),
    ({'start_score': 0.1}, ['keep_score is 0.3', 'start_score = 0.1']),
    ({'task': 'cook'}, ["task is 'cook'; expected one of"]),
])
def test_bad_value_at_the_start(host, parameters, words):
    with pytest.raises(ParameterError) as error:
        host(**parameters)
    for word in words:
        assert word in str(error.value)
    assert '\n' not in str(error.value)


def test_change_takes_effect_with_the_next_image(start_node, probe):
    start_node()
    tracks = probe.listen(TrackArray, 'videomt/tracks')
    camera = probe.publisher('image')
    squares = {'red': (32, 16, 32, 32), 'green': (80, 48, 32, 32)}
    first = probe.ask(camera, image_of(0, **squares), tracks)
    assert {t.class_name for t in first.tracks} == {'red', 'green'}
    assert all(t.mask_counts for t in first.tracks)

    def ask_for(name, value):
        parameter = Parameter(name, value=value).to_parameter_msg()
        assert isinstance(parameter, ParameterMessage)
        response = probe.call(SetParameters, 'videomt/set_parameters',
                              SetParameters.Request(parameters=[parameter]))
        return response.results[0]

    assert ask_for('classes', ['red']).successful
    assert ask_for('publish_mask_runs', False).successful
    second = probe.ask(camera, image_of(0.1, **squares), tracks)
    states = {t.class_name: t.state for t in second.tracks}
    assert states == {'red': Track.STATE_NEW, 'green': Track.STATE_ENDED}
    assert not any(t.mask_counts for t in second.tracks)
    refused = ask_for('keep_score', 1.5)
    assert not refused.successful and 'keep_score' in refused.reason
