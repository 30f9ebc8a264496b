"""
One page to look at: what was seen, when, and how surely.

Everything stands in the one file: pictures as JPEG in data URLs, drawings as SVG, no script. It
holds no times of day and no speeds, so that the same run gives the same page.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from videomt_ros.perception.draw import overlay
from videomt_ros.ros.pixels import ImageError

from .cameras import Camera
from .charts import score_curves, timeline
from .images import decode_image
from .journal import Journal
from .lives import Life, lives_of
from .reading import Recording
from .record import FrameRecord
from .truth import Comparison, Truth

_PICTURES = 12  # of a camera
_PICTURE_WIDTH = 320
_QUALITY = 80
_TRACKS = 200  # of a camera, in drawings and table
_PROBLEMS = 20  # frames without a result that are named

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem;
       padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-top: 1px solid #d0d7de;
     padding-top: 1rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: right; }
td.text, th.text { text-align: left; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .5rem; }
figure { margin: 0; } figure img { width: 100%; display: block; } figcaption { font-size: .8rem; }
svg { max-width: 100%; height: auto; } .grid { stroke: #d0d7de; stroke-width: 1; }
.tick, .row { font-size: 10px; fill: #57606a; } .tick { text-anchor: middle; }
.row { text-anchor: end; } .class { font-size: 12px; font-weight: 600; fill: #1b1f24; }
.curve { fill: none; stroke-width: 1.5; } .switch { stroke: #cf222e; stroke-dasharray: 3 2; }
.problem { color: #cf222e; }
"""


def write_report(
    path: Path, journal: Journal, recording: Recording, cameras: Sequence[Camera],
    facts: Sequence[tuple[str, str]], truth: Truth | None,
) -> None:
    """
    Write the page.

    :param path: of the HTML file.
    :param journal: with all results.
    :param recording: open, that they are of.
    :param cameras: of it.
    :param facts: name and value of what is to be said of the run.
    :param truth: against which track numbers are held; None without.
    :raises BagError: when the truth does not fit.
    """
    title = escape(f'Tracks in {recording.path.name}')
    rows = ''.join(f'<tr><th class="text">{escape(name)}</th><td class="text">{escape(value)}'
                   f'</td></tr>' for name, value in facts)
    with path.open('w', encoding='utf8') as file:
        file.write(f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                   f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
                   f'<style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n'
                   f'<table class="facts">{rows}</table>\n{_problems(journal, cameras)}')
        for place in range(len(cameras)):
            comparison = truth.compare(journal, cameras, place) if truth else None
            file.write(_camera(journal, recording, cameras, place, comparison))
        file.write('</body></html>\n')


def _problems(journal: Journal, cameras: Sequence[Camera]) -> str:
    """Name what is missing: damage of the recording, and frames that are no pictures."""
    lines = [journal.progress.damage] if journal.progress.damage else []
    broken = journal.rows(
        'SELECT number, camera, error FROM frames WHERE error IS NOT NULL ORDER BY number '
        'LIMIT ?', _PROBLEMS)
    (count,), = journal.rows('SELECT count(*) FROM frames WHERE error IS NOT NULL')
    lines += [f'frame {number} of {cameras[camera].topic.name}: {error}'
              for number, camera, error in broken]
    if count > len(broken):
        lines.append(f'and {count - len(broken)} more frames without a result')
    return ''.join(f'<p class="problem">{escape(line)}</p>\n' for line in lines)


