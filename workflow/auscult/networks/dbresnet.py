"""DBResNet: a residual network whose dropout stays on at inference (Walker et al. 2022, PathToMyHeart).

With the default options it is the published ResNet-50 (v1.5): 23,510,081 parameters for 3 input channels and one
output, and 49 places of dropout. Narrower widths, fewer blocks and `block: basic` make it small.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    block: Literal["bottleneck", "basic"] = "bottleneck"
    depths: list[PositiveInt] = Field(default=[3, 4, 6, 3], min_length=1, description="Blocks per stage.")
    widths: list[PositiveInt] = Field(default=[64, 128, 256, 512], min_length=1, description="Channels per stage.")
    stem_kernel: int = Field(default=7, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_pool: bool = Field(default=True, description="Max-pool 3x3, stride 2, after the stem.")
    dropout: float = Field(default=0.3, ge=0, lt=1)
    drop: Literal["elements", "channels"] = Field(
        default="elements", description="What dropout drops; whole channels are much cheaper on a CPU."
    )

    @model_validator(mode="after")
    def _one_width_per_stage(self) -> "Options":
        if len(self.depths) != len(self.widths):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths")
        return self


class Block(nn.Module):
    """A residual block: convolutions with dropout after each activation, the last one after the sum."""

    def __init__(self, channels: int, width: int, stride: int, options: Options) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.drop = StochasticDropout(options.dropout, options.drop == "channels")
        if options.block == "bottleneck":
            out = 4 * width
            shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        else:
            out = width
            shapes = [(channels, width, 3, stride), (width, width, 3, 1)]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k, s, k // 2, bias=False) for a, b, k, s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(shape[1]) for shape in shapes)
        self.shortcut = None
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.channels = out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to (batch, self.channels, frames / stride, bands / stride)."""
        kept = x if self.shortcut is None else self.shortcut(x)
        for convolution, norm in zip(self.convolutions[:-1], self.norms[:-1], strict=True):
            x = self.drop(self.relu(norm(convolution(x))))
        x = self.norms[-1](self.convolutions[-1](x)) + kept
        return self.drop(self.relu(x))


class DBResNet(nn.Module):
    """Stem, stages of residual blocks, global average, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.widths[0]
        stem = [
            nn.Conv2d(
                channels,
                width,
                options.stem_kernel,
                options.stem_stride,
                options.stem_kernel // 2,
                bias=False,
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        if options.stem_pool:
            stem.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*stem)
        blocks, channels = [], width
        for stage, (depth, width) in enumerate(zip(options.depths, options.widths, strict=True)):
            for number in range(depth):
                blocks.append(Block(channels, width, 2 if stage and not number else 1, options))
                channels = blocks[-1].channels
        self.blocks = nn.Sequential(*blocks)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(channels, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.blocks(self.stem(x)).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> DBResNet:
    """The network for inputs (channels, frames, bands); any number of frames and bands will do."""
    return DBResNet(options, inputs[0], outputs)
