"""The binding of objects to queries, the losses, and the reading of masks at points."""

from dataclasses import replace
import math

import pytest
import torch
import torch.nn.functional as F
from videomt_ros.training import losses
from videomt_ros.training.losses import (
    bind,
    clip_loss,
    ClipTargets,
    LossWeights,
    Prediction,
    sample_points,
)

WEIGHTS = LossWeights(num_points=256)
H, W = 16, 24


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def region(column):
    """Give a mask (H, W): one of the eight columns of three pixels."""
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[:, 3 * column:3 * column + 3] = True
    return mask


def prediction(columns, classes=3, scores=()):
    """Predict for each query the mask of a column; scores are (query, class, logit)."""
    logits = torch.zeros(1, len(columns), classes + 1)
    for query, label, value in scores:
        logits[0, query, label] = value
    masks = torch.stack([region(c).float() * 16 - 8 for c in columns])[None]
    return Prediction(logits, masks)


def targets(frames, *objects):
    """Make the targets of one clip; an object is its label and its column by frame or None."""
    masks = torch.zeros(1, len(objects), frames, H, W, dtype=torch.bool)
    first = torch.full((1, len(objects)), frames)
    for n, (_, columns) in enumerate(objects):
        for t, column in reversed(list(enumerate(columns))):
            if column is not None:
                masks[0, n, t], first[0, n] = region(column), t
    labels = torch.tensor([[label for label, _ in objects]])
    return ClipTargets(labels, masks, first)


def test_an_object_is_bound_where_it_is_first_seen_and_keeps_its_query():
    truth = targets(3, (0, (2, 5, 5)), (1, (6, 6, 6)))
    frames = [prediction((0, 2, 6)), prediction((5, 6, 2)), prediction((5, 6, 2))]
    assert bind(frames, truth, WEIGHTS, generator()).tolist() == [[1, 2]]


def test_a_query_once_used_is_not_given_to_an_object_that_comes_later():
    truth = targets(3, (0, (2, None, None)), (0, (None, None, 4)))
    # In frame 2, query 1 fits the second object best; but it is the first one's.
    frames = [prediction((0, 2, 7)), prediction((0, 2, 7)), prediction((3, 4, 7))]
    frames[2].mask_logits[0, 0] = (region(4) | region(3)).float() * 16 - 8
    assert bind(frames, truth, WEIGHTS, generator()).tolist() == [[1, 0]]


def test_an_object_that_is_never_seen_is_bound_to_nothing():
    truth = targets(2, (0, (None, None)), (2, (3, 3)))
    assert bind([prediction((3, 1))] * 2, truth, WEIGHTS, generator()).tolist() == [[-1, 0]]


@pytest.mark.parametrize('later', (False, True))
def test_of_more_objects_than_queries_the_best_fitting_are_bound(later):
    seen = (None, 6) if later else (6, 6)
    truth = targets(2, (0, (1, 1)), (0, (5, 5)), (0, seen))
    frames = [prediction((5, 1))] * 2
    assert bind(frames, truth, WEIGHTS, generator()).tolist() == [[1, 0, -1]]


def test_where_masks_tell_nothing_the_class_decides():
    truth = targets(1, (2, (4,)), (0, (4,)))
    frame = prediction((4, 4, 4), scores=((0, 0, 3.0), (1, 1, 3.0), (2, 2, 3.0)))
    assert bind([frame], truth, WEIGHTS, generator()).tolist() == [[2, 0]]


def test_clips_of_a_batch_are_bound_by_themselves():
    one, two = targets(1, (0, (1,))), targets(1, (0, (6,)))
    both = ClipTargets(*(
        torch.cat((getattr(one, f), getattr(two, f))) for f in ('labels', 'masks', 'first')))
    frames = [prediction((1, 6)), prediction((6, 1))]
    frame = Prediction(*(
        torch.cat([getattr(f, k) for f in frames]) for k in ('class_logits', 'mask_logits')))
    assert bind([frame], both, WEIGHTS, generator()).tolist() == [[0], [0]]