def _camera(
    journal: Journal, recording: Recording, cameras: Sequence[Camera], place: int,
    comparison: Comparison | None,
) -> str:
    camera = cameras[place]
    heading = f'<section class="camera"><h2>{escape(camera.topic.name)}</h2>\n'
    stamps = journal.rows(
        'SELECT stamp FROM frames WHERE camera = ? AND error IS NULL ORDER BY number', place)
    if not stamps:
        return f'{heading}<p>No frames.</p></section>\n'
    start, end = min(stamps)[0], max(stamps)[0]
    lives, count = lives_of(journal, place, _TRACKS)
    switches = [each.stamp for each in comparison.switches] if comparison else []
    note = '' if count <= _TRACKS else (
        f'<p>The {_TRACKS} of {count} tracks that were seen most often.</p>')
    return (
        f'{heading}<p>{len(stamps)} frames over {(end - start) / 1e9:.2f} s, {count} tracks.</p>\n'
        f'{_resets(journal, place, start)}{_switches(comparison, start)}'
        f'<h3>Frames</h3>\n{_sheet(journal, recording, camera, place, start)}\n{note}'
        f'<h3>Tracks by class</h3>\n{timeline(lives, start, end, switches)}\n'
        f'<h3>Scores</h3>\n{score_curves(lives, start, end)}\n{_table(lives, start)}</section>\n')


def _resets(journal: Journal, place: int, start: int) -> str:
    rows = journal.rows(
        'SELECT stamp, epoch, reset_reason FROM frames WHERE camera = ? AND reset_reason IS NOT '
        'NULL ORDER BY number LIMIT 50', place)
    return ''.join(
        f'<p>Memory reset at {(stamp - start) / 1e9:.2f} s (epoch {epoch}): {escape(reason)}</p>\n'
        for stamp, epoch, reason in rows)


def _switches(comparison: Comparison | None, start: int) -> str:
    if comparison is None:
        return ''
    lines = ''.join(
        f'<li>{(each.stamp - start) / 1e9:.2f} s: object {each.object_id} from #{each.before} to '
        f'#{each.after}</li>' for each in comparison.switches[:200])
    return (f'<h3>Against the truth</h3>\n<p class="truth">{len(comparison.switches)} id '
            f'switches; {comparison.shown} of {comparison.present} sights of objects are shown '
            f'by a track.</p>\n<ul>{lines}</ul>\n')


def _sheet(
    journal: Journal, recording: Recording, camera: Camera, place: int, start: int,
) -> str:
    numbers = [number for number, in journal.rows(
        'SELECT number FROM frames WHERE camera = ? AND error IS NULL ORDER BY number', place)]
    chosen = {numbers[i] for i in np.linspace(0, len(numbers) - 1, _PICTURES).round().astype(int)}
    figures = []
    for number in sorted(chosen):
        record = journal.frame(number)
        picture = _picture(recording, camera, record)
        if picture is not None:
            seconds = (record.stamp - start) / 1e9
            figures.append(
                f'<figure><img alt="frame {number}" src="data:image/jpeg;base64,{picture}">'
                f'<figcaption>{seconds:.2f} s</figcaption></figure>')
    return f'<div class="sheet">{"".join(figures)}</div>'


def _picture(recording: Recording, camera: Camera, record: FrameRecord) -> str | None:
    """Draw a frame, small, as JPEG in base64."""
    topic = camera.topic
    for message in recording.messages([topic.name], record.time, record.time + 1):
        try:
            picture = decode_image(topic.kind, message.data)
        except ImageError:
            continue
        if picture.stamp == record.stamp:
            drawn = overlay(picture.pixels, record.result(camera.name))
            if drawn.shape[1] > _PICTURE_WIDTH:
                height = max(1, round(drawn.shape[0] * _PICTURE_WIDTH / drawn.shape[1]))
                drawn = cv2.resize(drawn, (_PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
            done, code = cv2.imencode('.jpg', cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR),
                                      [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            assert done, 'JPEG takes every picture of this shape'
            return base64.b64encode(code.tobytes()).decode()
    return None


def _table(lives: Sequence[Life], start: int) -> str:
    rows = ''.join(
        f'<tr><td>#{each.track_id}</td><td class="text">{escape(each.class_name)}</td>'
        f'<td>{(each.start - start) / 1e9:.2f} s</td><td>{(each.end - start) / 1e9:.2f} s</td>'
        f'<td>{each.frames}</td><td>{each.mean_score:.2f}</td></tr>\n' for each in lives)
    return ('<table class="tracks"><tr><th>track</th><th class="text">class</th><th>from</th>'
            f'<th>to</th><th>frames</th><th>mean score</th></tr>\n{rows}</table>\n')
