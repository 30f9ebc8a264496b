"""Bands of rows are cut from the same masks that the paper's two resizes give."""

import pytest
import torch
from videomt_ros.network import Preprocessing
from videomt_ros.perception import bands
from videomt_ros.perception.bands import SourceBands
from videomt_ros.perception.resize import bilinear, Resizer

CPU = torch.device('cpu')
# Short side of the input, source: as it is, larger, smaller, odd, stretched to a square.
SIZES = [
    (144, (144, 256), 'short_side'), (96, (180, 270), 'short_side'),
    (192, (131, 179), 'short_side'), (100, (233, 199), 'short_side'),
    (128, (90, 201), 'square')]


@pytest.fixture(params=SIZES, ids=str)
def masks(request):
    """Give the sizes of a frame, logits, and the literal result."""
    size, source, rule = request.param
    geometry = Resizer(Preprocessing(rule, size), patch_size=16).geometry(*source)
    height, width = geometry.resized
    generator = torch.Generator().manual_seed(size)
    logits = torch.randn(
        7, geometry.padded[0] // 4, geometry.padded[1] // 4, generator=generator) * 4
    whole = bilinear(logits[:, None], geometry.padded)[..., :height, :width].sigmoid()
    return geometry, logits, bilinear(whole, geometry.source)[:, 0]


@pytest.mark.parametrize('rows', [1, 5, 16, 1000])
def test_bands_are_rows_of_the_resized_whole(masks, rows, monkeypatch):
    geometry, logits, whole = masks
    widest = max(geometry.padded[1], geometry.source[1])
    monkeypatch.setitem(bands._VALUES_AT_ONCE, 'cpu', rows * len(logits) * widest)
    cut = SourceBands(geometry, tuple(logits.shape[1:]), CPU)
    parts = cut.split(len(logits))
    assert max(part.stop - part.start for part in parts) == min(rows, geometry.source[0])
    assert [row for part in parts for row in range(part.start, part.stop)] == list(
        range(geometry.source[0]))
    found = torch.cat([cut.probabilities(logits, part) for part in parts], dim=1)
    torch.testing.assert_close(found, whole, atol=5e-7, rtol=0)


def test_a_band_is_made_of_its_support_alone(masks):
    geometry, logits, whole = masks
    cut = SourceBands(geometry, tuple(logits.shape[1:]), CPU)
    part = slice(41, 53)
    support = cut.support(part)
    assert support.stop - support.start < 14
    elsewhere = torch.full_like(logits, float('nan'))
    elsewhere[:, support] = logits[:, support]
    found = cut.probabilities(elsewhere, part)
    torch.testing.assert_close(found, whole[:, part], atol=5e-7, rtol=0)


def test_more_masks_make_thinner_bands():
    geometry = Resizer(Preprocessing(size=720), patch_size=16).geometry(720, 1280)
    cut = SourceBands(geometry, (184, 320), CPU)
    for count in (1, 20, 200, 5000):
        rows = cut.split(count)[0].stop
        assert rows == 1 or rows * count * 1280 <= bands._VALUES_AT_ONCE['cpu']
