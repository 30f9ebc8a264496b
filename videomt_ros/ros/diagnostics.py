"""The node's health on ``/diagnostics``: one status per camera, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header
from videomt_ros.ros.drops import age_complaint, CLOCKS_DIFFER_S, Drop
from videomt_ros.ros.image_input import Complaint, ImageInput
from videomt_ros.ros.statistics import Snapshot

_CLOCKS_DIFFER_MS = 1e3 * CLOCKS_DIFFER_S
_LEAST_SKIPPED, _SKIPPED_SHARE = 5, 0.1  # in 10 s: from so many on, and above this share


def status_message(name: str, hardware_id: str, state: Snapshot, image_input: ImageInput | None,
                   complaint: Complaint | None, paused: bool,
                   memory: Sequence[tuple[str, str]], heard: Sequence[str], positions: str,
                   misplaced: str | None) -> DiagnosticStatus:
    """
    Word the health of one camera.

    :param name: of the status.
    :param hardware_id: what the network runs on.
    :param state: of its statistics.
    :param image_input: of its images; None while the node is not active.
    :param complaint: why images do not come; None if they do.
    :param paused: images are dropped, as somebody has asked for.
    :param memory: what the process takes, in keys and values.
    :param heard: names of the outputs that somebody listens to; the others are not made.
    :param positions: whether the newest result has them, in words.
    :param misplaced: why depth comes and gives no positions; None if it gives them.
    :returns: STALE when inactive, ERROR when the newest image gave no result, WARN when images do
        not come, come too late, are skipped or gave no result lately, else OK, which a pause is.
    """
    level, message = DiagnosticStatus.OK, f'{state.output_rate:.1f} results/s'
    if image_input is None:
        level, message = DiagnosticStatus.STALE, 'not active'
    elif paused:
        message = 'paused by ~/set_enabled: images are dropped'
    elif state.failing is not None:
        level, message = DiagnosticStatus.ERROR, f'no result of the newest image: {state.failing}'
    elif complaint is not None:
        level, message = DiagnosticStatus.WARN, complaint.text
    elif state.late_by is not None:
        level, message = DiagnosticStatus.WARN, age_complaint(state.late_by)
    elif misplaced is not None:
        level, message = DiagnosticStatus.WARN, misplaced
    elif (losses := _losses(state)) is not None:
        level, message = DiagnosticStatus.WARN, losses
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in (
            ('enabled', str(not paused).lower()), *_values(state, image_input),
            ('outputs that somebody hears', ', '.join(heard) or 'none'),
            ('positions', positions), *memory)])


def _losses(state: Snapshot) -> str | None:
    """
    Say that a part of the images gives no results.

    :param state: of the camera's statistics.
    :returns: a sentence without a full stop; None while that is not worth a word.
    """
    received, skipped, failed = state.recent
    if failed:
        return (f'{failed} of the {received} images of the last 10 s gave no result, see the '
                "values 'images failed'")
    if skipped >= _LEAST_SKIPPED and skipped > _SKIPPED_SHARE * received:
        return (f'{skipped} of the {received} images of the last 10 s were skipped, since the '
                'network is slower than the camera; max_rate sets a rate of choice')
    return None


def unconfigured_message(name: str, failure: str | None) -> DiagnosticStatus:
    """
    Word the health of a node without cameras.

    :param name: of the status.
    :param failure: why the node has given up; None if it has not.
    :returns: ERROR with the failure, else STALE.
    """
    if failure is not None:
        return DiagnosticStatus(level=DiagnosticStatus.ERROR, name=name,
                                message=f'{failure}; configure the node again')
    return DiagnosticStatus(level=DiagnosticStatus.STALE, name=name, message='not configured')


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
        *((f'images {reason.value}', str(state.dropped.get(reason, 0))) for reason in Drop),
        *((f'images failed: {cause}', str(count)) for cause, count in state.failed.items()),
        *((f'stage {name} p50 [ms]', _number(value)) for name, value in state.stage_ms.items()),
        *((f'stage {name} p95 [ms]', _number(value))
          for name, value in state.stage_high_ms.items()),
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
