"""MobileNetV2 along time, for samples of several leads or frames (after Sandler et al. 2018, in one dimension).

The bands of a front end are channels of this network. 2.19 million parameters for 12 leads and nine classes.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout

# expansion, channels, blocks, stride of the first block: the published table
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
STEM, LAST = 32, 1280


class Options(BaseModel):
    """Width and dropout; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveFloat = Field(default=1.0, description="Factor of all channels, rounded to multiples of 8.")
    kernel: PositiveInt = Field(default=3, description="Length of the depth-wise convolutions, odd.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Of channels after each block, and before the head.")

    @model_validator(mode="after")
    def _odd_kernel(self) -> "Options":
        if self.kernel % 2 == 0:
            raise ValueError(f"a kernel of {self.kernel} has no middle; choose an odd number")
        return self


def _convolution(channels: int, width: int, kernel: int, stride: int, groups: int = 1, act: bool = True) -> list:
    layers = [
        nn.Conv1d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(width),
    ]
    return [*layers, nn.ReLU6(inplace=True)] if act else layers


class Block(nn.Module):
    """Inverted residual: widen, convolve each channel, narrow; with a residual sum if the shape stays the same."""

    def __init__(self, channels: int, width: int, expand: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__()
        hidden = channels * expand
        widening = _convolution(channels, hidden, 1, 1) if expand > 1 else []
        self.layers = nn.Sequential(
            *widening,
            *_convolution(hidden, hidden, kernel, stride, groups=hidden),
            *_convolution(hidden, width, 1, 1, act=False),
        )
        self.adds = stride == 1 and channels == width
        self.drop = StochasticDropout(dropout, channels=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames) to (batch, width, frames / stride)."""
        change = self.layers(x)
        return x + self.drop(change) if self.adds else change


class Maps(nn.Module):
    """(batch, channels, frames) to maps (batch, last width, frames / 32, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()

        def size(width: int) -> int:
            return max(8, round(width * options.width / 8) * 8)

        before = size(STEM)
        layers: list[nn.Module] = _convolution(channels, before, 3, 2)
        for expand, width, count, stride in STAGES:
            for number in range(count):
                step = stride if number == 0 else 1
                layers.append(Block(before, size(width), expand, options.kernel, step, options.dropout))
                before = size(width)
        self.channels = size(LAST) if options.width > 1 else LAST
        self.layers = nn.Sequential(*layers, *_convolution(before, self.channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)[..., None]


class MobileNet1d(nn.Module):
    """Maps, mean over time, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = Maps(options, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(self.maps.channels, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x.transpose(2, 3).flatten(1, 2)).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MobileNet1d:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MobileNet1d(options, inputs[0] * inputs[2], outputs)
