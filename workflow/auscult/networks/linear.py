"""One linear layer on the mean of a window's frames: what vectors of an encoder hold without further layers.

The channels and bands of the front end are values of a frame. The frames that fill a window which is longer than its
recording count too: choose `segment.seconds` no longer than the recordings.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Normalisation and dropout before the layer."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    normalise: bool = Field(default=True, description="Batch normalisation of the means.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of the values that are dropped.")


class Linear(nn.Module):
    """The mean over time, batch normalisation, dropout, one linear layer."""

    def __init__(self, options: Options, values: int, outputs: int) -> None:
        super().__init__()
        self.standardise: nn.Module = nn.BatchNorm1d(values) if options.normalise else nn.Identity()
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(values, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, channels × bands)."""
        latents = self.standardise(x.mean(dim=2).flatten(1))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> Linear:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return Linear(options, inputs[0] * inputs[2], outputs)
