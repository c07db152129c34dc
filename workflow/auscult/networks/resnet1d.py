"""ResNet along time, for samples of several leads or frames (after He et al. 2016, in one dimension).

The bands of a front end are channels of this network. With the default options it is ResNet-18 with kernels of 3 and
3,853,449 parameters for 12 leads and nine classes; `depths: [3, 4, 6, 3]` is ResNet-34 with 7,227,785 parameters.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.leads import chosen


class Options(BaseModel):
    """Sizes and dropout; the default sizes are ResNet-18's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    depths: list[PositiveInt] = Field(default=[2, 2, 2, 2], min_length=1, description="Blocks per stage.")
    widths: list[PositiveInt] = Field(default=[64, 128, 256, 512], min_length=1, description="Channels per stage.")
    kernel: PositiveInt = Field(default=3, description="Length of a block's convolutions, odd.")
    stem_kernel: PositiveInt = Field(default=7, description="Length of the first convolution, odd.")
    leads: list[NonNegativeInt] | None = Field(
        default=None, min_length=1, description="Numbers of the channels that are read, from 0; default: all."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Of channels after each block, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> "Options":
        if len(self.depths) != len(self.widths):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths")
        if even := [k for k in (self.kernel, self.stem_kernel) if k % 2 == 0]:
            raise ValueError(f"a kernel of {even[0]} has no middle; choose an odd number")
        return self


class Block(nn.Module):
    """Two convolutions and a shortcut: (batch, channels, frames) to (batch, width, frames / stride)."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(width)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(nn.Conv1d(channels, width, 1, stride, bias=False), nn.BatchNorm1d(width))
        self.drop = StochasticDropout(dropout, channels=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.drop(torch.relu(x + shortcut))


class Residual1d(nn.Module):
    """Stem and stages: (batch, channels, frames) to maps (batch, last width, fewer frames, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        before = options.widths[0]
        self.stem = nn.Sequential(
            nn.Conv1d(channels, before, options.stem_kernel, 2, options.stem_kernel // 2, bias=False),
            nn.BatchNorm1d(before),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(3, 2, 1),
        )
        blocks = []
        for stage, (depth, width) in enumerate(zip(options.depths, options.widths, strict=True)):
            for number in range(depth):
                stride = 2 if stage and number == 0 else 1
                blocks.append(Block(before, width, options.kernel, stride, options.dropout))
                before = width
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.stem(x))[..., None]


class ResNet1d(nn.Module):
    """Maps, mean over time, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        channels, _, bands = inputs
        self.leads = chosen(options.leads, channels)
        self.maps = Residual1d(options, len(self.leads) * bands)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.widths[-1], outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x[:, self.leads].transpose(2, 3).flatten(1, 2)).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> ResNet1d:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return ResNet1d(options, inputs, outputs)
