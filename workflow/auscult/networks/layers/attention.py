"""Gates: weights for channels or positions of a feature map; all keep its shape.

Except in `PublishedSqueeze`, a gate is twice a sigmoid whose argument starts near 0. An untrained gate is thus near 1,
so that a branch with pretrained weights is not halved, and a trained gate is between 0 and 2.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def adaptive_kernel(channels: int) -> int:
    """Return the kernel over channels: the one of 3, 5 and 7 nearest to (log2 C + 1) / 2, the larger at a tie."""
    target = (math.log2(channels) + 1) / 2
    return min((3, 5, 7), key=lambda kernel: (abs(kernel - target), -kernel))


def apply_gate(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return `x` times a gate in (0, 2) that is 1 for a logit of 0."""
    return x * (2 * torch.sigmoid(logits))


class AdaptiveKernelAttention(nn.Module):
    """A gate per channel from a convolution over the channels' means and maxima.

    The kernel grows with the number of channels, as in ECA (Wang et al. 2020), which uses the means alone; here a
    second input row has the maxima.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = adaptive_kernel(channels)
        self.conv = nn.Conv1d(2, 1, kernel, padding=kernel // 2)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        summary = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return apply_gate(x, self.conv(summary).transpose(1, 2)[..., None])


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
        """Return (batch, channels, 1, 1) before the sigmoid."""
        summary = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return self.excite(torch.relu(self.squeeze(summary)))[..., None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        return apply_gate(x, self.logits(x))


class PublishedSqueeze(SqueezeExcitation):
    """The gate of the published code of DynSE-BDResNet: a plain sigmoid, near 0.5 before training."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.excite.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        return x * torch.sigmoid(self.logits(x))


class SpatialAttention(nn.Module):
    """A gate per position from a 7x7 convolution over the means and maxima of the channels (after Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands), gated."""
        summary = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return apply_gate(x, self.conv(summary))
