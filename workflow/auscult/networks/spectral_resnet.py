"""A two-dimensional ResNet over the spectrogram of each lead, which the network computes from the samples.

With the default options it is a ResNet-34 over windows of 100 samples. Its front end must be `samples`.
"""

import torch
from pydantic import Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.residual import Residual, Sizes
from auscult.networks.layers.spectrum import LogSpectrum


class Options(Sizes):
    """Sizes, spectrogram and dropout."""

    block: str = Field(default="basic", pattern="^(basic|bottleneck)$")
    window: PositiveInt = Field(default=100, description="Samples of a Hamming window.")
    hop: PositiveInt = Field(default=10, description="Samples from one window to the next.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Of channels after each block, and before the head.")


class SpectralMaps(nn.Module):
    """Samples (batch, leads, frames, 1) to maps (batch, last width, windows / 32, bins / 32)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        self.spectrum = LogSpectrum(options.window, options.hop)
        self.norm = nn.BatchNorm2d(channels)
        self.residual = Residual(
            options,
            channels,
            lambda place: StochasticDropout(options.dropout, channels=True) if place else nn.Identity(),
            lambda channels: nn.Identity(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.residual(self.norm(self.spectrum(x.transpose(2, 3).flatten(1, 2))))


class SpectralResNet(nn.Module):
    """Maps, global mean, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = SpectralMaps(options, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.latents(), outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> SpectralResNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return SpectralResNet(options, inputs[0] * inputs[2], outputs)
