"""Low precision is for the matrix products alone, and no way to run changes what comes out."""

import copy
import re
import shutil

from networks import make_network
import pytest
import torch
from videomt_ros.network import VideoMT
from videomt_ros.network.vit import _attend_by_head, Attention, Block, LayerNorm

BACKBONES = {
    'dinov2': {}, 'norm_queries': {'norm_queries': True},
    'dinov3': {'backbone': 'dinov3', 'layer_norm_eps': 1e-5}}
# What rounding may cost, as a share of the spread of the values: masks, memory.
BOUNDS = {torch.bfloat16: (0.03, 0.015), torch.float16: (0.004, 0.002)}


@pytest.fixture(params=BACKBONES.values(), ids=BACKBONES, scope='module')
def network(request):
    return make_network(hidden_size=128, num_layers=6, num_heads=2, mlp_size=256, num_queries=20,
                        **request.param)


@pytest.fixture(params=BOUNDS, ids=['bf16', 'fp16'])
def dtype(request):
    return request.param


def lowered(network, dtype):
    return copy.deepcopy(network).set_precision(dtype).eval()


def video(frames=5):
    return torch.randn(2, frames, 3, 96, 128, generator=torch.Generator().manual_seed(5))


def run(network, frames):
    """Give class logits, mask logits and memory of each frame of two streams."""
    state, answers = None, []
    for t in range(frames.shape[1]):
        out = network(frames[:, t], state)
        state = out.state
        answers.append((out.class_logits, out.mask_logits, state.queries))
    return answers


def assert_close(answers, expected, dtype):
    """Compare answers to those in float32, and see that the memory gathers no error."""
    mask_bound, memory_bound = BOUNDS[dtype]
    memory_errors = []
    for (classes, masks, memory), (true_classes, true_masks, true_memory) in zip(
            answers, expected, strict=True):
        difference = classes.softmax(-1) - true_classes.softmax(-1)
        assert difference.abs().max() < mask_bound
        errors = [((a.float() - b).pow(2).mean().sqrt() / b.std()).item()
                  for a, b in ((masks, true_masks), (memory, true_memory))]
        assert errors[0] < mask_bound and errors[1] < memory_bound
        signs = (masks > 0) == (true_masks > 0)
        assert signs[true_masks.abs() > mask_bound * 10 * true_masks.std()].all()
        memory_errors.append(errors[1])
    assert memory_errors[-1] < 3 * memory_errors[0]


def test_five_frames_are_those_of_float32(network, dtype):
    with torch.inference_mode():
        assert_close(run(lowered(network, dtype), video()), run(network, video()), dtype)


