"""The tables of speed say what the benchmark's file says."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBERS = json.loads((ROOT / 'docs' / 'performance.json').read_text())


def sum_of(contender, *stages):
    return sum(contender['stages_ms'].get(stage, {'p50': 0})['p50'] for stage in stages)


def row(words, contender, ours):
    """Word a row of the page's table."""
    whole = contender['pipeline_ms']['p50']
    post = sum_of(contender, 'masks', 'tracks', 'paint')
    cells = [words, f'{whole:.0f}', f'{contender["stages_ms"]["network"]["p50"]:.0f}']
    if ours:
        agreement = contender['agreement_with_fp32']
        cells += [f'{post:.1f}', f'{sum_of(contender, "convert", "fill"):.1f}',
                  f'{contender["times_as_fast_as_hugging_face"]:.1f}',
                  f'{100 * agreement["equal_pixels"]:.2f} %']
    else:
        cells += [f'{post:.0f}', '-', '1']
    return '| ' + ' | '.join(cells)


def contenders(name):
    return {f'{each["engine"]} {each["precision"]}': each
            for each in NUMBERS['networks'][name]['contenders']}


def test_the_page():
    page = (ROOT / 'docs' / 'performance.md').read_text()
    s, embedded = (NUMBERS['networks'][name] for name in ('S', 'embedded'))
    first = {'S': f'S at 640x640, {s["objects"]} objects: Hugging Face',
             'embedded': f'embedded, {embedded["objects"]} objects: Hugging Face'}
    wanted = [
        row(words if words != 'Hugging Face fp32' else first[name], contender,
            words != 'Hugging Face fp32')
        for name in first for words, contender in contenders(name).items()]
    assert len(wanted) == 14
    missing = [each for each in wanted if f'\n{each} |' not in page]
    assert not missing, '\n'.join(wanted)


def test_the_readme():
    readme = (ROOT / 'README.md').read_text()
    s, embedded = contenders('S'), contenders('embedded')
    exact, half, whole = (s[f'openvino {precision}'] for precision in ('fp32', 'bf16', 'int8'))
    assert exact['agreement_with_fp32']['equal_pixels'] == 1
    assert exact['agreement_with_hugging_face']['equal_pixels'] > 0.99995
    theirs = s['Hugging Face fp32']['pipeline_ms']['p50']
    wanted = [
        f'| {milliseconds(exact)} a frame | {theirs:.0f} ms a frame | {times(exact)} as fast, ',
        *(f'| likewise in {name} | {milliseconds(each)} | | {times(each)}, {pixels(each)} of the '
          for name, each in (('bf16', half), ('int8', whole)))]
    exact, half = (embedded[f'openvino {precision}'] for precision in ('fp32', 'bf16'))
    rows, columns = NUMBERS['networks']['embedded']['input_size']
    wanted.append(
        f'| the embedded network at {rows}x{columns}, fp32 | {milliseconds(exact)} a frame | - | '
        f'{exact["frames_per_second"]:.0f} frames a second; {half["frames_per_second"]:.0f} in ')
    assert not [each for each in wanted if each not in readme], '\n'.join(wanted)


def milliseconds(contender):
    return f'{contender["pipeline_ms"]["p50"]:.0f} ms'


def times(contender):
    return f'{contender["times_as_fast_as_hugging_face"]:.1f} times'


def pixels(contender):
    return f'{100 * contender["agreement_with_fp32"]["equal_pixels"]:.2f} %'
