"""What a VidEoMT network is and how its weights want to be fed, as two frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

Channels = tuple[float, float, float]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

RESIZE_RULES = ('short_side', 'square')
MASK_PARTS = ('all', 'main')
BACKBONES = ('dinov2', 'dinov3')

# Bounds of the sizes, both inclusive: a damaged record must not have gigabytes made.
_BOUNDS = {
    'hidden_size': (1, 1 << 16), 'num_layers': (1, 1 << 10), 'num_heads': (1, 1 << 10),
    'mlp_size': (1, 1 << 18), 'patch_size': (1, 1 << 10), 'num_registers': (0, 1 << 10),
    'num_queries': (1, 1 << 14), 'num_query_blocks': (1, 1 << 10),
    'num_upscale_blocks': (0, 10), 'grid_size': (1, 1 << 12)}


@dataclass(frozen=True)
class Preprocessing:
    """
    How frames are resized and normalised before they reach the network.

    :param rule: ``short_side`` keeps the aspect ratio, brings the shorter side to ``size`` and
        pads right and bottom to ``multiple`` (detectron2's ResizeShortestEdge and ImageList, as
        the paper evaluates); ``square`` stretches to ``size`` x ``size`` (Hugging Face).
    :param size: pixels of the shorter side, or of the square's side.
    :param max_size: cap of the longer side in pixels; ``short_side`` only.
    :param multiple: the padded sides are multiples of this many pixels; ``short_side`` only.
    :param mean: subtracted from RGB values in 0..255.
    :param std: divides RGB values in 0..255 after that.
    :raises ValueError: for an unknown rule, a size that is no positive whole number, or means and
        deviations that are not three numbers each.
    """

    rule: str = 'short_side'
    size: int = 448
    max_size: int = 1333
    multiple: int = 32
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.rule not in RESIZE_RULES:
            raise ValueError(f'preprocessing rule {self.rule!r}: expected one of {RESIZE_RULES}')
        for name in ('size', 'max_size', 'multiple'):
            _check_whole(f'preprocessing {name}', getattr(self, name), 1, 1 << 16)
        for name, least in (('mean', -math.inf), ('std', 0)):
            values = getattr(self, name)
            if len(values) != 3 or not all(_is_number(v) and v > least for v in values):
                raise ValueError(
                    f'preprocessing {name} {values!r}: expected three numbers'
                    f'{" above 0" if name == "std" else ""}')


@dataclass(frozen=True)
class NetworkConfig:
    """
    Architecture, classes and preprocessing of one VidEoMT checkpoint.

    The defaults are ViT-S with DINOv2 as trained on YouTube-VIS (40 classes named by number).

    :param hidden_size: channels C of every token.
    :param num_layers: transformer blocks L.
    :param num_heads: attention heads of each block.
    :param mlp_size: hidden channels of each block's MLP.
    :param patch_size: side of a patch in pixels.
    :param num_registers: register tokens beside the class token.
    :param num_queries: object queries Q.
    :param num_query_blocks: the last so many blocks see the queries.
    :param num_upscale_blocks: each doubles the resolution of the patch features.
    :param grid_size: side of the stored square position table in patches; unused by dinov3.
    :param layer_norm_eps: epsilon of the blocks' and the final LayerNorm.
    :param backbone: ``dinov2`` (learnt positions) or ``dinov3`` (rotary embedding).
    :param norm_queries: propagate the queries after the final LayerNorm instead of before it.
    :param class_names: K names in the order of the class head.
    :param thing_classes: indices of the classes that are countable things; the rest is stuff.
    :param preprocessing: how the weights want to be fed.
    :param mask_parts: of a mask that falls into parts, ``all`` are the object, or the ``main`` one
        is, which does not leap to another place either, and where two tracks are in one place one
        of them is wrong: for weights whose queries may show several objects that look alike, or
        one after the other, or one object twice.
    :param renew_below: a query whose classes all have a probability below this, 0..1, is carried
        on in part, and one that shows nothing not at all: the next frame begins with the learnt
        one in its place. 0 carries all on, as published weights expect it.
    :raises ValueError: when the numbers do not fit together; the message names which.
    """

    hidden_size: int = 384
    num_layers: int = 12
    num_heads: int = 6
    mlp_size: int = 1536
    patch_size: int = 16
    num_registers: int = 4
    num_queries: int = 200
    num_query_blocks: int = 3
    num_upscale_blocks: int = 2
    grid_size: int = 40
    layer_norm_eps: float = 1e-6
    backbone: str = 'dinov2'
    norm_queries: bool = False
    class_names: tuple[str, ...] = tuple(str(i) for i in range(40))
    thing_classes: frozenset[int] = frozenset(range(40))
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    mask_parts: str = 'all'
    renew_below: float = 0.0

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f'backbone {self.backbone!r}: expected one of {BACKBONES}')
        if self.mask_parts not in MASK_PARTS:
            raise ValueError(f'mask_parts {self.mask_parts!r}: expected one of {MASK_PARTS}')
        for name, bounds in _BOUNDS.items():
            _check_whole(name, getattr(self, name), *bounds)
        if not (_is_number(self.layer_norm_eps) and self.layer_norm_eps > 0):
            raise ValueError(
                f'layer_norm_eps {self.layer_norm_eps!r}: expected a number above 0')
        if not (_is_number(self.renew_below) and 0 <= self.renew_below <= 1):
            raise ValueError(f'renew_below {self.renew_below!r}: expected 0 to 1')
        if not isinstance(self.norm_queries, bool):
            raise ValueError(f'norm_queries {self.norm_queries!r}: expected true or false')
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f'hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}')
        if self.backbone == 'dinov3' and self.head_size % 4:
            raise ValueError(
                f'head size {self.head_size} (hidden_size / num_heads): the rotary embedding of '
                f'dinov3 expects a multiple of 4')
        if not 0 < self.num_query_blocks <= self.num_layers:
            raise ValueError(
                f'num_query_blocks {self.num_query_blocks}: expected 1 to num_layers '
                f'({self.num_layers})')
        if not self.class_names:
            raise ValueError('class_names is empty: expected at least one class')
        if not all(isinstance(name, str) for name in self.class_names):
            raise ValueError(f'class_names {self.class_names!r}: expected texts')
        if not self.thing_classes <= frozenset(range(self.num_classes)):
            raise ValueError(
                f'thing_classes {list(self.thing_classes)}: expected indices of the '
                f'{self.num_classes} classes')

    @property
    def num_classes(self) -> int:
        """Count the classes K, without the no-object class."""
        return len(self.class_names)

    @property
    def head_size(self) -> int:
        """Give the channels of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def image_size(self) -> int:
        """Give the side in pixels of the square image that the position table was made for."""
        return self.grid_size * self.patch_size


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError unless a value is a whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f'{name} {value!r}: expected a whole number of {least} to {most}')


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
