"""Hold the paper's offline protocol against a literal reading of its formulas, and by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional
from videomt_ros.perception import offline
from videomt_ros.perception.offline import ClipInstance, ClipSegment, segment_clip

SIZES = (  # quarter grid, resized, source; the padded size is four times the grid
    ((8, 12), (32, 48), (32, 48)),
    ((8, 12), (30, 45), (60, 90)),
    ((9, 16), (34, 61), (51, 91)),
    ((16, 8), (64, 27), (40, 17)),
)


def random_clip(seed, frames, queries, classes, grid):
    """Return class and mask logits with blobs, a few confident queries, and repeated classes."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = torch.randn(frames, queries, classes + 1, generator=generator)
    for query in range(0, queries, 2):
        favourite = int(torch.randint(classes + 1, (), generator=generator))
        class_logits[:, query, favourite] += 9
    coarse = torch.randn(frames, queries, 3, 4, generator=generator) * 6
    masks = functional.interpolate(coarse, size=grid, mode='bicubic')
    return class_logits, masks + torch.randn(masks.shape, generator=generator)


def whole_clip_masks(mask_logits, queries, grid, resized, source, sigmoid):
    """Resize as E1 to E3 say, the whole clip in one tensor (query, frame, row, column)."""
    x = mask_logits.transpose(0, 1)[queries].contiguous()
    padded = (4 * grid[0], 4 * grid[1])
    x = functional.interpolate(x, size=padded, mode='bilinear', align_corners=False)
    x = x[:, :, :resized[0], :resized[1]]
    if sigmoid:
        x = x.sigmoid()
    return functional.interpolate(x, size=source, mode='bilinear', align_corners=False)


def literal_instances(class_logits, mask_logits, grid, resized, source, top_k):
    p = class_logits.mean(0).softmax(-1)[:, :-1]
    pairs = [(-p[q, c].item(), q, c) for q, c in itertools.product(*map(range, p.shape))]
    chosen = sorted(pairs)[:top_k]
    queries = [q for _, q, _ in chosen]
    masks = whole_clip_masks(mask_logits, queries, grid, resized, source, False) > 0
    return [(q, c, -s, m.numpy()) for (s, q, c), m in zip(chosen, masks, strict=True)]


def literal_panoptic(class_logits, mask_logits, grid, resized, source, things, least_score,
                     least_overlap):
    score, label = class_logits.mean(0).softmax(-1).max(-1)
    no_object = class_logits.shape[-1] - 1
    keep = [q for q in range(len(score)) if label[q] != no_object and score[q] > least_score]
    ids = torch.zeros(len(class_logits), *source, dtype=torch.int32)
    segments, first_of_stuff = [], {}
    if not keep:
        return ids.numpy(), segments
    m = whole_clip_masks(mask_logits, keep, grid, resized, source, True)
    win = (score[keep].view(-1, 1, 1, 1) * m).argmax(0)
    for k, query in enumerate(keep):
        mask_area = int((win == k).sum())
        orig_area = int((m[k] >= 0.5).sum())
        mask = (win == k) & (m[k] >= 0.5)
        if 0 in (mask_area, orig_area, int(mask.sum())):
            continue
        if mask_area / orig_area < least_overlap:
            continue
        category = int(label[query])
        if category not in things and category in first_of_stuff:
            ids[mask] = first_of_stuff[category]
            continue
        segments.append((len(segments) + 1, query, category, category in things))
        if category not in things:
            first_of_stuff[category] = len(segments)
        ids[mask] = len(segments)
    return ids.numpy(), segments


def literal_semantic(class_logits, mask_logits, grid, resized, source):
    p = class_logits.mean(0).softmax(-1)[:, :-1]
    m = whole_clip_masks(mask_logits, list(range(len(p))), grid, resized, source, True)
    return torch.einsum('qc,qthw->cthw', p, m).argmax(0).numpy()


def padded(grid):
    return (4 * grid[0], 4 * grid[1])


@pytest.fixture(params=['a clip at once', 'a frame at once'])
def portion(request, monkeypatch):
    """Run with all frames in one portion, and with one frame in each."""
    if request.param == 'a frame at once':
        monkeypatch.setattr(offline, '_VALUES_AT_ONCE', 1)


@pytest.mark.parametrize('frames', (1, 2, 5))
@pytest.mark.parametrize('grid,resized,source', SIZES)
def test_instances_equal_the_formulas_to_the_pixel(frames, grid, resized, source, portion):
    class_logits, mask_logits = random_clip(frames, frames, 13, 6, grid)
    found = segment_clip(class_logits, mask_logits, 'instance', padded(grid), resized, source)
    expected = literal_instances(class_logits, mask_logits, grid, resized, source, 10)
    assert len(found) == 10
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:3] == theirs[:3]
        assert ours.masks.dtype == bool and ours.masks.shape == (frames, *source)
        np.testing.assert_array_equal(ours.masks, theirs[3])
    assert 0 < np.mean([each.masks for each in found]) < 1


