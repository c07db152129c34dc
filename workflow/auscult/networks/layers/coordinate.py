"""Coordinate attention along time: a weight per channel and frame (after Hou et al. 2021, in one dimension)."""

from __future__ import annotations

import torch
from torch import nn


class CoordinateAttention(nn.Module):
    """Multiplies each channel by two numbers in (0, 1): one of the frame, and one of the mean over all frames.

    The mean stands beside the frames as one more place; a common layer narrows both, and each has its own layer back.
    ratio: channels per unit of the common layer, which has at least `least` units.
    """

    def __init__(self, channels: int, ratio: int = 16, least: int = 8) -> None:
        super().__init__()
        hidden = max(least, channels // ratio)
        self.squeeze = nn.Sequential(nn.Conv1d(channels, hidden, 1), nn.BatchNorm1d(hidden), nn.Hardswish())
        self.of_frame, self.of_mean = nn.Conv1d(hidden, channels, 1), nn.Conv1d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames), gated."""
        summary = self.squeeze(torch.cat([x, x.mean(2, True)], dim=2))
        frames, mean = summary[..., :-1], summary[..., -1:]
        return x * torch.sigmoid(self.of_frame(frames)) * torch.sigmoid(self.of_mean(mean))
