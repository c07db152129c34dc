"""A small convolutional encoder of single leads, which the contrast of leads, times and patients (CLOCS) pre-trains.

After the authors' code of Kiyasseh, Zhu and Clifton (ICML 2021): three convolutions, one linear layer. Published for
2500 samples of one lead at 500 Hz, with strides of 3; here the stride is an option, and a mean over equal parts of the
window gives `places` whatever its length. For several channels, the mean of their embeddings is classified: our choice,
as is `channels: joint`, one encoder of all channels together. 24,760 weights for 64 dimensions, without the head.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes; widths and kernel are the published ones, the stride is for 100 Hz."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    channels: Literal["each", "joint"] = Field(
        default="each", description="One encoder that reads each channel by itself, or all channels together."
    )
    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(4, 16, 32), description="Channels of the convolutions."
    )
    kernel: PositiveInt = 7
    stride: PositiveInt = Field(default=1, description="Stride of the convolutions; published: 3, at 500 Hz.")
    places: PositiveInt = Field(default=10, description="Equal parts of the window whose means are kept.")
    embedding: PositiveInt = Field(default=64, description="Dimensions of an embedding.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each convolution, and before the head.")
    scale: bool = Field(
        default=True, description="Scale each channel of a window to between 0 and 1, as in the pre-training."
    )


def scaled(x: torch.Tensor) -> torch.Tensor:
    """Each channel of each window (batch, channels, frames, bands) scaled to between 0 and 1; a constant one to 0."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-6)


class Encoder(nn.Module):
    """(batch, values, frames) to embeddings (batch, embedding)."""

    def __init__(self, options: Options, values: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in options.widths:
            convolution = nn.Conv1d(values, width, options.kernel, options.stride, options.kernel // 2)
            pool = nn.MaxPool1d(2, ceil_mode=True)
            layers += [convolution, nn.BatchNorm1d(width), nn.ReLU(), pool, StochasticDropout(options.dropout)]
            values = width
        self.convolutions = nn.Sequential(*layers)
        self.parts = nn.AdaptiveAvgPool1d(options.places)
        self.embed = nn.Linear(options.places * values, options.embedding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(self.parts(self.convolutions(x)).flatten(1))


class CLOCS(nn.Module):
    """Embeddings of the channels, their mean, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.joint, self.scale = options.channels == "joint", options.scale
        self.encoder = Encoder(options, inputs[2] * (inputs[0] if self.joint else 1))
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.embedding, outputs)

    def embeddings(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to (batch, channels, embedding); one channel if all are read together."""
        channels = 1 if self.joint else x.shape[1]
        x = scaled(x) if self.scale else x
        x = x.transpose(2, 3).reshape(len(x) * channels, -1, x.shape[2])
        return self.encoder(x).unflatten(0, (-1, channels))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, embedding)."""
        latents = self.embeddings(x).mean(dim=1)
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> CLOCS:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return CLOCS(options, inputs, outputs)