def test_the_stream_and_its_norms_are_float32_and_the_memory_is_not(network, dtype):
    low = lowered(network, dtype)
    seen = {'stream': set(), 'norm': set(), 'product': set()}

    def watch(kind):
        def hook(module, given, made):
            seen[kind].update({given[0].dtype, made.dtype})
        return hook
    for module in low.modules():
        if isinstance(module, Block):
            module.register_forward_hook(watch('stream'))
        elif isinstance(module, LayerNorm):
            module.register_forward_hook(
                lambda module, given, made: seen['norm'].add(made.dtype))
        elif isinstance(module, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            module.register_forward_hook(watch('product'))
    with torch.inference_mode():
        answers = run(low, video(2))
    assert seen == {'stream': {torch.float32}, 'norm': {torch.float32}, 'product': {dtype}}
    assert [[each.dtype for each in answer] for answer in answers] == [
        [torch.float32, torch.float32, dtype]] * 2
    assert low.initial_state(3).queries.dtype is dtype
    out = low(video()[:, 0])
    assert out.mask_logits_of(0, [1, 2]).dtype is torch.float32
    assert out.state.reset(1).queries.dtype is dtype
    kept = {name for name, value in low.state_dict().items() if value.dtype is torch.float32}
    products = {name for name in low.state_dict() if re.search(
        r'(qkv|out|fc\d|projection|conv\d|class_head|query_updater)\.(weight|bias)$', name)}
    assert kept == set(low.state_dict()) - products and 'queries' in kept


def test_small_changes_of_a_large_stream_are_not_lost(dtype):
    # Trained ViTs have channels of several hundreds. There bf16 counts in steps of 2 or 4.
    torch.manual_seed(0)
    block = Block(make_network().config).eval()
    x = torch.randn(1, 30, 64)
    x[..., :8] += 700
    low = copy.deepcopy(block)
    for module in low.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(dtype)
    with torch.inference_mode():
        kept = (low(x) - block(x)).abs().max()
        lost = (block(x.bfloat16().float()) - block(x)).abs().max()
    assert kept < 0.02 < 0.5 < lost


def test_the_softmax_tells_scores_apart_that_bf16_does_not():
    attention = Attention(make_network().config).bfloat16().eval()
    with torch.inference_mode():
        attention.qkv.weight.copy_(torch.eye(64).repeat(3, 1))  # q = k = v = x
        attention.qkv.bias.zero_()
        attention.out.weight.copy_(torch.eye(64))
        attention.out.bias.zero_()
        x = torch.zeros(1, 9, 64)
        x[..., 0] = 32 + torch.arange(9) / 4  # scores of 128 and more, a unit apart
        x[..., 1:10] = torch.eye(9)
        q = x.bfloat16().double()
        scores = q @ q.transpose(1, 2) / 8
        exact = scores.softmax(-1) @ q
        rounded = scores.bfloat16().double().softmax(-1) @ q
        found = attention(x.bfloat16()).double()
    assert (found - exact)[..., 1:10].abs().max() < 0.01
    assert (rounded - exact)[..., 1:10].abs().max() > 0.03


def test_training_under_autocast_gives_the_same_kind_of_result(network, dtype):
    frames = video()
    model = copy.deepcopy(network).train()
    with torch.autocast('cpu', dtype):
        answers = run(model, frames)
    with torch.inference_mode():
        expected = run(network, frames)
        low = run(lowered(network, dtype), frames)
    assert_close([[each.detach() for each in answer] for answer in answers], expected, dtype)
    # It is off by as much as low precision is, neither more nor less.
    errors = [torch.stack([(answer[1] - true[1]).pow(2).mean().sqrt()
                           for answer, true in zip(each, expected, strict=True)]).mean().item()
              for each in (answers, low)]
    assert 0.5 < errors[0] / errors[1] < 2
    loss = sum(classes.square().mean() + masks.square().mean() for classes, masks, _ in answers)
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    assert all(each is not None and each.dtype is torch.float32 and each.isfinite().all()
               for each in gradients.values())
    assert gradients['query_updater.weight'].abs().max() > 0  # through the memory


def test_precision_can_be_changed_back_without_what_was_lost_coming_back(network):
    there = lowered(network, torch.bfloat16)
    back = there.set_precision(torch.float32)
    assert isinstance(back, VideoMT) and back.dtype is torch.float32
    assert {value.dtype for value in back.state_dict().values()} == {torch.float32}
    with torch.inference_mode():
        assert_close(run(back, video()), run(network, video()), torch.bfloat16)


def test_attending_by_head_in_training_is_attention():
    generator = torch.Generator().manual_seed(1)
    leaves = [torch.randn(2, 3, 40, 16, generator=generator).requires_grad_() for _ in range(3)]
    weights = torch.randn(2, 3, 40, 16, generator=generator)
    expected = torch.nn.functional.scaled_dot_product_attention(*leaves)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), leaves)
    with torch.autocast('cpu', torch.bfloat16):
        heads = _attend_by_head(*(leaf.bfloat16() for leaf in leaves))
    assert heads.dtype is torch.bfloat16
    gradients = torch.autograd.grad((heads.float() * weights).sum(), leaves)
    for ours, true in zip((heads, *gradients), (expected, *expected_gradients), strict=True):
        assert (ours.float() - true).pow(2).mean().sqrt() < 0.01 * true.std()


def test_only_training_in_bf16_attends_by_head(monkeypatch, network):
    calls = []
    monkeypatch.setattr(
        'videomt_ros.network.vit._attend_by_head',
        lambda q, k, v: calls.append(q.dtype) or _attend_by_head(q, k, v))
    pixels, low = video(1)[:, 0], torch.autocast('cpu', torch.bfloat16)
    learner = copy.deepcopy(network)
    with torch.no_grad():
        learner(pixels)
        with low:
            learner(pixels)
            assert not calls
            learner.train()(pixels)
    assert calls == [torch.bfloat16] * 6
    with torch.no_grad():
        learner(pixels)
    assert len(calls) == 6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs a C++ compiler')
@pytest.mark.parametrize('low', [False, True], ids=['fp32', 'bf16'])
def test_compiling_changes_nothing_but_the_rounding(low):
    network = make_network()
    if low:
        network.set_precision(torch.bfloat16)
    torch._dynamo.reset()
    compiled = torch.compile(network)
    with torch.inference_mode():
        expected, answers = run(network, video(3)), run(compiled, video(3))
    if low:
        assert_close(answers, [[each.float() for each in answer] for answer in expected],
                     torch.bfloat16)
    else:
        for answer, true in zip(answers, expected, strict=True):
            for ours, theirs in zip(answer, true, strict=True):
                torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)
