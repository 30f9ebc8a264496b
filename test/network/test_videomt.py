"""The memory goes in and comes out; rows do not touch each other; any size is taken."""

from networks import make_network
import pytest
import torch
from torch.nn import functional
from videomt_ros.network import QueryState, VideoMT


@pytest.fixture(params=[
    {}, {'norm_queries': True}, {'backbone': 'dinov3', 'layer_norm_eps': 1e-5}],
    ids=['dinov2', 'norm_queries', 'dinov3'], scope='module')
def network(request):
    return make_network(**request.param)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_three_cameras_in_a_batch_equal_three_single_runs(network):
    videos = torch.randn(3, 4, 3, 48, 80)
    state, states = None, [None] * 3
    for t in range(4):
        out = network(videos[:, t], state)
        state = out.state
        for row in range(3):
            alone = network(videos[row:row + 1, t], states[row])
            states[row] = alone.state
            close(out.class_logits[row], alone.class_logits[0])
            close(out.mask_logits[row], alone.mask_logits[0])


def test_resetting_one_row_resets_that_row_alone(network):
    frames = torch.randn(3, 2, 3, 64, 64)
    before = network(frames[:, 0]).state
    kept = before.queries.clone()
    reset = before.reset(1)
    assert torch.equal(before.queries, kept)
    out, old = network(frames[:, 1], reset), network(frames[:, 1], before)
    new = network(frames[:, 1])
    for row, expected in ((0, old), (1, new), (2, old)):
        close(out.class_logits[row], expected.class_logits[row])
    assert not torch.allclose(old.class_logits[1], new.class_logits[1], atol=1e-2)


def test_rows_can_be_batched_anew(network):
    frames = torch.randn(2, 3, 64, 64)
    state = network(frames).state
    swapped = QueryState.cat([state.row(1), state.row(0)])
    close(network(frames.flip(0), swapped).class_logits,
          network(frames, state).class_logits.flip(0))


def test_first_frame_starts_with_the_learnt_queries_themselves(network):
    pixels = torch.randn(1, 3, 64, 64)
    close(network(pixels, network.initial_state(1)).class_logits, network(pixels).class_logits)
    assert torch.equal(network.initial_state(2).queries[1], network.queries)


def test_a_query_is_carried_on_as_far_as_it_shows_something():
    plain, pixels = make_network(), torch.randn(2, 3, 64, 64)
    expected = plain(pixels)
    chances = expected.class_logits.softmax(-1)[..., :-1].amax(-1)
    enough = float(chances.flatten().sort().values[9:11].mean())
    state = make_network(renew_below=enough)(pixels).state
    initial, shows = state.initial, chances > enough
    assert shows.sum() == 8
    close(state.queries[shows], expected.state.queries[shows])
    parts = (chances / enough)[~shows][:, None]
    carried = (expected.state.queries - initial)[~shows]
    close(state.queries[~shows], initial.expand_as(state.queries)[~shows] + parts * carried)
    assert parts.min() < 0.97 and carried.abs().max() > 1


def test_nothing_is_carried_on_by_what_shows_nothing():
    with torch.inference_mode(False), torch.no_grad():
        network = make_network(renew_below=0.3)
        network.class_head.weight.zero_()
        network.class_head.bias.copy_(torch.tensor([0., 0., 0., 0., 0., 50.]))
    state = network(torch.randn(1, 3, 64, 64)).state
    close(state.queries[0], network.queries)


def test_masks_of_some_slots_are_those_of_all(network):
    out = network(torch.randn(2, 3, 48, 64))
    assert out.mask_logits.shape == (2, 9, 12, 16)
    close(out.mask_logits_of(1, [7, 0, 3]), out.mask_logits[1, [7, 0, 3]])
    assert out.mask_logits_of(0, []).shape == (0, 12, 16)


@pytest.mark.parametrize('blocks', (0, 1, 2))
def test_every_mask_logit_can_be_raised(blocks):
    network, pixels = make_network(num_upscale_blocks=blocks), torch.randn(1, 3, 32, 64)
    before = network(pixels)
    network.raise_mask_logits(1.5)
    after = network(pixels, before.state)
    before = make_network(num_upscale_blocks=blocks)(pixels, before.state)
    torch.testing.assert_close(
        after.mask_logits, before.mask_logits + 1.5, atol=1e-3, rtol=1e-4)
    assert torch.equal(after.class_logits, before.class_logits)
    assert torch.equal(after.state.queries, before.state.queries)
    assert torch.equal(after.mask_features, before.mask_features)


def test_nothing_is_added_to_the_masks_of_an_untrained_network():
    network = VideoMT(make_network().config)
    bias = network.mask_head.fc3.bias.clone()
    with pytest.raises(ValueError, match='expected a trained network'):
        network.raise_mask_logits(1.)
    assert torch.equal(network.mask_head.fc3.bias, bias)


def test_early_blocks_may_run_on_several_frames_at_once(network):
    video = torch.randn(3, 3, 48, 64)
    ahead, state, expected_state = network.encode(video), None, None
    for t in range(3):
        out = network.step(ahead.row(t), state)
        expected = network(video[t:t + 1], expected_state)
        state, expected_state = out.state, expected.state
        close(out.mask_logits, expected.mask_logits)


def test_positions_are_resized_as_timm_does():
    network = make_network()
    table = network.embed.positions.view(1, 4, 4, -1).permute(0, 3, 1, 2)
    expected = functional.interpolate(
        table, (3, 7), mode='bicubic', antialias=True, align_corners=False)
    pixels = torch.zeros(1, 3, 48, 112)
    tokens = network.embed(pixels)[0, 5:]
    bare = network.embed.projection(pixels).flatten(2)[0].T
    close(tokens - bare, expected.flatten(2)[0].T)


def test_resized_positions_follow_the_weights():
    with torch.inference_mode(False), torch.no_grad():
        network = make_network()
        pixels = torch.zeros(1, 3, 48, 112)
        before = network.embed(pixels)
        weights = {name: tensor * 2 for name, tensor in network.embed.state_dict().items()}
        network.embed.load_state_dict(weights)
        close(network.embed(pixels), before * 2)
        network.embed.positions.zero_()  # in place, as an average of weights does it
        bare = network.embed.projection(pixels).flatten(2)[0].T
        close(network.embed(pixels)[0, 5:], bare)


@pytest.mark.parametrize('shape', [(1, 3, 60, 64), (1, 3, 0, 64), (1, 4, 64, 64), (3, 64, 64)])
def test_unusable_pixels_are_refused(network, shape):
    with pytest.raises(ValueError, match=r'pixels have shape .*multiples of the patch size 16'):
        network(torch.zeros(shape))


def test_memory_of_another_batch_is_refused(network):
    state = network.initial_state(2)
    with pytest.raises(ValueError, match=r'\(2, 9, 64\).*expected \(3, 9, 64\)'):
        network(torch.zeros(3, 3, 64, 64), state)
