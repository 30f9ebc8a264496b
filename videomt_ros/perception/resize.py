"""Bring camera frames to the size that the weights want, and know the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from videomt_ros.network import Preprocessing

Size = tuple[int, int]


def check_frame(frame: np.ndarray) -> None:
    """
    Refuse what is not a picture.

    :param frame: expected to be (H, W, 3) uint8 RGB with at least one pixel.
    :raises ValueError: saying what came instead.
    """
    if not isinstance(frame, np.ndarray):
        raise ValueError(
            f'frame is a {type(frame).__name__}: expected a NumPy array (H, W, 3) of uint8')
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(
            f'frame has shape {frame.shape} and dtype {frame.dtype}: expected (H, W, 3) uint8 '
            f'with at least one pixel')


@dataclass(frozen=True)
class FrameGeometry:
    """
    Sizes (height, width) in pixels that a frame passes through on its way to the network.

    :param source: of the camera's frame.
    :param resized: of the frame after resizing; it lies in the upper left of the input.
    :param padded: of the network's input.
    :param one_step: masks go to the source in one resize, as Hugging Face does for a stretched
        frame; otherwise in the two of the paper's evaluation, by way of the padded input.
    """

    source: Size
    resized: Size
    padded: Size
    one_step: bool

    def frame_part(self, mask_size: Size) -> tuple[slice, slice]:
        """
        Tell which part of a mask shows the frame and not padding.

        :param mask_size: (h, w) of masks that cover the padded input.
        :returns: rows and columns.
        """
        rows, columns = (
            math.ceil(mask_size[i] * self.resized[i] / self.padded[i]) for i in (0, 1))
        return slice(rows), slice(columns)

    def masks_to_source(self, masks: Tensor) -> Tensor:
        """
        Bring whole masks from the network's resolution to the source frame.

        :class:`videomt_ros.perception.upsample.MaskUpsampler` does the same for what is visible.

        :param masks: (n, h, w) float logits or probabilities that cover the padded input.
        :returns: (n, H, W) in the source frame.
        """
        masks = masks[None]
        if not self.one_step:
            masks = bilinear(masks, self.padded)[..., :self.resized[0], :self.resized[1]]
        return bilinear(masks, self.source)[0]


def bilinear(x: Tensor, size: Size) -> Tensor:
    """
    Resize as the mask heads expect it: bilinear, pixel centres aligned, no antialiasing.

    :param x: (n, c, h, w) float.
    :param size: (H, W).
    :returns: (n, c, H, W).
    """
    return functional.interpolate(x, size=size, mode='bilinear', align_corners=False)


class Resizer:
    """
    Resize, normalise and pad frames as one checkpoint wants them.

    :param preprocessing: the checkpoint's record.
    :param patch_size: of the network; the input's sides are multiples of it.
    :raises ValueError: when the record's square is no multiple of the patch size.
    """

    def __init__(self, preprocessing: Preprocessing, patch_size: int) -> None:
        if preprocessing.rule == 'square' and preprocessing.size % patch_size:
            raise ValueError(
                f'a square of {preprocessing.size} pixels does not suit the network: expected a '
                f'multiple of its patch size {patch_size}')
        self._rule = preprocessing
        self._multiple = math.lcm(preprocessing.multiple, patch_size)
        self._mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
        self._scale = 1 / torch.tensor(preprocessing.std).view(3, 1, 1)
        # A camera keeps its size; a handful of sizes covers a robot.
        self.geometry = lru_cache(maxsize=64)(self._geometry)

    def _geometry(self, height: int, width: int) -> FrameGeometry:
        source = (height, width)
        if self._rule.rule == 'square':
            square = (self._rule.size, self._rule.size)
            return FrameGeometry(source, square, square, one_step=True)
        resized = short_side_size(source, self._rule.size, self._rule.max_size)
        padded = (math.ceil(resized[0] / self._multiple) * self._multiple,
                  math.ceil(resized[1] / self._multiple) * self._multiple)
        return FrameGeometry(source, resized, padded, one_step=False)

    def prepare(self, frame: np.ndarray, device: torch.device) -> Tensor:
        """
        Make the network's input of a frame.

        The resize is antialiased and rounds to uint8, as PIL does in the paper's evaluation and
        torchvision in Hugging Face's; it differs from PIL by 1 of 255 at most.

        :param frame: (H, W, 3) uint8 RGB.
        :param device: where the input is wanted.
        :returns: (3, padded height, padded width) float32, normalised; the padding is 0.
        """
        geometry = self.geometry(*frame.shape[:2])
        # torch warns of read-only arrays, which is what messages give, and refuses flipped ones.
        usable = frame.flags.writeable and min(frame.strides) > 0
        pixels = torch.from_numpy(frame if usable else frame.copy()).permute(2, 0, 1)[None]
        if geometry.resized != geometry.source:
            pixels = functional.interpolate(
                pixels, size=geometry.resized, mode='bilinear', antialias=True)
        pixels = pixels[0].to(device)
        height, width = geometry.resized
        result = torch.empty((3, *geometry.padded), device=device)
        result[:, height:] = 0
        result[:, :height, width:] = 0
        picture = result[:, :height, :width]
        torch.sub(pixels, self._mean.to(device), out=picture)
        picture.mul_(self._scale.to(device))
        return result


def short_side_size(source: Size, size: int, max_size: int) -> Size:
    """
    Scale so that the shorter side is ``size`` and the longer one ``max_size`` at most.

    :param source: (height, width).
    :param size: pixels of the shorter side.
    :param max_size: cap of the longer side.
    :returns: (height, width), rounded as detectron2's ResizeShortestEdge does; 1 at least.
    """
    height, width = source
    scale = size / min(height, width)
    new_height, new_width = (
        (size, scale * width) if height < width else (scale * height, size))
    longest = max(new_height, new_width)
    if longest > max_size:
        cap = max_size / longest
        new_height, new_width = new_height * cap, new_width * cap
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))
