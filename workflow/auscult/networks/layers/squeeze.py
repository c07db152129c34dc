"""Squeeze and excitation: a weight per channel from the means of all channels (Hu et al. 2018)."""

from __future__ import annotations

import torch
from torch import nn


class Squeeze(nn.Module):
    """Multiplies each channel by a number in (0, 1), from two linear layers on the channels' means.

    ratio: channels per unit of the hidden layer, which has at least `least` units: a single unit with ReLU may be 0 for
    every input. act: its activation.
    """

    def __init__(
        self, channels: int, ratio: int = 4, least: int = 2, act: type[nn.Module] = nn.ReLU, bias: bool = True
    ) -> None:
        super().__init__()
        hidden = max(least, channels // ratio)
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.act = act()
        self.excite = nn.Linear(hidden, channels, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, …), gated."""
        gate = torch.sigmoid(self.excite(self.act(self.squeeze(x.flatten(2).mean(dim=2)))))
        return x * gate.view(*gate.shape, *[1] * (x.ndim - 2))
