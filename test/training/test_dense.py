"""The head that teaches every patch: what patches show, and what a wrong answer costs."""

import math

import pytest
import torch
from videomt_ros.network import NetworkConfig
from videomt_ros.training.dense import dense_loss, DenseHead, patch_targets, PatchTargets
from videomt_ros.training.losses import ClipTargets


def targets(*objects, frames=2):
    """Give one clip of 16x24 pixels whose objects are (class, frame, rows, columns)."""
    masks = torch.zeros(1, len(objects), frames, 16, 24, dtype=torch.bool)
    for n, (_, t, rows, columns) in enumerate(objects):
        masks[0, n, t, rows[0]:rows[1], columns[0]:columns[1]] = True
    return ClipTargets(
        torch.tensor([[label for label, *_ in objects]]), masks,
        torch.tensor([[t for _, t, *_ in objects]]))


def test_a_patch_shows_the_share_of_each_class():
    found = patch_targets(targets((1, 0, (0, 8), (0, 12)), (0, 0, (4, 8), (12, 16))), 8, 2)
    assert found.shares.shape == (1, 2, 6, 3) and found.shares.dtype == torch.float32
    assert found.shares[0, 0].tolist() == [
        [0, 1, 0], [0.25, 0.5, 0.25], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert (found.shares[0, 1, :, 2] == 1).all(), 'nothing is seen in the second frame'


def test_objects_of_one_class_share_a_patch_and_overlapping_ones_too():
    side_by_side = patch_targets(targets((1, 0, (0, 8), (0, 4)), (1, 0, (0, 8), (4, 8))), 8, 2)
    assert side_by_side.shares[0, 0, 0].tolist() == [0, 1, 0]
    over_each_other = patch_targets(targets((1, 0, (0, 8), (0, 8)), (0, 0, (0, 8), (0, 8))), 8, 2)
    assert over_each_other.shares[0, 0, 0].tolist() == [0.5, 0.5, 0]


def test_what_pads_a_batch_is_nowhere():
    clip = targets((-1, 0, (0, 0), (0, 0)))
    found = patch_targets(clip, 8, 2)
    assert (found.shares[..., 2] == 1).all() and not found.filled.any()


def test_sides_are_as_far_from_the_patch_as_the_object_reaches():
    found = patch_targets(targets((0, 0, (2, 16), (6, 22)), (1, 0, (0, 2), (8, 16))), 8, 2)
    assert found.filled[0, 0].tolist() == [False, True, True, False, True, True]
    pixels = found.sides * torch.tensor([24, 16, 24, 16])  # the centre of patch 1 is (12, 4)
    assert pixels[0, 0, 1].tolist() == pytest.approx([12 - 6, 4 - 2, 22 - 12, 16 - 4])
    assert pixels[0, 0, 5].tolist() == pytest.approx([20 - 6, 12 - 2, 22 - 20, 16 - 12])


def test_each_patch_looks_at_the_object_that_fills_it_in_its_frame():
    clip = targets((0, 0, (0, 8), (0, 8)), (0, 0, (0, 8), (8, 24)), (1, 1, (0, 8), (0, 16)))
    found = patch_targets(clip, 8, 2)
    widths = (found.sides[..., 0] + found.sides[..., 2]) * 24
    assert widths[0, 0, :3].tolist() == pytest.approx([8, 16, 16])
    assert widths[0, 1, :2].tolist() == pytest.approx([16, 16])
    assert found.filled[0].tolist() == [[True] * 3 + [False] * 3, [True] * 2 + [False] * 4]


def test_the_lead_is_left_out():
    clip = targets((0, 0, (0, 8), (0, 8)), (1, 1, (0, 8), (0, 16)))
    whole, rest = patch_targets(clip, 8, 2), patch_targets(clip, 8, 2, lead=1)
    for name in ('shares', 'sides', 'filled'):
        assert torch.equal(getattr(whole, name)[:, 1:], getattr(rest, name))


def test_the_head_reads_each_token_alone():
    torch.manual_seed(0)
    head = DenseHead(NetworkConfig(
        hidden_size=32, num_heads=2, class_names=('a', 'b'), thing_classes=frozenset((0, 1))))
    tokens = torch.randn(2, 6, 32)
    logits, sides = head(tokens)
    assert logits.shape == (2, 6, 3) and sides.shape == (2, 6, 4)
    again, _ = head(torch.cat((tokens[:, :3], torch.zeros(2, 3, 32)), dim=1))
    torch.testing.assert_close(again[:, :3], logits[:, :3])


def test_no_object_weighs_less_and_sides_count_where_an_object_is():
    shares = torch.tensor([[[[1.0, 0, 0], [0, 0, 1]]]])
    sides = torch.tensor([[[[0.1, 0.2, 0.3, 0.4], [9, 9, 9, 9]]]])
    truth = PatchTargets(shares, sides, torch.tensor([[[True, False]]]))
    logits = torch.tensor([[[[0.0, 0, 0], [0, 0, math.log(2)]]]])  # 1/3 and 1/2 are right
    off = torch.tensor([[[[0.3, 0.2, 0.3, 0.2], [0, 0, 0, 0]]]])
    found = dense_loss(logits, off, truth, no_object=0.5)
    assert found.item() == pytest.approx(
        (math.log(3) + 0.5 * math.log(2)) / 1.5 + 5 * (0.2 + 0.2) / 4, rel=1e-5)


def test_a_frame_without_objects_costs_what_is_taken_for_one():
    truth = patch_targets(targets((-1, 0, (0, 0), (0, 0))), 8, 2)
    sure, sides = torch.zeros(1, 2, 6, 3), torch.randn(1, 2, 6, 4)
    sure[..., 2] = 20
    assert dense_loss(sure, sides, truth, 0.4).item() == pytest.approx(0, abs=1e-5)
    assert dense_loss(sure.flip(3), sides, truth, 0.4).item() == pytest.approx(20, rel=1e-3)


def test_under_autocast_the_loss_is_not_rounded():
    torch.manual_seed(0)
    truth = patch_targets(targets((1, 0, (0, 13), (0, 21)), (0, 1, (3, 9), (5, 16))), 8, 2)
    logits, sides = torch.randn(1, 2, 6, 3), torch.rand(1, 2, 6, 4)
    exact = dense_loss(logits, sides, truth, 0.37)
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(dense_loss(logits, sides, truth, 0.37), exact)
