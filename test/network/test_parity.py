"""Hold the network against transformers' own implementations, with random weights."""

import pytest
import torch
from videomt_ros.network import load_network, NetworkConfig, VideoMT

transformers = pytest.importorskip('transformers')

SHAPES = {
    'like S': {
        'hidden_size': 96, 'num_hidden_layers': 6, 'num_attention_heads': 6, 'num_blocks': 3},
    'odd number of query blocks': {
        'hidden_size': 64, 'num_hidden_layers': 7, 'num_attention_heads': 2, 'num_blocks': 5},
    'one upscale block, patch 8': {
        'hidden_size': 48, 'num_hidden_layers': 3, 'num_attention_heads': 3, 'num_blocks': 1,
        'num_upscale_blocks': 1, 'patch_size': 8, 'image_size': 56},
    'three upscale blocks, patch 32': {
        'hidden_size': 32, 'num_hidden_layers': 4, 'num_attention_heads': 4, 'num_blocks': 2,
        'num_upscale_blocks': 3, 'patch_size': 32, 'image_size': 128, 'mlp_ratio': 2},
    'no registers, patch 14': {
        'hidden_size': 40, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'num_blocks': 2,
        'num_register_tokens': 0, 'patch_size': 14, 'image_size': 70},
}


def make_reference(**sizes):
    """Make transformers' network with weights large enough for every part to matter."""
    config = transformers.VideomtConfig(**{
        'image_size': 96, 'patch_size': 16, 'num_queries': 13,
        'id2label': {i: f'thing {i}' for i in range(7)}, **sizes})
    reference = transformers.VideomtForUniversalSegmentation(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.copy_(
                torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1))
    return reference


def run_reference(reference, video):
    """Give class logits (T, B, Q, K + 1) and mask logits (T, B, Q, h, w) of (B, T, ...)."""
    with torch.no_grad():
        out = reference(pixel_values_videos=video)
    rows = video.shape[1], video.shape[0]  # transformers' rows are frame-major
    return (
        out.class_queries_logits.unflatten(0, rows), out.masks_queries_logits.unflatten(0, rows))


@pytest.fixture(params=SHAPES, scope='module')
def pair(request, tmp_path_factory):
    """Give transformers' network, and ours read from the folder that it saved."""
    torch.manual_seed(len(request.param))
    reference = make_reference(**SHAPES[request.param])
    folder = tmp_path_factory.mktemp('reference')
    reference.save_pretrained(folder)
    return reference, load_network(folder)


def random_video(network, batch=2, frames=5):
    side = network.config.image_size
    return torch.randn(batch, frames, 3, side, side)


def test_five_frames_with_the_state_carried_across_calls(pair):
    reference, network = pair
    video = random_video(network)
    classes, masks = run_reference(reference, video)
    assert masks.std() > 0.1 and classes.std() > 0.1
    state = None
    with torch.inference_mode():
        for t in range(video.shape[1]):
            out = network(video[:, t], state)
            state = out.state
            torch.testing.assert_close(out.class_logits, classes[t], atol=1e-4, rtol=0)
            torch.testing.assert_close(out.mask_logits, masks[t], atol=1e-4, rtol=0)
    assert not torch.allclose(classes[0], classes[1], atol=1e-2)  # the frames do differ


def test_a_folder_that_we_save_loads_there_and_gives_the_same(pair, tmp_path):
    _, network = pair
    network.save_pretrained(tmp_path)
    theirs, info = transformers.VideomtForUniversalSegmentation.from_pretrained(
        tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert theirs.config.id2label == dict(enumerate(network.config.class_names))
    video = random_video(network, batch=1, frames=1)
    classes, masks = run_reference(theirs.eval(), video)
    with torch.inference_mode():
        out = network(video[:, 0])
    torch.testing.assert_close(out.class_logits, classes[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.mask_logits, masks[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize('size', [(48, 48), (80, 112)])
def test_dinov3_blocks_equal_those_of_transformers(size):
    torch.manual_seed(3)
    network = VideoMT(NetworkConfig(
        hidden_size=64, num_layers=4, num_heads=2, mlp_size=96, num_registers=4,
        num_query_blocks=1, layer_norm_eps=1e-5, backbone='dinov3')).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(
                torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1))
        for block in network.blocks:
            block.attention.qkv.bias[64:128] = 0  # DINOv3's keys have none
    theirs = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=2, intermediate_size=96,
        num_register_tokens=4, patch_size=16)).eval()
    theirs.load_state_dict(_as_dinov3(network, layers=3), strict=False)
    pixels = torch.randn(2, 3, *size)
    with torch.inference_mode():
        ours = network.norm(network.encode(pixels).tokens)
        expected = theirs(pixels).last_hidden_state
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def _as_dinov3(network, layers):
    """Rename the weights of the early blocks for transformers' DINOv3ViTModel."""
    ours = network.state_dict()
    theirs = {
        'embeddings.cls_token': ours['embed.cls_token'],
        'embeddings.register_tokens': ours['embed.register_tokens'],
        'embeddings.patch_embeddings.weight': ours['embed.projection.weight'],
        'embeddings.patch_embeddings.bias': ours['embed.projection.bias'],
        'norm.weight': ours['norm.weight'], 'norm.bias': ours['norm.bias']}
    for i in range(layers):
        mine, its = f'blocks.{i}.', f'model.layer.{i}.'
        for kind in ('weight', 'bias'):
            q, k, v = ours[f'{mine}attention.qkv.{kind}'].chunk(3)
            theirs |= {
                f'{its}attention.q_proj.{kind}': q, f'{its}attention.v_proj.{kind}': v,
                f'{its}attention.o_proj.{kind}': ours[f'{mine}attention.out.{kind}'],
                f'{its}norm1.{kind}': ours[f'{mine}norm1.{kind}'],
                f'{its}norm2.{kind}': ours[f'{mine}norm2.{kind}'],
                f'{its}mlp.up_proj.{kind}': ours[f'{mine}mlp.fc1.{kind}'],
                f'{its}mlp.down_proj.{kind}': ours[f'{mine}mlp.fc2.{kind}']}
            if kind == 'weight':
                theirs[f'{its}attention.k_proj.weight'] = k
        for n in '12':
            theirs[f'{its}layer_scale{n}.lambda1'] = ours[f'{mine}scale{n}']
    return theirs
