"""Blocks of three convolutions over images, with a branch for scalars: a published classifier of breath phase.

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
    scalars: NonNegativeInt = Field(default=39, description="Number of scalars in the last channel; 0: none.")
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="Of channels after a block; half as much after the first."
    )


def _three_convolutions(channels: int, width: int, last_stride: int = 1) -> nn.Sequential:
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

        self.first = nn.Sequential(_three_convolutions(channels, width, last_stride=2), drop(options.dropout / 2))
        self.second = nn.Sequential(_three_convolutions(width, 2 * width), pool(), drop(options.dropout))
        self.third = nn.Sequential(_three_convolutions(2 * width, 4 * width), pool(), drop(options.dropout))
        self.last = _three_convolutions(4 * width, 8 * width)
        self.shortcut = nn.Sequential(nn.Conv2d(4 * width, 8 * width, 1, bias=False), nn.BatchNorm2d(8 * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.third(self.second(self.first(x)))
        return self.last(x) + self.shortcut(x)


class VGGScalars(nn.Module):
    """Maps and their mean, the branch of the scalars, three linear layers."""

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
        images, scalars = self.scalars(x)
        latents = torch.cat([self.maps(images).mean(dim=(2, 3)), scalars], dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> VGGScalars:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return VGGScalars(options, inputs, outputs)
