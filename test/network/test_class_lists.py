"""Class lists: their order, their things, and what a checkpoint's own names are worth."""

import logging

import pytest
from videomt_ros.network.class_lists import CLASS_LISTS, load_class_list, names_for

SIZES = {'ytvis2019': 40, 'ytvis2021': 40, 'ytvis2022': 40, 'ovis': 25, 'vipseg': 124, 'vspw': 124}


@pytest.mark.parametrize('key', CLASS_LISTS)
def test_every_list_is_whole(key):
    listed = load_class_list(key)
    assert listed.key == key and listed.title and listed.source
    assert len(listed.names) == len(set(listed.names)) == SIZES[key]
    assert all(name == name.strip() and name for name in listed.names)
    assert len(listed.thing_classes) == (58 if SIZES[key] == 124 else SIZES[key])


@pytest.mark.parametrize('key,facts', (
    ('ytvis2019', {0: 'person', 5: 'sedan', 13: 'cat', 38: 'earless_seal', 39: 'tennis_racket'}),
    ('ytvis2021', {0: 'airplane', 13: 'flying_disc', 25: 'person', 31: 'squirrel', 39: 'zebra'}),
    ('ovis', {0: 'Person', 11: 'Poultry', 12: 'Giant_panda', 24: 'Vehical'}),
    ('vipseg', {0: 'door', 2: 'window', 17: 'person', 37: 'chair_or_seat', 57: 'train',
                58: 'wall', 67: 'floor', 95: 'pipeline', 123: 'food'}),
))
def test_names_stand_in_the_order_of_the_class_head(key, facts):
    names = load_class_list(key).names
    assert {index: names[index] for index in facts} == facts


def test_challenge_sets_share_the_classes_of_their_elders():
    assert load_class_list('ytvis2022').names == load_class_list('ytvis2021').names
    assert load_class_list('vspw').names == load_class_list('vipseg').names
    assert load_class_list('vspw').raw_ids == load_class_list('vipseg').raw_ids
    assert load_class_list('ytvis2022').title == 'YouTube-VIS 2022'


def test_vipseg_is_ordered_by_raw_id_within_things_and_within_stuff():
    listed = load_class_list('vipseg')
    things, stuff = listed.raw_ids[:58], listed.raw_ids[58:]
    assert list(things) == sorted(things) and list(stuff) == sorted(stuff)
    assert sorted(listed.raw_ids) == list(range(124))
    assert (listed.raw_ids[0], listed.raw_ids[57], listed.raw_ids[58]) == (2, 123, 0)
    assert listed.raw_names[:4] == ('wall', 'ceiling', 'door', 'stair')
    assert listed.raw_names[123] == 'train'


def test_an_unknown_list_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no class list '../vipseg'; expected one of ytvis2019"):
        load_class_list('../vipseg')


def test_vipseg_names_in_raw_order_are_corrected_and_the_log_says_so(caplog):
    listed = load_class_list('vipseg')
    names, things = names_for(124, listed.raw_names, source='some/port')
    assert names == listed.names and things == frozenset(range(58))
    assert len(caplog.messages) == 1
    assert 'some/port' in caplog.messages[0] and 'corrected' in caplog.messages[0]


def test_vipseg_names_in_head_order_are_left_alone(caplog):
    names, things = names_for(124, load_class_list('vipseg').names)
    assert names[0] == 'door' and things == frozenset(range(58))
    assert not caplog.messages


def test_names_that_are_not_quite_the_raw_ones_are_the_checkpoints_own(caplog):
    raw = list(load_class_list('vipseg').raw_names)
    raw[3], raw[4] = raw[4], raw[3]
    names, things = names_for(124, raw)
    assert names == tuple(raw) and things == frozenset(range(124))
    assert not caplog.messages


def test_stored_things_vouch_for_the_order_of_the_names(caplog):
    raw = load_class_list('vipseg').raw_names
    assert names_for(124, raw, own_things={0, 7}) == (raw, frozenset({0, 7}))
    assert not caplog.messages


def test_own_names_win_over_the_data_set(caplog):
    names, things = names_for(3, ['robot', 'crate', 'cone'], dataset='ovis')
    assert names == ('robot', 'crate', 'cone') and things == frozenset({0, 1, 2})
    assert not caplog.messages


@pytest.mark.parametrize('own', (
    None, ['too', 'few'], [f'LABEL_{i}' for i in range(25)], [''] * 25))
def test_names_that_do_not_fit_give_way_to_the_data_set(own):
    assert names_for(25, own, dataset='ovis')[0][24] == 'Vehical'


def test_the_number_of_classes_tells_the_data_set_where_nothing_else_does(caplog):
    assert names_for(124)[0][0] == 'door'
    assert names_for(25, source='a.pth')[0][0] == 'Person'
    assert 'a.pth' in caplog.messages[1] and 'OVIS' in caplog.messages[1]


def test_forty_nameless_classes_are_numbered_since_two_data_sets_have_forty(caplog):
    caplog.set_level(logging.WARNING)
    names, things = names_for(40, source='mine.pth')
    assert names[39] == 'class 39' and things == frozenset(range(40))
    assert 'mine.pth' in caplog.messages[0]
    assert names_for(40, own_things={1})[1] == {1}
    assert names_for(40, dataset='ytvis2021')[0][0] == 'airplane'
