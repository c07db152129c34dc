"""A plain convolutional network with attention over the positions of the feature map (Ren et al. 2022).

Four convolutions of 3x3 with 2x2 max-pooling; each output is the attention-weighted mean over the map. Batch
normalisation and dropout are additions to the published network.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.convolution import convolutions
from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.pooling import AttentionPooling


class Options(BaseModel):
    """Sizes, attention and dropout; the default sizes are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: list[PositiveInt] = Field(default=[64, 128, 256, 256], min_length=1, description="Channels.")
    attention: Literal["sigmoid", "softmax"] = Field(default="sigmoid", description="Function from scores to weights.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Of channels after each convolution.")


class CNNAttention(nn.Module):
    """Convolutions, and attention over all positions."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = convolutions(channels, options.widths, options.dropout)
        self.drop = StochasticDropout(options.dropout)
        self.head = AttentionPooling(options.widths[-1], outputs, options.attention)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        maps = self.maps(x).flatten(2)
        return self.head(self.drop(maps.transpose(1, 2))), maps.mean(dim=2)

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention of an output: weights (batch, fewer frames, fewer bands) with the sum 1."""
        maps = self.maps(x)
        return self.head.weights(maps.flatten(2).transpose(1, 2))[..., output].unflatten(1, maps.shape[2:])


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> CNNAttention:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return CNNAttention(options, inputs[0], outputs)
