"""What the publishers of recorded topics are said to have offered, for players to offer again."""

from __future__ import annotations

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

# 2^63 - 1 nanoseconds, which ROS takes for an infinite time.
_FOREVER = QosTime(9223372036, 854775807)


def offered(depth: int, latched: bool = False) -> Qos:
    """
    Describe a reliable publisher.

    :param depth: messages that it keeps.
    :param latched: whether who comes later gets them too (transient local).
    :returns: its quality of service, as a recording's metadata have it.
    """
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, _FOREVER,
               _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)
