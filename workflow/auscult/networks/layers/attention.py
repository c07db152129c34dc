"""Gates that weigh channels and places of a map; all keep its shape.

But for `PublishedSqueeze`, a gate is twice a sigmoid of something that starts near 0: an untrained gate is near 1, so
that a branch whose weights were learnt elsewhere is not halved, and a trained one lies between 0 and 2.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def adaptive_kernel(channels: int) -> int:
    """Kernel of the convolution over channels: of 3, 5 and 7 the nearest to (log2 C + 1) / 2, the larger at a tie."""
    wanted = (math.log2(channels) + 1) / 2
    return min((3, 5, 7), key=lambda k: (abs(k - wanted), -k))


def gated(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """`x` times a gate in (0, 2) that is 1 where the logit is 0."""
    return x * (2 * torch.sigmoid(logits))


class AdaptiveKernelAttention(nn.Module):
    """A gate per channel from a convolution over the channels' means and maxima.

    The kernel grows with the number of channels, after ECA (Wang et al. 2020), which has means alone; here a second
    input row holds the maxima.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = adaptive_kernel(channels)
        self.conv = nn.Conv1d(2, 1, kernel, padding=kernel // 2)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        described = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return gated(x, self.conv(described).transpose(1, 2)[..., None])


class SqueezeExcitation(nn.Module):
    """A gate per channel from two linear layers on the channels' means and maxima (after Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(2 * channels, hidden)
        self.excite = nn.Linear(hidden, channels)
        nn.init.normal_(self.excite.weight, std=0.001)
        nn.init.zeros_(self.excite.bias)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, 1, 1) before the sigmoid."""
        described = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return self.excite(torch.relu(self.squeeze(described)))[..., None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        return gated(x, self.logits(x))


class PublishedSqueeze(SqueezeExcitation):
    """The gate that DynSE-BDResNet's published code has: a plain sigmoid, near 0.5 before training."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.excite.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        return x * torch.sigmoid(self.logits(x))


class SpatialAttention(nn.Module):
    """A gate per place from a 7x7 convolution over the means and maxima of the channels (after Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        described = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return gated(x, self.conv(described))