def test_the_matching_cost_is_that_of_the_paper(monkeypatch):
    points = torch.tensor([[[(x + 0.5) / W, 0.5] for x in range(W)]])
    monkeypatch.setattr(losses, '_random_points', lambda *_: points)
    weights = LossWeights(num_points=W)
    truth = targets(1, (1, (2,)))
    frame = prediction((2, 3), scores=((0, 1, math.log(4)), (1, 1, 0.0)))
    cost = losses._matching_cost(frame, truth, 0, weights, generator())[0, :, 0]
    right, wrong = math.log1p(math.exp(-8)), math.log1p(math.exp(8))
    p, n = 1 / (1 + math.exp(-8)), 1 / (1 + math.exp(8))
    size = 3 * p + 21 * n + 3
    fits = 5 * right + 5 * (1 - (2 * 3 * p + 1) / (size + 1)) - 2 * 4 / 7
    misses = 5 * (18 * right + 6 * wrong) / 24 + 5 * (
        1 - (2 * 3 * n + 1) / (size + 1)) - 2 * 1 / 4
    assert cost.tolist() == pytest.approx([fits, misses], rel=1e-4)


def inner_points(count, num_points, device, source):
    """Draw points so far inside that what lies beyond the border of a mask plays no part."""
    return 0.3 + 0.4 * torch.rand(count, num_points, 2, generator=source)


def test_the_losses_are_those_computed_by_hand(monkeypatch):
    monkeypatch.setattr(losses, '_random_points', inner_points)
    # Class 0 comes in frame 1 and fills the picture; in frame 2 it is hidden.
    masks = torch.zeros(1, 1, 3, H, W, dtype=torch.bool)
    masks[0, 0, 1] = True
    truth = ClipTargets(torch.tensor([[0]]), masks, torch.tensor([[1]]))
    frames = [
        Prediction(
            torch.tensor([[[a, 0.0, 0.0], [0.0, 0.0, b]]]),
            torch.full((1, 2, 4, 6), logit))
        for a, b, logit in ((1.0, 2.0, 9.0), (2.0, -1.0, 2.0), (0.5, 0.0, -1.0))]
    P = WEIGHTS.num_points
    found = clip_loss(frames, truth, torch.tensor([[0]]), WEIGHTS, 2.0, generator())

    def nll(chosen, *others):
        return -math.log(math.exp(chosen) / sum(math.exp(v) for v in (chosen, *others)))

    bound = nll(2, 0, 0) + nll(0.5, 0, 0)
    free = nll(0, 1, 0) + nll(2, 0, 0) + nll(-1, 0, 0) + nll(0, 0, 0)
    assert found['class'].item() == pytest.approx(2 * (bound + 0.1 * free) / 2.4, rel=1e-5)
    shown, hidden = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    assert found['mask'].item() == pytest.approx(
        5 * (-math.log(shown) - math.log(1 - hidden)) / 2, rel=1e-5)
    dice = 1 - (2 * P * shown + 1) / (P * shown + P + 1) + 1 - 1 / (P * hidden + 1)
    assert found['dice'].item() == pytest.approx(5 * dice / 2, rel=1e-5)


def test_a_point_is_inside_or_outside_a_mask_and_not_between(monkeypatch):
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[::2, ::2] = True
    y, x = mask.nonzero()[20:60].T
    points = torch.stack(((x + 0.9) / W, (y + 0.1) / H), dim=1)[None]
    monkeypatch.setattr(losses, '_uncertain_points', lambda *_: points)
    truth = ClipTargets(torch.tensor([[0]]), mask[None, None, None], torch.tensor([[0]]))
    frame = Prediction(torch.zeros(1, 1, 2), torch.full((1, 1, H, W), 2.0))
    found = clip_loss([frame], truth, torch.tensor([[0]]), WEIGHTS, 1.0, generator())
    assert found['mask'].item() == pytest.approx(5 * math.log1p(math.exp(-2)), rel=1e-5)


