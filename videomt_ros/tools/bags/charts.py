"""Drawings for the report, as SVG that stands in the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
import math

from videomt_ros.perception.draw import track_colour

from .lives import Life

WIDTH = 960
_LEFT, _RIGHT, _AXIS = 150, 10, 24
_ROW = 12
_CURVE_HEIGHT = 180


class _Time:
    """The axis of seconds, common to all drawings of a camera."""

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self.seconds = max((end - start) / 1e9, 1e-3)
        self._scale = (WIDTH - _LEFT - _RIGHT) / self.seconds

    def x(self, stamp: int) -> float:
        """Give the place of a stamp in nanoseconds."""
        return round(_LEFT + (stamp - self._start) / 1e9 * self._scale, 1)

    def since(self, stamp: int) -> float:
        """Give the seconds from the start to a stamp in nanoseconds."""
        return (stamp - self._start) / 1e9

    def axis(self, height: int) -> str:
        """Draw the axis under a drawing of some height, with lines up through it."""
        step = 10.0 ** math.floor(math.log10(self.seconds))
        step = next(step * factor for factor in (0.1, 0.2, 0.5, 1, 2)
                    if self.seconds / (step * factor) <= 12)
        lines = []
        for i in range(int(self.seconds / step + 1e-9) + 1):
            x = round(_LEFT + i * step * self._scale, 1)
            lines.append(f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{height}"/>'
                         f'<text class="tick" x="{x}" y="{height + 16}">{i * step:g} s</text>')
        return ''.join(lines)


def timeline(lives: Sequence[Life], start: int, end: int, marks: Iterable[int] = ()) -> str:
    """
    Draw when each track was seen (full) and lost (pale), a row a track, by class.

    :param lives: by class.
    :param start: stamp of the camera's first frame, in nanoseconds.
    :param end: stamp of its last frame, in nanoseconds.
    :param marks: stamps of changes of number, in nanoseconds.
    :returns: an svg element.
    """
    time = _Time(start, end)
    parts, y, last = [], 0, None
    for life in lives:
        if life.class_name != last:
            y, last = y + 18, life.class_name
            parts.append(f'<text class="class" x="4" y="{y - 4}">{escape(last)}</text>')
        colour = _colour(life)
        parts.append(f'<text class="row" x="{_LEFT - 6}" y="{y + 9}">#{life.track_id}</text>')
        parts.append(f'<g class="track"><title>{_title(life, time)}</title>')
        for begin, stop, seen in life.spans:
            width = max(round(time.x(stop) - time.x(begin), 1), 1.5)
            parts.append(
                f'<rect x="{time.x(begin)}" y="{y + 1}" width="{width}" height="{_ROW - 3}" '
                f'fill="{colour}" opacity="{1 if seen else 0.25}"/>')
        parts.append('</g>')
        y += _ROW
    parts.extend(f'<line class="switch" x1="{time.x(mark)}" y1="0" x2="{time.x(mark)}" y2="{y}"/>'
                 for mark in marks)
    return _svg('timeline', y + _AXIS, time.axis(y) + ''.join(parts))


def score_curves(lives: Sequence[Life], start: int, end: int) -> str:
    """
    Draw the scores of the tracks over time.

    :param lives: of the tracks.
    :param start: stamp of the camera's first frame, in nanoseconds.
    :param end: stamp of its last frame, in nanoseconds.
    :returns: an svg element.
    """
    time = _Time(start, end)
    parts = []
    for tenth in range(0, 11, 2):
        y = _height(tenth / 10)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"/>'
                     f'<text class="row" x="{_LEFT - 6}" y="{y + 4}">{tenth / 10:.1f}</text>')
    for life in lives:
        points = ' '.join(f'{time.x(stamp)},{_height(score)}' for stamp, score in life.curve)
        if points:
            parts.append(f'<polyline class="curve" points="{points}" stroke="{_colour(life)}">'
                         f'<title>{_title(life, time)}</title></polyline>')
    return _svg('scores', _CURVE_HEIGHT + _AXIS, time.axis(_CURVE_HEIGHT) + ''.join(parts))


def _colour(life: Life) -> str:
    red, green, blue = track_colour(life.track_id)
    return f'#{red:02x}{green:02x}{blue:02x}'


def _height(score: float) -> float:
    return round(6 + (1 - min(score, 1.0)) * (_CURVE_HEIGHT - 12), 1)


def _title(life: Life, time: _Time) -> str:
    return escape(
        f'{life.class_name} #{life.track_id}: {time.since(life.start):.2f} to '
        f'{time.since(life.end):.2f} s, seen in {life.frames} frames, mean score '
        f'{life.mean_score:.2f}')


def _svg(kind: str, height: int, content: str) -> str:
    return (f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img">{content}</svg>')
