"""InceptionTime: convolutions of several lengths along time, for samples or frames (Fawaz et al. 2020).

It is one-dimensional: the bands of a front end are channels of this network, so the front end `samples` gives the usual
network on the waveform.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes and dropout; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    depth: PositiveInt = Field(
        default=6, description="Inception modules; a shortcut connection passes over every three."
    )
    filters: PositiveInt = Field(default=32, description="Filters of each of the module's four branches.")
    kernels: list[PositiveInt] = Field(default=[41, 21, 11], min_length=1, description="Lengths of the convolutions.")
    stride: PositiveInt = Field(
        default=1, description="Stride of a convolution before the first module; 1: no such convolution."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Of channels after each module, and before the head.")


class Module(nn.Module):
    """Parallel convolutions of a narrow copy, and one of a max-pooled copy; (batch, channels, frames) keeps frames."""

    def __init__(self, channels: int, options: Options) -> None:
        super().__init__()
        width = options.filters
        self.bottleneck = nn.Conv1d(channels, width, 1, bias=False) if channels > 1 else nn.Identity()
        narrow = width if channels > 1 else 1
        self.convolutions = nn.ModuleList(
            nn.Conv1d(narrow, width, kernel, padding="same", bias=False) for kernel in options.kernels
        )
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(channels, width, 1, bias=False))
        self.channels = width * (len(options.kernels) + 1)
        self.norm = nn.BatchNorm1d(self.channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.bottleneck(x)
        return self.norm(
            torch.cat([*(convolution(narrow) for convolution in self.convolutions), self.pooled(x)], dim=1)
        )


class Modules(nn.Module):
    """Modules with shortcuts: (batch, channels, frames) to maps (batch, 4 x filters, frames, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        self.stem = None
        if options.stride > 1:
            kernel = 2 * options.stride + 1
            self.stem = nn.Sequential(
                nn.Conv1d(channels, options.filters, kernel, options.stride, options.stride, bias=False),
                nn.BatchNorm1d(options.filters),
                nn.ReLU(inplace=True),
            )
            channels = options.filters
        modules, shortcuts, before = [], [], channels
        for number in range(options.depth):
            modules.append(Module(channels, options))
            channels = modules[-1].channels
            if number % 3 == 2:
                shortcuts.append(nn.Sequential(nn.Conv1d(before, channels, 1, bias=False), nn.BatchNorm1d(channels)))
                before = channels
        self.inception = nn.ModuleList(modules)
        self.shortcuts = nn.ModuleList(shortcuts)
        self.drop = StochasticDropout(options.dropout, channels=True)
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stem is not None:
            x = self.stem(x)
        shortcut_input = x
        for number, module in enumerate(self.inception):
            x = module(x)
            if number % 3 == 2:
                x = x + self.shortcuts[number // 3](shortcut_input)
            x = self.drop(torch.relu(x))
            if number % 3 == 2:
                shortcut_input = x
        return x[..., None]


class InceptionTime(nn.Module):
    """Modules, mean over time, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = Modules(options, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(self.maps.channels, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 4 x filters)."""
        latents = self.maps(x.transpose(2, 3).flatten(1, 2)).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> InceptionTime:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return InceptionTime(options, inputs[0] * inputs[2], outputs)
