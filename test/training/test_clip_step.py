"""A training step: the network's own prediction, masked attention, gradients through time."""

from dataclasses import replace
import math

import pytest
import torch
from videomt_ros.network import NetworkConfig, VideoMT
from videomt_ros.training import clip_step
from videomt_ros.training.clip_step import anneal, attention_mask, ClipStep
from videomt_ros.training.dense import dense_loss, patch_targets
from videomt_ros.training.losses import bind, ClipTargets, LossWeights

WEIGHTS = LossWeights(num_points=32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(**fields):
    torch.manual_seed(0)
    return VideoMT(NetworkConfig(**{
        'hidden_size': 32, 'num_layers': 3, 'num_heads': 2, 'mlp_size': 64, 'patch_size': 8,
        'num_registers': 1, 'num_queries': 4, 'num_query_blocks': 2, 'num_upscale_blocks': 1,
        'grid_size': 4, 'class_names': ('a', 'b'), 'thing_classes': frozenset((0, 1)), **fields}))


def clip(frames, batch=2):
    """Give random pixels and one object in each clip, seen in all frames."""
    masks = torch.zeros(batch, 1, frames, 24, 32, dtype=torch.bool)
    masks[..., 4:14, 6:20] = True
    targets = ClipTargets(
        torch.ones(batch, 1, dtype=torch.int64), masks, torch.zeros(batch, 1, dtype=torch.int64))
    return torch.randn(batch, frames, 3, 24, 32, generator=generator(7)), targets


def patch_logits(rows, columns, *inside):
    """Give mask logits (1, 1, 2 rows, 2 columns) that are positive in some patches."""
    logits = torch.full((1, 1, 2 * rows, 2 * columns), -5.0)
    for y, x in inside:
        logits[..., 2 * y:2 * y + 2, 2 * x:2 * x + 2] = 5
    return logits


def test_a_query_sees_the_patches_of_its_mask_and_all_other_tokens():
    mask = attention_mask(patch_logits(3, 4, (0, 1), (2, 3)), (3, 4), 15, 1.0, generator())
    assert mask.shape == (1, 15, 15) and mask.dtype == torch.bool
    assert mask[0, 0].nonzero().flatten().tolist() == [0, 1, 2, 3 + 1, 3 + 2 * 4 + 3]
    assert mask[0, 1:].all()


def test_a_query_with_an_empty_mask_sees_everything():
    assert attention_mask(patch_logits(3, 4), (3, 4), 15, 1.0, generator()).all()


def test_a_share_of_the_queries_is_masked():
    logits = patch_logits(3, 4, (1, 1)).expand(4, 1000, -1, -1)

    def masked(share, seed=0):
        return ~attention_mask(logits, (3, 4), 1012, share, generator(seed)).all(dim=2)[:, :1000]

    assert not masked(0.0).any() and masked(1.0).all()
    assert masked(0.3).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(masked(0.5), masked(0.5)) and not torch.equal(masked(0.5), masked(0.5, 1))


@pytest.mark.parametrize('progress, expected', (
    (0.0, (1, 1, 1)), (0.2, (1, 1, 1)), (0.3, (0.5 ** 0.9, 1, 1)), (0.5, (0, 0.5 ** 0.9, 1)),
    (0.75, (0, 0, 0.25 ** 0.9)), (0.8, (0, 0, 0)), (1.0, (0, 0, 0))))
def test_masked_attention_fades_block_after_block(progress, expected):
    assert anneal(3, 0.2, 0.8)(progress) == pytest.approx(expected, abs=1e-9)


def test_from_zero_to_zero_there_is_no_masked_attention():
    shares = anneal(2, 0.0, 0.0)
    assert [shares(p) for p in (0.0, 0.5, 1.0)] == [(0.0, 0.0)] * 3


@pytest.mark.parametrize('fields', ({}, {'norm_queries': True}, {'backbone': 'dinov3'}))
def test_the_last_prediction_is_that_of_the_network_frame_by_frame(fields):
    net = network(**fields).eval()
    pixels, _ = clip(2)
    step, mine, theirs = ClipStep(net, WEIGHTS), None, None
    for t in range(2):
        predictions, mine = step._frame(
            net.encode(pixels[:, t]), mine, (0.0, 0.0), generator())
        output = net(pixels[:, t], theirs)
        theirs = output.state
        assert len(predictions) == 3
        torch.testing.assert_close(predictions[-1].class_logits, output.class_logits)
        torch.testing.assert_close(predictions[-1].mask_logits, output.mask_logits)
        torch.testing.assert_close(mine.queries, theirs.queries)


@pytest.mark.parametrize('fields', ({}, {'backbone': 'dinov3'}))
def test_frames_are_encoded_alike_one_by_one_and_together(fields):
    net, (pixels, _) = network(**fields), clip(5)
    step = ClipStep(net, WEIGHTS)
    for at_once in (2, 5):
        for one, other in zip(step._encode(pixels, 1), step._encode(pixels, at_once), strict=True):
            torch.testing.assert_close(one.tokens, other.tokens)
            assert one.grid == other.grid == (3, 4)
            assert (one.rotation is None) == (other.rotation is None) == (not fields)


def test_masked_attention_changes_what_the_queries_see():
    net = network().eval()
    with torch.no_grad():
        net.queries.mul_(5)  # masks that are neither empty nor whole
        pixels, _ = clip(1)
        frame = net.encode(pixels[:, 0])
        step = ClipStep(net, WEIGHTS)
        plain, _ = step._frame(frame, None, (0.0, 0.0), generator())
        masked, _ = step._frame(frame, None, (0.0, 1.0), generator())
    assert torch.equal(plain[1].mask_logits, masked[1].mask_logits)
    assert not torch.allclose(plain[2].mask_logits, masked[2].mask_logits)


def test_every_query_block_is_supervised():
    net = network()
    torch.nn.init.zeros_(net.class_head.weight)
    pixels, targets = clip(2)
    step = ClipStep(net, LossWeights(num_points=32, mask=0.0, dice=0.0))
    found = step(pixels, targets, (0.0, 0.0), generator())
    assert found['class'].item() == pytest.approx(2 * math.log(3), rel=1e-5)
    assert found['loss'].item() == pytest.approx(3 * 2 * math.log(3), rel=1e-5)
    assert found['loss'].requires_grad and not found['class'].requires_grad


def test_losses_are_drawn_from_the_generator_alone():
    net, (pixels, targets) = network(), clip(2)
    step = ClipStep(net, WEIGHTS)
    one, same, other = (
        step(pixels, targets, (0.5, 0.5), generator(seed))['loss'].item() for seed in (1, 1, 2))
    assert one == same != other


def test_masks_count_from_the_first_frame_on_also_while_hidden():
    masks = torch.zeros(2, 2, 3, 8, 8, dtype=torch.bool)
    targets = ClipTargets(
        torch.tensor([[0, 1], [1, -1]]), masks, torch.tensor([[0, 2], [1, 3]]))
    assert ClipStep(network(), WEIGHTS)._num_masks(targets, 0, 3) == 3 + 1 + 2
    assert ClipStep(network(), WEIGHTS)._num_masks(targets, 2, 3) == 1 + 1 + 1
    absent = ClipTargets(torch.full((1, 1), -1), masks[:1, :1], torch.tensor([[3]]))
    assert ClipStep(network(), WEIGHTS)._num_masks(absent, 0, 3) == 1


def test_a_single_frame_teaches_all_but_the_memory():
    net, (pixels, targets) = network(), clip(1)
    ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator())['loss'].backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == [
        'query_updater.weight', 'query_updater.bias']


