"""The latest used stay, the others are made anew."""

from videomt_ros.perception.engines.recent import Recent


def test_the_least_recently_used_goes_first():
    numbers = iter(range(10))
    recent = Recent(2)
    assert [recent.get(key, lambda: next(numbers)) for key in 'abacab'] == [0, 1, 0, 2, 0, 3]
