"""Scalars about a recording in the last channel of its image: its first rows, the same in every frame."""

from __future__ import annotations

import torch
from torch import nn

HIDDEN = 64


class Scalars(nn.Module):
    """Splits off the last channel and maps its `count` numbers to `HIDDEN` features; `count` 0: no such channel."""

    def __init__(self, count: int, channels: int, bands: int, act: type[nn.Module], bias: bool) -> None:
        super().__init__()
        if count and (channels < 2 or bands < count):
            raise ValueError(
                f"scalars: {count} numbers need a separate channel with at least as many bands; the front end gives "
                f"{channels} channels of {bands} bands (planes9 with scalars has them)"
            )
        self.count = count
        self.channels = channels - 1 if count else channels
        self.outputs = HIDDEN if count else 0
        if count:
            self.layers = nn.Sequential(
                *(nn.Linear(count, HIDDEN, bias=bias), nn.BatchNorm1d(HIDDEN), act()),
                *(nn.Linear(HIDDEN, HIDDEN, bias=bias), nn.BatchNorm1d(HIDDEN), act()),
            )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to images (batch, `self.channels`, frames, bands) and (batch, outputs)."""
        if not self.count:
            return x, x.new_zeros((len(x), 0))
        return x[:, :-1], self.layers(x[:, -1, 0, : self.count])  # the first frame is never padding