def test_a_clip_teaches_every_parameter():
    net, (pixels, targets) = network(), clip(2)
    ClipStep(net, WEIGHTS)(pixels, targets, (0.5, 0.5), generator())['loss'].backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_a_clip_without_objects_gives_every_parameter_a_gradient():
    net, (pixels, _) = network(), clip(2)
    targets = ClipTargets(
        torch.full((2, 1), -1), torch.zeros(2, 1, 2, 24, 32, dtype=torch.bool),
        torch.full((2, 1), 2))
    loss = ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator())['loss']
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_a_dense_loss_teaches_the_encoder_and_is_part_of_the_whole():
    net, (pixels, targets) = network(), clip(3)
    plain = ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator(), lead=1)
    step = ClipStep(net, replace(WEIGHTS, dense=2.0, no_object=0.5))
    found = step(pixels, targets, (0.0, 0.0), generator(), lead=1)
    assert 'dense' not in plain and not found['dense'].requires_grad
    tokens = torch.stack([net.encode(pixels[:, t]).tokens[:, -12:] for t in (1, 2)], dim=1)
    alone = 2 * dense_loss(*step.dense(tokens), patch_targets(targets, 8, 2, 1), 0.5)
    torch.testing.assert_close(found['dense'], alone.detach())
    alone.backward()
    taught = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split('.')[0] for name in taught} == {'embed', 'blocks'}
    assert {int(name.split('.')[1]) for name in taught if name.startswith('blocks')} == {0}
    without = replace(WEIGHTS, no_object=0.5)
    rest = ClipStep(net, without)(pixels, targets, (0.0, 0.0), generator(), lead=1)
    torch.testing.assert_close(found['loss'], rest['loss'] + found['dense'])


