"""Blocks of three convolutions over pictures, with a branch for numbers: a published classifier of breath phase.

With the default options and the front end `planes9`: 8,146,177 parameters for one output.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.scalars import Scalars


class Options(BaseModel):
    """Sizes and dropout; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveInt = Field(
        default=64, description="Channels of the first block; doubled in each of the next three."
    )
    scalars: NonNegativeInt = Field(default=39, description="Numbers in the last channel; 0: there are none.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Of channels after a block; half in the first.")


def _three(channels: int, width: int, last_stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(3):
        stride = last_stride if number == 2 else 1
        layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
        channels = width
    return nn.Sequential(*layers)


class Maps(nn.Module):
    """(batch, channels, frames, bands) to maps (batch, 8 x width, frames / 8, bands / 8)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        width = options.width

        def drop(share: float) -> nn.Module:
            return StochasticDropout(share, channels=True)

        def pool() -> nn.Module:
            return nn.MaxPool2d(2, ceil_mode=True)

        self.first = nn.Sequential(_three(channels, width, last_stride=2), drop(options.dropout / 2))
        self.second = nn.Sequential(_three(width, 2 * width), pool(), drop(options.dropout))
        self.third = nn.Sequential(_three(2 * width, 4 * width), pool(), drop(options.dropout))
        self.last = _three(4 * width, 8 * width)
        self.shortcut = nn.Sequential(nn.Conv2d(4 * width, 8 * width, 1, bias=False), nn.BatchNorm2d(8 * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.third(self.second(self.first(x)))
        return self.last(x) + self.shortcut(x)


class VGGScalars(nn.Module):
    """Maps and their mean, the numbers' branch, three linear layers."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.scalars = Scalars(options.scalars, inputs[0], inputs[2], nn.GELU, bias=False)
        self.maps = Maps(options, self.scalars.channels)
        self.head = nn.Sequential(
            *(nn.Linear(8 * options.width + self.scalars.outputs, 256, bias=False), nn.BatchNorm1d(256), nn.GELU()),
            *(nn.Linear(256, 128, bias=False), nn.BatchNorm1d(128), nn.GELU()),
            nn.Linear(128, outputs),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 8 x width + 64)."""
        pictures, numbers = self.scalars(x)
        latents = torch.cat([self.maps(pictures).mean(dim=(2, 3)), numbers], dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> VGGScalars:
    """The network for inputs (channels, frames, bands); any number of frames and bands will do."""
    return VGGScalars(options, inputs, outputs)
