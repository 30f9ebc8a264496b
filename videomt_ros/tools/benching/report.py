"""What was measured, as numbers for a file and as tables to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from .agreement import compare
from .arena import Record
from .contenders import HUGGING_FACE
from .subjects import NodeRecord, pipeline_milliseconds, SubjectRecord

Numbers = dict[str, Any]


def subject_numbers(found: SubjectRecord) -> Numbers:
    """
    Sum up what was measured of a network.

    :param found: by :func:`measure`.
    :returns: numbers, milliseconds unless their name says otherwise.
    """
    subject, config = found.subject, found.config
    products = {name: min(times) for name, times in found.product.items()}
    theirs = next((each for each in found.records if each.contender.engine == HUGGING_FACE), None)
    ours = [each for each in found.records if each.contender.engine != HUGGING_FACE]
    exact = next((each for each in ours if each.contender.precision == 'fp32'), None)
    squares = (config.image_size, config.image_size)
    contenders = []
    for record in found.records:
        numbers = _contender(record, min(products.values()))
        if theirs is not None:
            numbers['times_as_fast_as_hugging_face'] = float(
                np.median(pipeline_milliseconds(theirs))
                / np.median(pipeline_milliseconds(record)))
            # It knows inputs of one size only, and else shows the network another picture.
            if found.input_size == squares and config.preprocessing.rule == 'square':
                numbers['agreement_with_hugging_face'] = _agreement(theirs, record)
        if exact is not None and record in ours:
            numbers['agreement_with_fp32'] = _agreement(exact, record)
        contenders.append(numbers)
    return {
        'frame_size': subject.frames[0].frame.shape[:2], 'input_size': found.input_size,
        'objects': max((len(picture.classes) for picture in ours[0].pictures), default=0)
        if ours else None,
        'operations': found.operations, 'device': subject.device, 'rounds': subject.rounds,
        'matrix_product_ms': products,
        'matrix_product_gflops': {
            name: found.operations / ms / 1e6 for name, ms in products.items()},
        'contenders': contenders, 'missing': found.missing}


def _agreement(reference: Record, record: Record) -> Numbers:
    """Compare the frames that both have seen in their first clip."""
    count = min(len(reference.pictures), len(record.pictures))
    return {'frames': count, **asdict(
        compare(reference.pictures[:count], record.pictures[:count]))}


def _contender(record: Record, product: float) -> Numbers:
    pipeline = pipeline_milliseconds(record)
    numbers: Numbers = {
        'engine': record.contender.engine, 'precision': record.contender.precision,
        'frames': len(record.frames), 'pipeline_ms': _spread(pipeline),
        'frames_per_second': 1e3 / float(np.median(pipeline)),
        'stages_ms': {
            stage: _spread([frame[stage] for frame in record.frames])
            for stage in record.frames[0]},
        'network_share_of_fastest_product':
            product / float(np.median([frame['network'] for frame in record.frames])),
        'memory_mb': record.memory}
    if record.cameras[2]:
        one, two = (float(np.median(record.cameras[count])) for count in (1, 2))
        numbers['cameras_ms'] = {'one': one, 'two': two}
        numbers['second_camera_share'] = two / one - 1
    return numbers


def node_numbers(found: NodeRecord) -> Numbers:
    """
    Sum up what was measured of the node.

    :param found: by :func:`measure_node`.
    :returns: numbers.
    """
    closed = found.rates[0]
    full = found.rates[-1]  # more images than it can do: it never waits
    frame = full.seconds * 1e3 / (full.answered - 1) if full.answered > 1 else None
    at_work = sum(found.stages[name]['p50'] for name in ('decode', 'total', 'locate', 'publish')
                  if name in found.stages)
    return {
        'network': found.subject, 'contender': found.contender, 'bare_ms': found.bare,
        'one_by_one_ms': _spread(closed.latency), 'busy_frame_ms': frame,
        'added_ms': None if frame is None else frame - found.bare, 'stages_ms': found.stages,
        # The image to the node and the mask back, over DDS.
        'transport_ms': float(np.median(closed.latency)) - at_work, 'memory_mb': found.memory,
        'rates': [{
            'share_of_capacity': share, 'images_per_second': record.rate, 'sent': record.sent,
            'answered': record.answered, 'dropped': record.sent - record.answered,
            'latency_ms': _spread(record.latency), 'interval_ms': _spread(record.interval),
            'jitter_ms': float(np.std(record.interval)) if record.interval else None,
        } for share, record in zip(found.shares[1:], found.rates[1:], strict=True)]}


def _spread(values: Sequence[float]) -> Numbers:
    if not len(values):
        return {'p50': None, 'p95': None, 'mean': None}
    return {'p50': float(np.median(values)), 'p95': float(np.percentile(values, 95)),
            'mean': float(np.mean(values))}


def subject_table(name: str, numbers: Numbers) -> Table:
    """
    Show the contenders of a network.

    :param name: of the network.
    :param numbers: of :func:`subject_numbers`.
    :returns: the table.
    """
    height, width = numbers['frame_size']
    products = ', '.join(
        f'{name} products at {gflops:.0f}' for name, gflops in
        numbers['matrix_product_gflops'].items())
    table = Table(
        title=f'{name}: {width}x{height} frames, {numbers["objects"]} objects, '
              f'{numbers["operations"] / 1e9:.1f} GFLOP a step, {products} GFLOP/s',
        title_justify='left', box=None, pad_edge=False)
    table.add_column('engine')
    for title in ('p50 ms', 'p95 ms', 'frames/s', 'network', 'of limit', 'post', 'ROS',
                  'times as fast', 'equal pixels', 'same tracks', 'peak MB', 'second camera'):
        table.add_column(title, justify='right')
    for each in numbers['contenders']:
        stages = {stage: value['p50'] for stage, value in each['stages_ms'].items()}
        post = sum(stages.get(stage, 0.0) for stage in ('masks', 'tracks', 'paint'))
        agreement = each.get('agreement_with_fp32')
        second = each.get('second_camera_share')
        table.add_row(
            f'{each["engine"]} {each["precision"]}', f'{each["pipeline_ms"]["p50"]:.1f}',
            f'{each["pipeline_ms"]["p95"]:.1f}', f'{each["frames_per_second"]:.1f}',
            f'{stages["network"]:.1f}', f'{100 * each["network_share_of_fastest_product"]:.0f} %',
            f'{post:.1f}', f'{stages.get("convert", 0) + stages.get("fill", 0):.1f}',
            _number(each.get('times_as_fast_as_hugging_face')),
            *(('-', '-') if agreement is None else (
                f'{100 * agreement["equal_pixels"]:.2f} %',
                f'{agreement["same_tracks"]}/{agreement["tracks"]}/'
                f'{agreement["other_tracks"]}')),
            f'{each["memory_mb"]["peak"]:.0f}', _number(second, 2))
    return table


def node_table(numbers: Sequence[Numbers]) -> Table:
    """
    Show the node at its rates.

    :param numbers: of :func:`node_numbers`.
    :returns: the table.
    """
    table = Table(
        title='the node, from a published image to its received mask', title_justify='left',
        box=None, pad_edge=False)
    table.add_column('network')
    for title in ('rate', 'images/s', 'sent', 'dropped', 'latency p50', 'p95', 'jitter',
                  'interval p95'):
        table.add_column(title, justify='right')
    for each in numbers:
        table.add_row(
            f'{each["network"]}, {each["contender"]}: bare {each["bare_ms"]:.1f} ms, node '
            f'{_number(each["busy_frame_ms"])} ms a frame', 'one by one', '', '', '',
            *(f'{each["one_by_one_ms"][key]:.1f}' for key in ('p50', 'p95')))
        for rate in each['rates']:
            latency = rate['latency_ms']
            table.add_row(
                '', f'{rate["share_of_capacity"]} x', _number(rate['images_per_second']),
                str(rate['sent']), str(rate['dropped']), _number(latency['p50']),
                _number(latency['p95']), _number(rate['jitter_ms']),
                _number(rate['interval_ms']['p95']))
    return table


def _number(value: float | None, digits: int = 1) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