def test_gradients_flow_through_all_frames(monkeypatch):
    net, (pixels, targets) = network(), clip(3)
    states, propagate = [], net.propagate

    def remember(x, class_logits):
        states.append(propagate(x, class_logits))
        return states[-1]

    monkeypatch.setattr(net, 'propagate', remember)
    loss = ClipStep(net, WEIGHTS)(pixels.requires_grad_(), targets, (0.0, 0.0), generator())
    of_first, of_second = torch.autograd.grad(
        loss['loss'], [states[0].queries, states[1].queries], retain_graph=True)
    assert of_first.any() and of_second.any()
    of_pixels, = torch.autograd.grad(states[1].queries.sum(), pixels)
    assert of_pixels[:, 0].any() and of_pixels[:, 1].any() and not of_pixels[:, 2].any()


@pytest.mark.parametrize('dtype', (None, torch.bfloat16))
def test_a_lead_makes_the_memory_and_gets_no_gradient(dtype):
    net, (pixels, targets) = network(), clip(4)
    states, propagate = [], net.propagate
    net.propagate = lambda *given: states.append(propagate(*given)) or states[-1]
    with torch.autocast('cpu', dtype, enabled=dtype is not None):
        found = ClipStep(net, WEIGHTS)(
            pixels.requires_grad_(), targets, (0.5, 0.5), generator(), lead=2)
    found['loss'].backward()
    assert [bool(pixels.grad[:, t].any()) for t in range(4)] == [False, False, True, True]
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    assert [state.queries.requires_grad for state in states] == [False, False, True, True]
    assert not torch.allclose(states[1].queries, net.initial_state(2).queries)


def test_queries_that_show_little_are_renewed_in_training_as_in_use(monkeypatch):
    net, (pixels, targets) = network(), clip(4)
    net.config = replace(net.config, renew_below=0.9)
    states, propagate = [], net.propagate
    monkeypatch.setattr(
        net, 'propagate', lambda *given: states.append(propagate(*given)) or states[-1])
    ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator(), lead=2)
    in_training, state = states[:], None
    for t in range(4):
        state = net(pixels[:, t], state).state
        torch.testing.assert_close(in_training[t].queries, state.queries)
    net.config = replace(net.config, renew_below=0.0)
    assert not torch.allclose(net(pixels[:, 0]).state.queries, states[0].queries, atol=0.01)
    heads = torch.autograd.grad(
        in_training[-1].queries.sum(), net.class_head.parameters(), allow_unused=True)
    assert heads == (None, None), 'the class head is taught by its loss alone'


def test_of_a_lead_no_more_is_predicted_than_binds(monkeypatch):
    net, (pixels, targets) = network(), clip(5)
    calls, predict = [], net.predict
    monkeypatch.setattr(net, 'predict', lambda *given: calls.append(given) or predict(*given))
    step = ClipStep(net, WEIGHTS)
    step(pixels, targets, (0.0, 0.0), generator(), lead=4)
    assert len(calls) == 3 * 2  # of the first frame, where the objects are bound, and the last
    calls.clear()
    step(pixels, targets, (0.5, 0.0), generator(), lead=4)
    assert len(calls) == 3 * 2 + 3  # and what masks the attention of the others


def test_objects_are_bound_anew_after_the_lead(monkeypatch):
    net, (pixels, targets) = network(), clip(5)
    leads = []
    monkeypatch.setattr(
        clip_step, 'bind', lambda *given: leads.append(given[4]) or bind(*given))
    ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator(), lead=3)
    assert leads == [3, 3, 3]


def test_the_frames_after_a_lead_are_seen_as_if_all_had_counted(monkeypatch):
    net, (pixels, targets) = network(), clip(4)
    seen = []
    monkeypatch.setattr(clip_step, 'clip_loss', lambda predictions, *_: seen.append(
        predictions[3]) or {'class': predictions[3].class_logits.sum()})
    for lead in (0, 3):
        ClipStep(net, WEIGHTS)(pixels, targets, (0.0, 0.0), generator(), lead=lead)
    whole, led = seen[2], seen[5]
    torch.testing.assert_close(whole.class_logits, led.class_logits)
    torch.testing.assert_close(whole.mask_logits, led.mask_logits)


@pytest.mark.parametrize('dtype', (torch.bfloat16, torch.float16))
def test_autocast_gives_nearly_the_same_losses(dtype):
    net, (pixels, targets) = network(), clip(2)
    step = ClipStep(net, WEIGHTS)
    exact = step(pixels, targets, (0.0, 0.0), generator())
    with torch.autocast('cpu', dtype):
        close = step(pixels, targets, (0.0, 0.0), generator())
    for name, value in exact.items():
        assert close[name].dtype == torch.float32
        assert close[name].item() == pytest.approx(value.item(), rel=0.03)
