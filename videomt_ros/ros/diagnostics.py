"""The node's health on ``/diagnostics``: one status per camera, in numbers and in words."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header
from videomt_ros.ros.image_input import Complaint, ImageInput
from videomt_ros.ros.statistics import Snapshot

_CLOCKS_DIFFER_MS = 3.6e6  # an age of over an hour is that of a recording


def status_message(name: str, hardware_id: str, state: Snapshot, image_input: ImageInput | None,
                   complaint: Complaint | None) -> DiagnosticStatus:
    """
    Word the health of one camera.

    :param name: of the status.
    :param hardware_id: what the network runs on.
    :param state: of its statistics.
    :param image_input: of its images; None while the node is not active.
    :param complaint: why images do not come; None if they do.
    :returns: STALE when inactive, ERROR when the newest image gave no result, WARN when images do
        not come, else OK.
    """
    level, message = DiagnosticStatus.OK, f'{state.output_rate:.1f} results/s'
    if image_input is None:
        level, message = DiagnosticStatus.STALE, 'not active'
    elif state.failing is not None:
        level, message = DiagnosticStatus.ERROR, f'no result of the newest image: {state.failing}'
    elif complaint is not None:
        level, message = DiagnosticStatus.WARN, complaint.text
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in _values(state, image_input)])


def _values(state: Snapshot, image_input: ImageInput | None) -> list[tuple[str, str]]:
    """
    List the numbers of one camera.

    :param state: of its statistics.
    :param image_input: of its images, or None.
    :returns: keys and values.
    """
    values = []
    if image_input is not None:
        values += [('topic', image_input.topic),
                   ('reliability asked', image_input.asked),
                   ('publishers', image_input.publishers()),
                   ('images lost by DDS, last 10 s', str(image_input.lost()))]
    values += [
        ('input rate [1/s]', f'{state.input_rate:.2f}'),
        ('output rate [1/s]', f'{state.output_rate:.2f}'),
        ('age p50 [ms]', _age(state.age_ms[0])),
        ('age p95 [ms]', _age(state.age_ms[1])),
        ('images received', str(state.received)),
        ('images answered', str(state.answered)),
        ('images skipped for a newer one', str(state.skipped)),
        *((f'images failed: {cause}', str(count)) for cause, count in state.failed.items()),
        *((f'stage {name} p50 [ms]', _number(value)) for name, value in state.stage_ms.items()),
        ('tracks', str(state.tracks)),
        ('epoch', str(state.epoch)),
        ('last reset', 'never' if state.last_reset is None
         else f'{state.last_reset[1]:.0f} s ago: {state.last_reset[0]}')]
    return values


def _age(milliseconds: float) -> str:
    if -_CLOCKS_DIFFER_MS < milliseconds < _CLOCKS_DIFFER_MS or math.isnan(milliseconds):
        return _number(milliseconds)
    return 'unknown: the stamps are not of this clock, see use_sim_time'


def _number(value: float) -> str:
    """
    Word a number of milliseconds.

    :param value: nan where nothing was measured.
    :returns: with one decimal, or ``none``.
    """
    return 'none' if math.isnan(value) else f'{value:.1f}'


def array_message(stamp: Time, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """
    Bundle the statuses of a node.

    :param stamp: now.
    :param statuses: of its cameras.
    :returns: the message.
    """
    return DiagnosticArray(header=Header(stamp=stamp), status=statuses)
