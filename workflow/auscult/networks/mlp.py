"""Hidden layers on each frame, the mean over a window's frames, one linear layer: for vectors of an encoder.

The channels and bands of the front end are values of a frame. The frames that fill a window which is longer than its
recording count too: choose `segment.seconds` no longer than the recordings.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: list[PositiveInt] = Field(default=[128], min_length=1, description="Units of the hidden layers.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="After each hidden layer.")


class MLP(nn.Module):
    """Batch normalisation, hidden layers with ReLU and dropout, the mean over time, one linear layer."""

    def __init__(self, options: Options, values: int, outputs: int) -> None:
        super().__init__()
        self.norm_of_values = nn.BatchNorm1d(values)
        layers: list[nn.Module] = []
        for width in options.widths:
            layers += [nn.Linear(values, width), nn.ReLU(), StochasticDropout(options.dropout)]
            values = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(values, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        values = self.norm_of_values(x.transpose(2, 3).flatten(1, 2))
        latents = self.layers(values.transpose(1, 2)).mean(dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MLP:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MLP(options, inputs[0] * inputs[2], outputs)
