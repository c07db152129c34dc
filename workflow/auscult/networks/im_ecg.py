"""IM-ECG: two-dimensional convolutions over leads and time, whose feature maps keep a row for each lead.

After a public re-implementation (`models/baseline/im_ecgnet.py` of hhhey-lw/db_ecgnet) of "IM-ECG: an interpretable
framework for arrhythmia detection using multi-lead ECG" (Expert Systems with Applications 2023). Its blocks look twice:
a convolution over three neighbouring leads, then one along each lead. The published size has 25.6 million parameters
and 21.2 billion multiply-adds for 12 leads of 10 s at 100 Hz, which is work for a GPU.

The channels of the front end are the leads; their order matters, for it says which leads are neighbours. The bands of
a front end are channels of the first convolution. A row of the maps also depends on up to three leads on either side of
its lead, and on all leads by squeeze and excitation: a bright row says that the reason is in or near its lead.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.squeeze import Squeeze

STEM = 50  # frames of the first convolution
KERNEL = 15  # frames of the convolutions of the first and second block
KERNELS = (5, 7, 15)  # frames of the convolutions of the third block's branches


class Options(BaseModel):
    """Sizes and dropout; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(32, 64, 128, 256), description="Channels of the stem, the first and second block, and each branch."
    )
    repeats: tuple[PositiveInt, PositiveInt] = Field(
        default=(3, 5), description="Pairs of convolutions in the second half of the second block and of each branch."
    )
    ratio: PositiveInt = Field(default=4, description="Channels per hidden unit of squeeze and excitation.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="In the second block and in the branches.")


class Unit(nn.Sequential):
    """Norm, ReLU, dropout, convolution: (batch, channels, leads, frames) to (batch, width, leads, frames / stride)."""

    def __init__(
        self, channels: int, width: int, kernel: tuple[int, int], stride: int = 1, dropout: float = 0.0
    ) -> None:
        padding = (kernel[0] // 2, (kernel[1] - stride + 1) // 2)
        convolution = nn.Conv2d(channels, width, kernel, (1, stride), padding)
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU(), StochasticDropout(dropout), convolution)


class Half(nn.Module):
    """Units, and a shortcut around all of them: (batch, channels, leads, frames) to (batch, width, leads, …).

    Squeeze and excitation weighs the channels of the units, or of the sum if `gates_sum`.
    """

    def __init__(
        self, units: list[Unit], channels: int, width: int, stride: int, ratio: int, gates_sum: bool = False
    ) -> None:
        super().__init__()
        self.units = nn.Sequential(*units)
        self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width))
        self.gate = Squeeze(width, ratio)
        self.stride, self.gates_sum = stride, gates_sum

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # a convolution of one place with strides (1, 2) crashes in oneDNN with torch 2.13 if channels come last
        shortcut = self.shortcut(x[..., :: self.stride])
        return self.gate(self.units(x) + shortcut) if self.gates_sum else self.gate(self.units(x)) + shortcut


def _block(channels: int, width: int, kernel: int, repeats: int, ratio: int, dropouts: tuple[float, float]) -> list:
    """Return the half that mixes neighbouring leads at half the frames, and the half along each lead."""
    mixing = [Unit(channels, width, (3, kernel), 2), Unit(width, width, (1, kernel), dropout=dropouts[0])]
    along = [Unit(width, width, (1, kernel), dropout=rate) for _ in range(repeats) for rate in (0.0, dropouts[1])]
    return [
        Half(mixing, channels, width, 2, ratio, gates_sum=True),
        Half(along, width, width, 1, ratio),
    ]


class Maps(nn.Module):
    """(batch, channels, frames, bands) to maps (batch, 3 times the last width, frames / 16, leads)."""

    def __init__(self, options: Options, bands: int) -> None:
        super().__init__()
        stem, width, middle, last = options.widths
        ratio, dropout = options.ratio, options.dropout
        self.stem = nn.Sequential(nn.Conv2d(bands, stem, (1, STEM), (1, 2), (0, STEM // 2 - 1)), nn.BatchNorm2d(stem))
        self.blocks = nn.Sequential(
            Half([Unit(stem, width, (3, KERNEL), 2)], stem, width, 2, ratio),
            Half([Unit(width, width, (1, KERNEL)) for _ in range(2)], width, width, 1, ratio),
            *_block(width, middle, KERNEL, options.repeats[0], ratio, (0.0, dropout)),
        )
        self.branches = nn.ModuleList(
            nn.Sequential(*_block(middle, last, kernel, options.repeats[1], ratio, (dropout, dropout)))
            for kernel in KERNELS
        )
        self.mix = nn.Conv2d(3 * last, 3 * last, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 3, 1, 2)  # (batch, bands, leads, frames)
        x = torch.relu(self.stem(functional.pad(x, (0, max(0, 2 - x.shape[3])))))  # the kernel with padding needs two
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))
        return self.mix(torch.cat([branch(x) for branch in self.branches], dim=1)).transpose(2, 3)


class IMECG(nn.Module):
    """Maps, mean over leads and time, one linear layer."""

    maps_have_channels = True

    def __init__(self, options: Options, bands: int, outputs: int) -> None:
        super().__init__()
        self.maps = Maps(options, bands)
        self.head = nn.Linear(3 * options.widths[-1], outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 3 times the last width)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> IMECG:
    """Return the network for inputs (channels, frames, bands); the numbers of channels and frames may vary."""
    return IMECG(options, inputs[2], outputs)
