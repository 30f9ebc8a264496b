"""The latest used stay, the others are made anew."""

import pytest
from videomt_ros.perception.engines.recent import Recent


def test_the_least_recently_used_goes_first():
    numbers = iter(range(10))
    recent = Recent(2)
    assert [recent.get(key, lambda: next(numbers)) for key in 'abacab'] == [0, 1, 0, 2, 0, 3]


def test_a_family_stays_together_however_large_it_is():
    numbers = iter(range(20))
    recent = Recent(2)

    def get(keys):
        return [recent.get(key, lambda: next(numbers), key[0]) for key in keys]

    assert get(('a1', 'a2', 'a3', 'b1', 'a1', 'a2', 'a3')) == [0, 1, 2, 3, 0, 1, 2]
    assert get(('c1', 'a3', 'b1', 'a2')) == [4, 2, 5, 1], 'b went first, then c'
    assert get(('c1', 'a3', 'b1')) == [6, 2, 7]
    assert get(('c1', 'a1', 'a2')) == [8, 9, 10], 'the whole of a was gone'


def test_what_could_not_be_made_leaves_nothing():
    recent = Recent(1)
    assert recent.get('a', lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        recent.get('b', lambda: 1 / 0)
    assert recent.get('a', lambda: 2) == 1