@pytest.mark.parametrize('frames', (1, 2, 5))
@pytest.mark.parametrize('grid,resized,source', SIZES)
def test_panoptic_equals_the_formulas_to_the_pixel(frames, grid, resized, source, portion):
    counts = set()
    for seed, (score, overlap) in enumerate([(0.8, 0.8), (0.3, 0.4), (0.0, 0.0)]):
        class_logits, mask_logits = random_clip(seed, frames, 17, 5, grid)
        ids, segments = segment_clip(
            class_logits, mask_logits, 'panoptic', padded(grid), resized, source,
            thing_classes={0, 1}, score_threshold=score, overlap_threshold=overlap)
        expected_ids, expected = literal_panoptic(
            class_logits, mask_logits, grid, resized, source, {0, 1}, score, overlap)
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, expected_ids)
        assert segments == expected
        counts.add(len(segments))
    assert max(counts) > 2


@pytest.mark.parametrize('frames', (1, 3))
@pytest.mark.parametrize('grid,resized,source', SIZES)
def test_semantic_equals_the_formulas_to_the_pixel(frames, grid, resized, source, portion):
    class_logits, mask_logits = random_clip(frames, frames, 20, 7, grid)
    found = segment_clip(class_logits, mask_logits, 'semantic', padded(grid), resized, source)
    expected = literal_semantic(class_logits, mask_logits, grid, resized, source)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 2


@pytest.mark.parametrize('frames,source', [(3, (60, 90)), (11, (60, 90)), (11, (40, 60))])
def test_portions_are_rounded_as_the_whole_clip(frames, source, one_thread, monkeypatch):
    logits = random_clip(0, frames, 4, 3, (8, 12))[1]
    masks = offline._ClipMasks(logits, (32, 48), (30, 45), source)
    queries = torch.arange(4)
    (part, whole), = masks.at_source(queries, sigmoid=True)
    assert part == slice(0, frames)
    for at_once in (1, 8, 10):
        monkeypatch.setattr(offline, '_VALUES_AT_ONCE', at_once * 4 * source[0] * source[1])
        portions = list(masks.at_source(queries, sigmoid=True))
        if at_once > 1 or sum(source) > 128:  # so small frames fit eight at once always
            assert torch.equal(torch.cat([each for _, each in portions], dim=1), whole)
        assert len(portions) == (frames if at_once == 1 else 1)


