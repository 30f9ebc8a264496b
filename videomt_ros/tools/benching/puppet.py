"""
Networks of full size with random weights that see a given number of objects.

Speed does not depend on what the weights are, but post-processing depends on what is seen, and
random weights see nothing. So the last layers of the two heads are solved for: on an even grey
picture, chosen slots answer with a class and a compact blob, the others with no object. Camera
frames reach the tokens weakly, so that the blobs stay, and waver like masks do.
"""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor
from videomt_ros.network import NetworkConfig, Preprocessing, VideoMT
from videomt_ros.network.heads import UpscaleBlock

# ViT-S, -B and -L as published for YouTube-VIS, but fed with squares, as Hugging Face feeds them.
SIZES = {
    'S': {'hidden_size': 384, 'num_layers': 12, 'num_heads': 6, 'num_query_blocks': 3},
    'B': {'hidden_size': 768, 'num_layers': 12, 'num_heads': 12, 'num_query_blocks': 3},
    'L': {'hidden_size': 1024, 'num_layers': 24, 'num_heads': 16, 'num_query_blocks': 4},
}
_SIDE = 640
_CLASS_LOGIT = 6.0
_MASK_LOGIT = 6.0
_PIXEL_WEIGHT = 0.02  # how strongly the frame reaches the tokens
_MEMORY_WEIGHT = 0.02  # how strongly a frame's queries reach the next ones
_RIDGE = 1e-6


def make_puppet(size: str, objects: int, **fields: object) -> VideoMT:
    """
    Make a network that sees objects.

    :param size: 'S', 'B' or 'L'.
    :param objects: how many, up to the number of queries.
    :param fields: of :class:`NetworkConfig`, in place of the published ones.
    :returns: the network, the same one each time.
    """
    sizes = SIZES[size]
    config = NetworkConfig(**{
        **sizes, 'mlp_size': 4 * sizes['hidden_size'],
        'preprocessing': Preprocessing('square', size=_SIDE), **fields})  # type: ignore[arg-type]
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        network = VideoMT(config).eval()
        network.embed.projection.weight *= _PIXEL_WEIGHT
        network.query_updater.weight *= _MEMORY_WEIGHT
        assert network.embed.positions is not None
        network.embed.positions.copy_(_smooth_positions(config))
        for block in network.upscale:  # the four pixels that a patch becomes are alike
            assert isinstance(block, UpscaleBlock)
            block.conv1.weight.copy_(
                2 * block.conv1.weight.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 2, 2))
        _teach(network, objects)
    # A tensor made in inference mode could not be trained or exported.
    trained = VideoMT(config).eval()
    trained.load_state_dict(network.state_dict())
    return trained


def _smooth_positions(config: NetworkConfig) -> Tensor:
    """Make random waves, of which blobs can be composed: (G * G, C)."""
    axis = torch.arange(config.grid_size) / config.grid_size
    places = torch.stack(torch.meshgrid(axis, axis, indexing='ij'), dim=-1).view(-1, 2)
    waves = torch.randn(2, config.hidden_size) * 1.5
    return torch.sin(2 * math.pi * (places @ waves + torch.rand(config.hidden_size)))


def _teach(network: VideoMT, objects: int) -> None:
    """Solve the last layers of the heads for what the slots shall say."""
    config = network.config
    grey = torch.zeros(1, 3, config.image_size, config.image_size)
    frame = network.encode(grey)
    state = network.initial_state(1)
    hidden: list[Tensor] = []  # what the heads read, on a first and on a later frame
    inner: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given, kept=kept: kept.append(given[0][0]))
        for layer, kept in ((network.class_head, hidden), (network.mask_head.fc3, inner))]
    output = network.step(frame, state)
    network.step(frame, output.state)
    for hook in hooks:
        hook.remove()
    slots = torch.linspace(0, config.num_queries - 1, max(objects, 1)).long()[:objects]
    classes = torch.full((config.num_queries, config.num_classes + 1), 0.0)
    classes[:, -1] = _CLASS_LOGIT
    for i, slot in enumerate(slots):
        classes[slot, -1] = 0
        classes[slot, i % config.num_classes] = 2 * _CLASS_LOGIT
    _solve(network.class_head, torch.cat(hidden), classes.repeat(2, 1))
    features = output.mask_features[0]  # (C, h, w)
    masks = torch.full((config.num_queries, *features.shape[1:]), -_MASK_LOGIT)
    masks[slots] = _blobs(objects, *features.shape[1:])
    # Embeddings whose products with the features come nearest to the masks.
    flat = features.flatten(1).double()  # (C, hw)
    gram = flat @ flat.T
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    embeddings = torch.linalg.solve(gram, flat @ masks.flatten(1).double().T).T.float()
    _solve(network.mask_head.fc3, torch.cat(inner), embeddings.repeat(2, 1))


def _blobs(count: int, height: int, width: int) -> Tensor:
    """Draw an ellipse in each cell of a grid, as logits (count, height, width)."""
    columns = math.ceil(math.sqrt(count)) if count else 1
    rows = math.ceil(count / columns) if count else 1
    y = torch.arange(height)[:, None] / height * rows
    x = torch.arange(width)[None, :] / width * columns
    blobs = []
    for i in range(count):
        row, column = divmod(i, columns)
        distance = ((y - row - 0.5) ** 2 + (x - column - 0.5) ** 2).sqrt()  # in cells
        blobs.append(((0.33 - distance) * 40).clamp(-_MASK_LOGIT, _MASK_LOGIT))
    return torch.stack(blobs) if blobs else torch.zeros(0, height, width)


def _solve(layer: nn.Linear, given: Tensor, wanted: Tensor) -> None:
    """Set a linear layer so that it makes of the given (n, C) what is wanted (n, K)."""
    given = torch.cat((given, torch.ones(len(given), 1)), dim=1)
    gram = given @ given.T
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    solution = given.T @ torch.linalg.solve(gram, wanted)  # (C + 1, K)
    layer.weight.copy_(solution[:-1].T)
    layer.bias.copy_(solution[-1])
