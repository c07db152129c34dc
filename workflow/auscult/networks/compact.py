"""A small residual network for a laptop, with a high resolution in time.

A stem reduces frames and bands fourfold, followed by one basic block per width. Blocks after the first halve the bands
and keep the frames, so that the maps can distinguish systole from diastole. Dropout of entire channels is cheap on a
CPU.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.residual import Block


class Options(BaseModel):
    """Sizes and dropout."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: list[PositiveInt] = Field(default=[16, 32, 64], min_length=1, description="Channels of each block.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Of entire channels, also active at inference.")


class Compact(nn.Module):
    """Stem, blocks, global mean, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.widths[0]
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 5, 2, 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        before = width
        for number, width in enumerate(options.widths):
            drop = StochasticDropout(options.dropout, channels=True)
            layers.append(Block("basic", before, width, (1, 2) if number else 1, drop, nn.Identity()))
            before = width
        self.maps = nn.Sequential(*layers)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(before, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> Compact:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return Compact(options, inputs[0], outputs)
