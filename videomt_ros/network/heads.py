"""What reads the normalised tokens: the mask head of the queries, the upscaling of the patches."""

from __future__ import annotations

from torch import nn, Tensor
import torch.nn.functional as F

from .vit import LayerNorm


class MaskHead(nn.Module):
    """Three linear layers that turn a query into the embedding of its mask."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, hidden_size)
        self.fc2 = nn.Linear(hidden_size, hidden_size)
        self.fc3 = nn.Linear(hidden_size, hidden_size)

    def forward(self, queries: Tensor) -> Tensor:
        """
        Embed queries.

        :param queries: (B, Q, C) after the final LayerNorm.
        :returns: (B, Q, C); its product with the upscaled features gives mask logits.
        """
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(queries)))))


class UpscaleBlock(nn.Module):
    """
    Double the resolution of patch features: transposed convolution, GELU, depthwise, LayerNorm.

    The order matters: nothing follows the norm, and the depthwise convolution has no bias.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(hidden_size, hidden_size, kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(
            hidden_size, hidden_size, kernel_size=3, padding=1, groups=hidden_size, bias=False)
        self.norm = LayerNorm(hidden_size, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """
        Upscale by two.

        :param features: (B, C, h, w).
        :returns: (B, C, 2h, 2w) in the dtype of the weights.
        """
        x = self.conv2(F.gelu(self.conv1(features)))
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x.to(self.conv1.weight.dtype)