def test_long_clips_are_cut_into_multiples_of_eight_frames():
    assert list(offline._portions(30, 10)) == [slice(0, 8), slice(8, 16), slice(16, 30)]
    assert list(offline._portions(20, 8)) == [slice(0, 8), slice(8, 20)]
    assert list(offline._portions(3, 2)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(offline._portions(9, 9)) == [slice(0, 9)]


def confident(classes, num_classes, frames=1, logit=12.0):
    """Return class logits of queries that are all but sure of one class each (K = nothing)."""
    logits = torch.zeros(frames, len(classes), num_classes + 1)
    logits[:, range(len(classes)), classes] = logit
    return logits


def blocks(*areas, grid=(4, 5), frames=1, strength=40.0):
    """Return mask logits that are positive in the given cells (row, column slices) alone."""
    logits = torch.full((frames, len(areas), *grid), -strength)
    for query, area in enumerate(areas):
        logits[(slice(None), query, *area)] = strength
    return logits


def at_grid(class_logits, mask_logits, task, **more):
    """Run without any resize, so that one cell of the logits is one pixel of the result."""
    size = tuple(mask_logits.shape[-2:])
    return segment_clip(class_logits, mask_logits, task, size, size, size, **more)


def test_a_query_comes_back_once_for_each_of_its_likely_classes():
    class_logits = torch.zeros(1, 2, 4)
    class_logits[0, 0] = torch.tensor([5.0, 5.5, 0.0, 0.0])
    class_logits[0, 1, 3] = 9.0
    masks = blocks((slice(0, 2), slice(0, 3)), (slice(2, 4), slice(0, 3)))
    first, second = at_grid(class_logits, masks, 'instance', top_k=2)
    assert (first.query, first.class_id) == (0, 1)
    assert (second.query, second.class_id) == (0, 0)
    p = class_logits[0, 0].softmax(-1)
    assert (first.score, second.score) == (p[1].item(), p[0].item())
    np.testing.assert_array_equal(first.masks, second.masks)
    assert first.masks[0, :2, :3].all() and first.masks.sum() == 6
    assert isinstance(first, ClipInstance)


def test_a_clip_with_fewer_pairs_than_top_k_returns_them_all_best_first():
    class_logits = torch.tensor([[[1.0, 3.0, 0.0], [2.0, 0.0, 0.0]]])
    found = at_grid(class_logits, blocks((0, 0), (1, 1)), 'instance', top_k=10)
    assert [(i.query, i.class_id) for i in found] == [(0, 1), (1, 0), (0, 0), (1, 1)]
    assert [i.score for i in found] == sorted((i.score for i in found), reverse=True)


def test_equal_scores_come_in_the_order_of_queries_and_classes():
    found = at_grid(torch.zeros(1, 2, 3), blocks((0, 0), (1, 1)), 'instance')
    assert [i[:2] for i in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_class_comes_from_the_mean_of_raw_logits_not_of_probabilities():
    class_logits = torch.zeros(2, 1, 3)
    class_logits[0, 0, 0] = 30.0  # one frame is beyond doubt
    class_logits[:, 0, 1] = torch.tensor([0.0, 29.0])
    best = at_grid(class_logits, blocks((0, 0), frames=2), 'instance', top_k=1)[0]
    assert best.class_id == 0
    assert best.score == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-5)


def test_no_object_takes_its_share_of_the_softmax_before_it_is_dropped():
    class_logits = torch.zeros(1, 1, 2)
    only = at_grid(class_logits, blocks((0, 0)), 'instance')
    assert [i.score for i in only] == [0.5]


def test_an_absent_object_keeps_its_class_and_has_empty_masks():
    masks = blocks((slice(0, 2), slice(0, 2)), frames=3)
    masks[1] = -40
    found = at_grid(confident([0], 2, frames=3), masks, 'instance', top_k=1)[0]
    assert found.masks.sum(axis=(1, 2)).tolist() == [4, 0, 4]


def test_padding_is_cut_off_before_the_second_resize():
    # A padded input of 8 x 8 whose frame fills the upper left 8 x 4; the mask is on in the padding
    # alone, one cell away from the frame, so nothing of it may show.
    masks = torch.full((1, 1, 8, 8), -40.0)
    masks[..., 4:] = 40
    found = segment_clip(confident([0], 1), masks, 'instance', (8, 8), (8, 4), (16, 8), top_k=1)
    assert not found[0].masks.any()
    stretched = segment_clip(confident([0], 1), masks, 'instance', (8, 8), (8, 8), (16, 8),
                             top_k=1)
    assert stretched[0].masks[0, :, 4:].all() and stretched[0].masks.sum() == 64


def test_instances_are_cut_from_resized_logits_but_segments_from_resized_probabilities():
    # Between a weak yes and a strong no the logit turns negative sooner than the mean of the two
    # probabilities falls under a half: 1 and -9 average to -4, 0.73 and 0.0001 to 0.37; the pixel
    # a quarter of the way in is -1.5 as a logit and 0.55 as a probability.
    masks = torch.tensor([1.0, -9.0]).view(1, 1, 1, 2)
    sizes = ((1, 2), (1, 2), (1, 4))
    instance = segment_clip(confident([0], 1), masks, 'instance', *sizes, top_k=1)[0]
    ids, _ = segment_clip(confident([0], 1), masks, 'panoptic', *sizes, overlap_threshold=0)
    assert instance.masks[0, 0].tolist() == [True, False, False, False]
    assert ids[0, 0].tolist() == [1, 1, 0, 0]


def test_void_is_where_no_kept_query_reaches_a_half():
    ids, segments = at_grid(confident([1], 2), blocks((slice(0, 3), slice(0, 2))), 'panoptic')
    assert segments == [(1, 0, 1, True)]
    assert isinstance(segments[0], ClipSegment)
    assert ids[0].tolist() == [[1, 1, 0, 0, 0]] * 3 + [[0] * 5]


def test_a_probability_of_exactly_a_half_belongs_to_the_segment():
    ids, _ = at_grid(confident([0], 1), torch.zeros(1, 1, 2, 2), 'panoptic')
    assert (ids == 1).all()


def test_stuff_of_one_class_is_merged_and_things_are_not():
    left, right = (slice(None), slice(0, 2)), (slice(None), slice(3, 5))
    top, bottom = (slice(0, 2), 2), (slice(2, 4), 2)
    classes = confident([2, 0, 2, 0], 3)
    ids, segments = at_grid(classes, blocks(left, top, right, bottom), 'panoptic',
                            thing_classes={0, 1})
    assert segments == [(1, 0, 2, False), (2, 1, 0, True), (3, 3, 0, True)]
    assert ids[0].tolist() == [[1, 1, 2, 1, 1]] * 2 + [[1, 1, 3, 1, 1]] * 2
    _, unmerged = at_grid(classes, blocks(left, top, right, bottom), 'panoptic')
    assert [s.is_thing for s in unmerged] == [True] * 4


def test_a_segment_that_wins_exactly_the_threshold_stays_and_one_pixel_less_drops_it():
    # The first query has ten cells; the second, surer one covers two or three of them.
    classes = confident([0, 1], 2)
    classes[0, 1, 1] += 3
    wide = (slice(0, 2), slice(0, 5))
    kept, segments = at_grid(classes, blocks(wide, (0, slice(0, 2))), 'panoptic')
    assert [s.query for s in segments] == [0, 1]
    assert (kept == 1).sum() == 8 and (kept == 2).sum() == 2
    dropped, segments = at_grid(classes, blocks(wide, (0, slice(0, 3))), 'panoptic')
    assert segments == [(1, 1, 1, True)]
    assert (dropped == 1).sum() == 3 and (dropped == 0).sum() == 17


def test_the_overlap_test_counts_all_frames_of_the_clip_together():
    # Won: nothing of ten cells in the first frame, ten of ten in the four others = 0.8.
    classes = confident([0, 1], 2, frames=5)
    classes[:, 1, 1] += 3
    wide = (slice(0, 2), slice(0, 5))
    masks = blocks(wide, wide, frames=5)
    masks[1:, 1] = -40
    ids, segments = at_grid(classes, masks, 'panoptic')
    assert [s.query for s in segments] == [0, 1]
    assert [set(np.unique(frame)) for frame in ids] == [{0, 2}] + [{0, 1}] * 4
    ids, segments = at_grid(classes[:4], masks[:4], 'panoptic')
    assert [s.query for s in segments] == [1]


def test_unsure_and_empty_queries_leave_no_segment():
    class_logits = confident([0, 0, 2], 2)
    class_logits[0, 0] = torch.tensor([0.8, 0.1, 0.1]).log()  # not above the threshold
    area = (slice(0, 2), slice(0, 2))
    masks = blocks(area, area, area)
    masks[:, 1] = -40
    ids, segments = at_grid(class_logits, masks, 'panoptic', score_threshold=0.8001)
    assert not ids.any() and segments == []
    ids, segments = at_grid(class_logits, masks, 'panoptic', score_threshold=0.79)
    assert segments == [(1, 0, 0, True)] and (ids > 0).sum() == 4


def test_semantic_has_no_void_and_adds_up_queries_of_a_class():
    # Two halfway sure queries of class 1 outvote one surer query of class 0 where all are on.
    class_logits = torch.tensor([[[0.6, 0.0, 0.4], [0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]])
    class_logits = class_logits.clamp_min(1e-9).log()
    everywhere = (slice(None), slice(None))
    masks = blocks(everywhere, (slice(None), 0), (slice(None), 0))
    found = at_grid(class_logits, masks, 'semantic')
    assert found[0].tolist() == [[1, 0, 0, 0, 0]] * 4


def test_half_precision_and_foreign_strides_are_taken_as_they_are():
    class_logits, mask_logits = random_clip(3, 2, 6, 4, (8, 12))
    sizes = ((32, 48), (30, 45), (60, 90))
    rounded = class_logits.half(), mask_logits.half()
    expected = segment_clip(*(x.float() for x in rounded), 'semantic', *sizes)
    np.testing.assert_array_equal(segment_clip(*rounded, 'semantic', *sizes), expected)
    strided = mask_logits.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)
    both = (segment_clip(class_logits, x, 'instance', *sizes) for x in (strided, mask_logits))
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_array_equal(ours.masks, theirs.masks)


@pytest.mark.parametrize('change,message', (
    ({'task': 'vis'}, "task is 'vis'"),
    ({'mask_logits': torch.zeros(2, 4, 4, 4)}, r'\(2, 4, 4, 4\)'),
    ({'class_logits': torch.zeros(2, 3)}, r'\(2, 3\)'),
    ({'class_logits': torch.zeros(2, 3, 1)}, 'one class beside no-object'),
    ({'resized_size': (17, 16)}, r'\(17, 16\) does not fit into the padded size \(16, 16\)'),
    ({'source_size': (0, 5)}, r'source size is \(0, 5\)'),
))
def test_what_does_not_fit_is_refused(change, message):
    arguments = {
        'class_logits': torch.zeros(2, 3, 5), 'mask_logits': torch.zeros(2, 3, 4, 4),
        'task': 'instance', 'padded_size': (16, 16), 'resized_size': (16, 12),
        'source_size': (20, 15)}
    with pytest.raises(ValueError, match=message):
        segment_clip(**{**arguments, **change})
