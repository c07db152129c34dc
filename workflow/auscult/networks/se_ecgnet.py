"""SE-ECGNet: convolutions of three lengths along each lead, then along time over all leads (Zhang et al. 2020).

After the authors' code (Amadeuszhao/SE-ECGNet) of "SE-ECGNet: a multi-scale deep residual network with
squeeze-and-excitation module for ECG signal classification" (BIBM 2020, arXiv 2012.05510). No convolution covers two
leads before they are folded into channels, so the size grows with the square of the number of leads: 37.9 million
parameters for 12. The published network has 8 leads and one shortcut for all residual parts of a row, an accident of
its code: see `shared_shortcuts`.

The channels of the front end are the leads. Its bands are channels of the first convolution.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.squeeze import Squeeze

KERNEL = 15  # frames of the convolutions after the stem
KERNELS = (3, 5, 7)  # frames of the convolutions of the three branches
HALVINGS = 3  # residual parts after the stem
PARTS = 4  # residual parts of each half of a branch
REPEATS = 3  # convolutions of a residual part that keeps its size


class Options(BaseModel):
    """Sizes and dropout; the defaults are the published ones, but for `shared_shortcuts`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveInt = Field(default=32, description="Channels of each lead.")
    stem_kernel: PositiveInt = Field(default=50, description="Frames of the first convolution.")
    ratio: PositiveInt = Field(default=16, description="Channels per hidden unit of squeeze and excitation.")
    shared_shortcuts: bool = Field(
        default=False,
        description="One shortcut for all parts of a row, as published. Its normalisation then sees several inputs.",
    )
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Inside the residual parts of the branches.")


class Unit(nn.Sequential):
    """Norm, ReLU, dropout and a convolution along time: (batch, channels, leads, frames / stride)."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, dropout: float = 0.0) -> None:
        convolution = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, kernel // 2), bias=False)
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU(), StochasticDropout(dropout), convolution)


class Shortcut(nn.Sequential):
    """Norm, ReLU and a convolution of every other frame alone: (batch, channels, leads, frames / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm, act, convolution = self
        # strides (1, 2) of a convolution of one place crash in oneDNN with torch 2.13 if channels come last
        return convolution(act(norm(x))[..., ::2])


class Part(nn.Module):
    """Units, squeeze and excitation, and a shortcut: (batch, channels, leads, frames), or half of the frames."""

    def __init__(self, channels: int, units: list[Unit], shortcut: nn.Module, ratio: int, activates: bool) -> None:
        super().__init__()
        self.units, self.gate, self.shortcut = nn.Sequential(*units), Squeeze(channels, ratio), shortcut
        self.activates = activates

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.gate(self.units(x)) + self.shortcut(x)
        return torch.relu(x) if self.activates else x


def _shortcuts(channels: int, count: int, one_for_all: bool) -> list[nn.Module]:
    """Return the shortcuts of the parts of a row that halve the frames."""
    return [Shortcut(channels)] * count if one_for_all else [Shortcut(channels) for _ in range(count)]


class Lead(nn.Sequential):
    """(batch, bands, leads, frames) to (batch, width, leads, frames / 16): each lead alone, all with equal weights."""

    def __init__(self, options: Options, bands: int) -> None:
        width, ratio = options.width, options.ratio
        super().__init__(
            nn.Conv2d(bands, width, (1, options.stem_kernel), (1, 2), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *(
                Part(width, [Unit(width, KERNEL, 2)], shortcut, ratio, activates=True)
                for shortcut in _shortcuts(width, HALVINGS, options.shared_shortcuts)
            ),
        )


class Branch(nn.Module):
    """Convolutions of one length: (batch, width, leads, frames) to (batch, width times leads, frames / 16)."""

    def __init__(self, options: Options, leads: int, kernel: int) -> None:
        super().__init__()
        ratio, dropout = options.ratio, options.dropout

        def same(channels: int, rates: list[float]) -> Part:
            units = [Unit(channels, kernel, dropout=rate) for rate in rates]
            return Part(channels, units, nn.Identity(), ratio, activates=True)

        width = options.width * leads
        self.along_leads = nn.Sequential(
            *(same(options.width, [0.0, *[dropout] * (REPEATS - 1)]) for _ in range(PARTS))
        )
        parts = []
        for shortcut in _shortcuts(width, PARTS, options.shared_shortcuts):
            parts.append(Part(width, [Unit(width, kernel, 2)], shortcut, ratio, activates=False))
            parts.append(same(width, [dropout] * REPEATS))
        self.over_leads = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.along_leads(x).flatten(1, 2)
        return self.over_leads(x[:, :, None])[:, :, 0]


class Maps(nn.Module):
    """(batch, channels, frames, bands) to maps (batch, 3 times width times leads, frames / 256, 1)."""

    def __init__(self, options: Options, leads: int, bands: int) -> None:
        super().__init__()
        self.least = options.stem_kernel
        self.lead = Lead(options, bands)
        self.branches = nn.ModuleList(Branch(options, leads, kernel) for kernel in KERNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 3, 1, 2)  # (batch, bands, leads, frames)
        x = self.lead(functional.pad(x, (0, max(0, self.least - x.shape[3]))))
        return torch.cat([branch(x) for branch in self.branches], dim=1)[..., None]


class SEECGNet(nn.Module):
    """Maps, mean over time, one linear layer."""

    def __init__(self, options: Options, leads: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.maps = Maps(options, leads, bands)
        self.head = nn.Linear(len(KERNELS) * options.width * leads, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 3 width leads)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> SEECGNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return SEECGNet(options, inputs[0], inputs[2], outputs)
