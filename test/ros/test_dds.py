"""The DDS profile, and when it is left to the user."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from videomt_ros.ros import dds


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_profile_has_room_for_pictures():
    root = ElementTree.parse(dds.profile_path()).getroot()
    space = '{http://www.eprosima.com}'
    transports = {t.findtext(f'{space}type'): t for t in root.iter(f'{space}transport_descriptor')}
    assert set(transports) == {'SHM', 'UDPv4'}, 'other machines are still reached'
    assert int(transports['SHM'].findtext(f'{space}segment_size')) >= 5 * 1280 * 720 * 3
    participant = root.find(f'.//{space}participant')
    assert participant.get('is_default_profile') == 'true'


@pytest.mark.parametrize('distribution,name', [
    (None, 'FASTDDS_DEFAULT_PROFILES_FILE'), ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE')])
def test_variable_of_the_distribution(distribution, name):
    environment = {'ROS_DISTRO': distribution} if distribution else {}
    assert dds.profile_environment(environment) == {name: str(dds.profile_path())}


@pytest.mark.parametrize('name', [
    'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_BUILTIN_TRANSPORTS'])
def test_the_users_own_variable_wins(name):
    assert dds.profile_environment({name: 'theirs'}) == {}
    assert dds.profile_environment({name: ''}) != {}


@pytest.mark.parametrize('name', ['DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml'])
def test_the_users_own_file_wins(empty_folder, name):
    (empty_folder / name).write_text('<dds/>')
    assert dds.profile_environment({}) == {}


def test_remedy_names_sender_variable_and_file():
    text = dds.large_image_remedy('/camera_driver')
    assert '/camera_driver' in text and f'{dds.profile_path()}' in text
    assert '_DEFAULT_PROFILES_FILE=' in text


def test_large_buffers_are_kept():
    code = 'from videomt_ros.ros.dds import keep_large_buffers; print(keep_large_buffers())'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    expected = 'CS_GNU_LIBC_VERSION' in os.confstr_names
    assert done.stdout.strip() == str(expected)
