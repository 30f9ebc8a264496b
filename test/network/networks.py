"""Small random networks, and their weights as the original authors' files hold them."""

import torch
from videomt_ros.network import NetworkConfig, VideoMT


def make_network(seed=0, **fields):
    """Make a network whose every part matters to its output."""
    torch.manual_seed(seed)
    network = VideoMT(NetworkConfig(**{
        'hidden_size': 64, 'num_layers': 4, 'num_heads': 1, 'mlp_size': 128, 'num_queries': 9,
        'num_query_blocks': 2, 'grid_size': 4, 'class_names': tuple('abcde'),
        'thing_classes': frozenset(range(5)), **fields})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(
                torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1))
        if network.config.backbone == 'dinov3':
            C = network.config.hidden_size
            for block in network.blocks:
                block.attention.qkv.bias[C:2 * C] = 0  # DINOv3's keys have none
    return network


def original_weights(network, fused_qkv=False):
    """Give the state dict under the names of an original ``.pth`` file (MODEL_SPEC C1, C2)."""
    ours = network.state_dict()
    dinov3 = network.config.backbone == 'dinov3'
    encoder = 'backbone.encoder.backbone.'
    stored = {
        'backbone.attn_mask_probs': torch.zeros(network.config.num_query_blocks),
        'criterion.empty_weight': torch.ones(network.config.num_classes + 1),
        'backbone.q.weight': ours['queries']}
    embed = encoder + ('patch_embed.' if dinov3 else '')
    stored[embed + 'cls_token'] = ours['embed.cls_token']
    if network.config.num_registers:
        stored[embed + ('register_tokens' if dinov3 else 'reg_token')] = ours[
            'embed.register_tokens']
    if not dinov3:
        stored[encoder + 'pos_embed'] = ours['embed.positions'][None]
    for kind in ('weight', 'bias'):
        projection = 'patch_embeddings.' if dinov3 else 'proj.'
        stored[f'{encoder}patch_embed.{projection}{kind}'] = ours[f'embed.projection.{kind}']
        stored[f'{encoder}norm.{kind}'] = ours[f'norm.{kind}']
        stored[f'backbone.query_updater.{kind}'] = ours[f'query_updater.{kind}']
        stored[f'backbone.class_head.{kind}'] = ours[f'class_head.{kind}']
        for i in range(3):
            stored[f'backbone.mask_head.{2 * i}.{kind}'] = ours[f'mask_head.fc{i + 1}.{kind}']
        for i in range(network.config.num_layers):
            block, mine = f'{encoder}blocks.{i}.', f'blocks.{i}.'
            for n in '12':
                stored[f'{block}norm{n}.{kind}'] = ours[f'{mine}norm{n}.{kind}']
                scale = f'layer_scale{n}.lambda1' if dinov3 else f'ls{n}.gamma'
                stored[block + scale] = ours[f'{mine}scale{n}']
                linear = ('up_proj', 'down_proj')[int(n) - 1] if dinov3 else f'fc{n}'
                stored[f'{block}mlp.{linear}.{kind}'] = ours[f'{mine}mlp.fc{n}.{kind}']
            qkv, out = ours[f'{mine}attention.qkv.{kind}'], ours[f'{mine}attention.out.{kind}']
            if not dinov3:
                stored[f'{block}attn.qkv.{kind}'] = qkv
                stored[f'{block}attn.proj.{kind}'] = out
                continue
            stored[f'{block}attention.o_proj.{kind}'] = out
            if fused_qkv:
                stored[f'{block}attention.qkv_proj.{kind}'] = qkv
                continue
            for letter, part in zip('qkv', qkv.chunk(3), strict=True):
                if (letter, kind) != ('k', 'bias'):
                    stored[f'{block}attention.{letter}_proj.{kind}'] = part
    for name, tensor in ours.items():
        if name.startswith('upscale.'):
            stored['backbone.' + name] = tensor
    return stored