def test_what_is_taught_is_no_object_before_an_object_comes_and_its_class_while_it_is_hidden():
    truth = targets(3, (2, (None, 4, None)))
    logits = [torch.zeros(1, 2, 4, requires_grad=True) for _ in range(3)]
    masks = [torch.zeros(1, 2, H, W, requires_grad=True) for _ in range(3)]
    frames = [Prediction(*pair) for pair in zip(logits, masks, strict=True)]
    losses_ = clip_loss(frames, truth, torch.tensor([[1]]), WEIGHTS, 1.0, generator())
    sum(losses_.values()).backward()
    for t, label in enumerate((3, 2, 2)):  # the gradient pulls the taught class up alone
        assert (logits[t].grad[0, 1] < 0).tolist() == [k == label for k in range(4)]
        assert (logits[t].grad[0, 0] < 0).tolist() == [False, False, False, True]
        assert not masks[t].grad[0, 0].any()
    assert not masks[0].grad.any()
    wanted = (masks[1].grad[0, 1] < 0) & region(4)
    assert wanted.any() and not (masks[1].grad[0, 1] < 0)[:, :11].any()
    assert (masks[2].grad[0, 1] >= 0).all() and masks[2].grad.any()


def test_a_lead_binds_and_does_not_count():
    truth = targets(3, (0, (1, None, 1)), (1, (None, 5, 5)), (2, (None, None, 8)))
    frames = [prediction((5, 1, 8), scores=((1, 0, 2),)), prediction((1, 8, 5)),
              prediction((8, 1, 5))]
    queries = bind(frames, truth, WEIGHTS, generator())
    assert queries.tolist() == [[1, 2, 0]]  # columns 1, 5 and 8 where they are first seen
    tail = ClipTargets(
        truth.labels, truth.masks[:, :, 1:], (truth.first - 1).clamp(min=0))
    assert clip_loss(frames, truth, queries, WEIGHTS, 2.0, generator(), lead=1) == clip_loss(
        frames[1:], tail, queries, WEIGHTS, 2.0, generator())


@pytest.mark.parametrize(('loyalty', 'expected'), ((math.inf, 0), (2.5, 1), (30.0, 0)))
def test_an_object_that_its_query_lost_in_the_lead_goes_to_the_one_that_has_it(loyalty, expected):
    truth = targets(3, (0, (2, 3, 3)))
    frames = [prediction((2, 7)), prediction((7, 3)), prediction((3, 7))]
    weights = replace(WEIGHTS, loyalty=loyalty)
    assert bind(frames, truth, weights, generator(), lead=1).tolist() == [[expected]]


def test_an_object_leaves_its_query_at_the_end_of_the_lead_alone():
    truth = targets(3, (0, (2, 3, 3)))
    frames = [prediction((2, 7)), prediction((7, 3)), prediction((7, 3))]
    weights = replace(WEIGHTS, loyalty=2.5)
    assert bind(frames, truth, weights, generator(), lead=2).tolist() == [[1]]
    assert bind(frames, truth, weights, generator()).tolist() == [[0]]  # without a lead


def test_an_object_does_not_leave_its_query_for_one_that_is_a_little_better():
    truth = targets(2, (0, (2, 2)))
    better = prediction((2, 2), scores=((1, 0, 9),))
    for loyalty, expected in ((2.5, 0), (1.0, 1)):  # a class as good as sure is worth 1.5 here
        weights = replace(WEIGHTS, loyalty=loyalty)
        frames = [prediction((2, 7)), better]
        assert bind(frames, truth, weights, generator(), lead=1).tolist() == [[expected]]


