"""Eight convolutions over images, with a branch for scalars: a published classifier of breath phase.

With the default options and the front end `planes9`: 2,433,665 parameters for one output.
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
        default=32, description="Channels of the first convolution; the others have 2, 4 or 8 times as many."
    )
    scalars: NonNegativeInt = Field(default=39, description="Number of scalars in the last channel; 0: none.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Of channels after the fourth convolution.")


class Maps(nn.Module):
    """(batch, channels, frames, bands) to maps (batch, 8 x width, frames / 4, bands / 4)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, factor in enumerate((1, 2, 4, 4, 8, 8, 8, 8)):
            width = factor * options.width
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)]
            channels = width
            if number in (1, 3):
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            if number == 3:
                layers.append(StochasticDropout(options.dropout, channels=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class CNN8(nn.Module):
    """Maps and their mean, the branch of the scalars, three linear layers."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.scalars = Scalars(options.scalars, inputs[0], inputs[2], nn.ReLU, bias=True)
        self.maps = Maps(options, self.scalars.channels)
        self.head = nn.Sequential(
            *(nn.Linear(8 * options.width + self.scalars.outputs, 256), nn.BatchNorm1d(256), nn.ReLU()),
            *(nn.Linear(256, 128), nn.BatchNorm1d(128), nn.ReLU()),
            nn.Linear(128, outputs),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 8 x width + 64)."""
        images, scalars = self.scalars(x)
        latents = torch.cat([self.maps(images).mean(dim=(2, 3)), scalars], dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> CNN8:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return CNN8(options, inputs, outputs)
