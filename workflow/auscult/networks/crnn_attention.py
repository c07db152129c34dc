"""Recurrent layers over frames, with or without convolutions before them, and attention over time (Ren et al. 2022)."""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.convolution import convolutions
from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.pooling import AttentionPooling


class Options(BaseModel):
    """Sizes, kind of cell, attention and dropout; the default sizes are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    convolutions: list[PositiveInt] = Field(
        default=[], description="Channels of 3x3 convolutions with 2x2 pooling before the recurrent layers."
    )
    cell: Literal["gru", "lstm"] = "gru"
    widths: list[PositiveInt] = Field(default=[256, 1024, 256], min_length=1, description="Units per recurrent layer.")
    attention: Literal["sigmoid", "softmax"] = Field(default="sigmoid", description="Function from scores to weights.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="After each layer.")


class Layers(nn.Module):
    """Convolutions and recurrent layers: (batch, channels, frames, bands) to maps (batch, last width, frames, 1)."""

    def __init__(self, options: Options, inputs: tuple[int, int, int]) -> None:
        super().__init__()
        channels, _, bands = inputs
        self.convolutions = convolutions(channels, options.convolutions, options.dropout)
        for width in options.convolutions:
            channels, bands = width, -(-bands // 2)
        sizes = [channels * bands, *options.widths]
        layer_class = {"gru": nn.GRU, "lstm": nn.LSTM}[options.cell]
        self.recurrent = nn.ModuleList(
            layer_class(before, after, batch_first=True) for before, after in pairwise(sizes)
        )
        self.drop = StochasticDropout(options.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolutions(x).transpose(1, 2).flatten(2)
        for layer in self.recurrent:
            x = self.drop(layer(x)[0])
        return x.transpose(1, 2)[..., None]


class CRNNAttention(nn.Module):
    """Convolutions, recurrent layers, and attention over frames."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.maps = Layers(options, inputs)
        self.head = AttentionPooling(options.widths[-1], outputs, options.attention)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        maps = self.maps(x)[..., 0]
        return self.head(maps.transpose(1, 2)), maps.mean(dim=2)

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention of an output: weights (batch, fewer frames, 1) with the sum 1."""
        return self.head.weights(self.maps(x)[..., 0].transpose(1, 2))[..., output, None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> CRNNAttention:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return CRNNAttention(options, inputs, outputs)
