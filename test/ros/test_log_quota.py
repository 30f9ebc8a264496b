"""The log of a camera that has gone mad."""

from videomt_ros.ros.log_quota import LogQuota


def test_so_many_lines_a_minute():
    quota = LogQuota(3)
    assert [quota.grant(100.0 + number) for number in range(5)] == ['', '', '', None, None]
    assert quota.grant(159.0) is None
    assert quota.grant(160.0) == ' (3 like it were not logged)'
    assert quota.grant(161.0) == ''
