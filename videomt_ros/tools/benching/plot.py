"""The numbers of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .contenders import PIPELINE

_COLOURS = {
    'convert': '#bbbbbb', 'prepare': '#4477aa', 'network': '#66ccee', 'masks': '#ee6677',
    'tracks': '#aa3377', 'paint': '#ccbb44', 'fill': '#228833'}


def draw(numbers: dict[str, Any], path: Path) -> None:
    """
    Draw the stages of each contender as bars, and the node's latency at its rates.

    :param numbers: of the whole run.
    :param path: of the PNG.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot

    networks, nodes = numbers['networks'], numbers['node']
    rows = [len(each['contenders']) + 1 for each in networks.values()]
    figure, axes = pyplot.subplots(
        len(networks) + bool(nodes), 1, squeeze=False, layout='constrained',
        figsize=(10, 0.4 * sum(rows) + 1.2 * len(networks) + 3 * bool(nodes)),
        height_ratios=rows + [6] * bool(nodes))
    for axis, (name, each) in zip(axes[:, 0], networks.items(), strict=False):
        _bars(axis, name, each)
    if nodes:
        _rates(axes[-1, 0], nodes)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _bars(axis: Any, title: str, numbers: dict[str, Any]) -> None:
    """Draw one bar for each contender, its stages behind one another, on a linear scale."""
    labels = []
    for row, each in enumerate(numbers['contenders']):
        left = 0.0
        for stage in ('convert', *PIPELINE, 'fill'):
            if stage in each['stages_ms']:
                width = each['stages_ms'][stage]['p50']
                axis.barh(row, width, left=left, color=_COLOURS[stage], label=stage)
                left += width
        times = each.get('times_as_fast_as_hugging_face')
        axis.text(
            left, row, f' {left:.0f} ms' + (f', {times:.1f} x' if times else ''), va='center',
            fontsize=8)
        labels.append(f'{each["engine"]} {each["precision"]}')
    name, limit = min(numbers['matrix_product_ms'].items(), key=lambda item: item[1])
    axis.axvline(limit, color='black', linewidth=0.8, linestyle=':', label=f'{name} product')
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    height, width = numbers['frame_size']
    axis.set_title(
        f'{title}, {width}x{height}, {numbers["objects"]} objects: milliseconds a frame',
        loc='left', fontsize=9)
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), fontsize=7, loc='lower right')


def _rates(axis: Any, nodes: list[dict[str, Any]]) -> None:
    """Draw latency over rate, with the share of images that were dropped written beside it."""
    for each in nodes:
        rates = [rate for rate in each['rates'] if rate['latency_ms']['p50'] is not None]
        shares = [rate['share_of_capacity'] for rate in rates]
        line, = axis.plot(
            shares, [rate['latency_ms']['p50'] for rate in rates], marker='o',
            label=f'{each["network"]}, {each["contender"]}')
        axis.fill_between(
            shares, [rate['latency_ms']['p50'] for rate in rates],
            [rate['latency_ms']['p95'] for rate in rates], color=line.get_color(), alpha=0.2)
        for share, rate in zip(shares, rates, strict=True):
            axis.annotate(
                f'{100 * rate["dropped"] / rate["sent"]:.0f} % dropped',
                (share, rate['latency_ms']['p50']), fontsize=7, textcoords='offset points',
                xytext=(4, 4))
    axis.set_xlabel('images sent, as a share of what the node can do')
    axis.set_ylabel('latency p50 to p95 (ms)')
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=7)