def test_a_hidden_object_keeps_its_query_and_others_change_theirs():
    truth = targets(2, (0, (2, 5)), (0, (5, 2)), (0, (7, None)), (1, (None, 0)))
    frames = [prediction((2, 5, 7, 4)), prediction((2, 5, 0, 1))]
    weights = replace(WEIGHTS, loyalty=2.5)
    assert bind(frames, truth, weights, generator(), lead=1).tolist() == [[1, 0, 2, 3]]


def test_a_batch_without_any_object_teaches_no_object_alone():
    truth = ClipTargets(
        torch.full((2, 1), -1), torch.zeros(2, 1, 1, H, W, dtype=torch.bool), torch.ones(
            2, 1, dtype=torch.int64))
    logits = torch.zeros(2, 3, 4, requires_grad=True)
    masks = torch.zeros(2, 3, 4, 6, requires_grad=True)
    frames = [Prediction(logits, masks)]
    queries = bind(frames, truth, WEIGHTS, generator())
    assert queries.tolist() == [[-1], [-1]]
    found = clip_loss(frames, truth, queries, WEIGHTS, 1.0, generator())
    assert found['class'].item() == pytest.approx(2 * math.log(4))
    assert found['mask'].item() == found['dice'].item() == 0
    sum(found.values()).backward()  # all processes of a group need a gradient everywhere
    assert (logits.grad[..., 3] < 0).all() and masks.grad is not None and not masks.grad.any()


def test_an_object_without_a_query_costs_nothing():
    alone, both = targets(1, (0, (1,))), targets(1, (0, (1,)), (0, (5,)))
    frames = [prediction((1, 3))]
    assert clip_loss(
        frames, both, torch.tensor([[0, -1]]), WEIGHTS, 1.0, generator()) == clip_loss(
        frames, alone, torch.tensor([[0]]), WEIGHTS, 1.0, generator())


def test_nearest_points_are_the_pixels_that_hold_them():
    mask = torch.rand(1, 2, H, W)
    points = torch.rand(1, 500, 2)
    read = sample_points(mask, points, mode='nearest')
    x, y = (points[0] * torch.tensor((W, H))).floor().long().T
    assert torch.equal(read[0], mask[0][:, y, x])


def test_bilinear_points_are_the_pixels_at_their_centres_and_their_mean_between_them():
    mask = torch.rand(1, 1, H, W)
    centre = torch.tensor([[[7.5 / W, 4.5 / H], [8.0 / W, 4.5 / H], [8.0 / W, 5.0 / H]]])
    pixels = mask[0, 0, 4:6, 7:9]
    assert sample_points(mask, centre)[0, 0].tolist() == pytest.approx(
        [pixels[0, 0].item(), pixels[0].mean().item(), pixels.mean().item()], abs=1e-5)


def test_logits_are_read_where_they_lie_once_enlarged_to_the_picture():
    coarse = torch.randn(1, 1, H // 4, W // 4)
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing='ij')
    points = torch.stack(((x + 0.5) / W, (y + 0.5) / H), dim=-1).view(1, -1, 2)
    read = sample_points(coarse, points).view(H, W)
    fine = F.interpolate(coarse, (H, W), mode='bilinear')[0, 0]
    inner = (slice(2, -2), slice(2, -2))  # beyond the outermost centres lie zeros
    torch.testing.assert_close(read[inner], fine[inner], atol=1e-5, rtol=0)


def test_most_points_lie_where_the_mask_is_in_doubt():
    ramp = torch.linspace(-10, 10, W).expand(1, 1, H, W).contiguous()
    weights = LossWeights(num_points=400)
    points = losses._uncertain_points(ramp, weights, generator())
    assert points.shape == (1, 400, 2)
    doubt = sample_points(ramp, points)[0, 0].abs()
    assert doubt[:300].max() < 4 < 5 < doubt[300:].max()
    assert 0 <= points.min() and points.max() <= 1
    assert torch.equal(points, losses._uncertain_points(ramp, weights, generator()))
