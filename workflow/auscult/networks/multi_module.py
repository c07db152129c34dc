"""Recurrent convolutional modules on the samples and on their spectrogram, joined by a transformer encoder.

After the idea of "Multi-module recurrent convolutional neural network with transformer encoder for ECG arrhythmia
classification" (Le et al., BHI 2021), which also has a module for age and sex. All sizes are our choice. 0.61 million
parameters for 12 leads. Its front end must be `samples`.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Encoder, rollout
from auscult.networks.layers.spectrum import LogSpectrum


class Options(BaseModel):
    """Sizes, modules and dropout."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    modules: Literal["both", "signal", "spectrum"] = Field(
        default="both", description="The module on the samples, the one on the spectrogram, or both."
    )
    widths: list[PositiveInt] = Field(
        default=[32, 64, 128], min_length=1, description="Channels of the convolutions of each module."
    )
    lstm: PositiveInt = Field(default=64, description="Units of each direction of an LSTM; a token has twice as many.")
    parts: PositiveInt = Field(default=10, description="Equal parts of the window, each one step of the first module.")
    window: PositiveInt = Field(default=64, description="Samples of a Hamming window of the spectrogram.")
    hop: PositiveInt = Field(default=16, description="Samples from one window to the next.")
    depth: PositiveInt = Field(default=2, description="Layers of the encoder.")
    attention_heads: PositiveInt = 4
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each part of the encoder, and before the head.")

    @model_validator(mode="after")
    def _divides(self) -> Options:
        if 2 * self.lstm % self.attention_heads:
            raise ValueError(f"lstm: twice {self.lstm} must be a multiple of attention_heads")
        return self


class Signal(nn.Module):
    """Samples (batch, channels, frames) to a token for each part: (batch, parts, 2 LSTM units)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        self.parts = options.parts
        layers: list[nn.Module] = []
        for before, width in zip([channels, *options.widths], options.widths, strict=False):
            layers += [nn.Conv1d(before, width, 5, padding=2, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            layers.append(nn.MaxPool1d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.lstm = nn.LSTM(options.widths[-1], options.lstm, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, -x.shape[2] % self.parts)).unflatten(2, (self.parts, -1))
        means = self.layers(x.transpose(1, 2).flatten(0, 1)).mean(dim=2)
        return self.lstm(means.unflatten(0, (-1, self.parts)))[0]

    def spread(self, weights: torch.Tensor, frames: int) -> torch.Tensor:
        """Return weights of the tokens (batch, parts) over the frames of the parts (batch, frames)."""
        length = -(-frames // self.parts)
        return weights.repeat_interleave(length, dim=1)[:, :frames] / length


class Spectrum(nn.Module):
    """Samples (batch, channels, frames) to a token for each window: (batch, windows, 2 LSTM units)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        self.window, self.hop = options.window, options.hop
        self.spectrum = LogSpectrum(options.window, options.hop, least=1.0)
        layers: list[nn.Module] = []
        for before, width in zip([channels, *options.widths], options.widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers.append(nn.MaxPool2d((1, 2), ceil_mode=True))
        self.layers = nn.Sequential(*layers)
        self.lstm = nn.LSTM(options.widths[-1], options.lstm, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.layers(self.spectrum(x)).mean(dim=3).transpose(1, 2))[0]

    def spread(self, weights: torch.Tensor, frames: int) -> torch.Tensor:
        """Return weights of the tokens (batch, windows) over the frames of the windows (batch, frames)."""
        share = weights.new_full((1, 1, self.window), 1 / self.window)
        spread = functional.conv_transpose1d(weights[:, None], share, stride=self.hop)[:, 0]
        return functional.pad(spread, (0, max(0, frames - spread.shape[1])))[:, :frames]


class MultiModule(nn.Module):
    """The tokens of the modules and a class token, an encoder, dropout, one linear layer on the class token."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = 2 * options.lstm
        kinds = {"signal": Signal, "spectrum": Spectrum}
        self.parts = nn.ModuleList(
            kinds[name](options, channels) for name in kinds if options.modules in (name, "both")
        )
        self.class_token = nn.Parameter(0.02 * torch.randn(1, width))
        self.kinds = nn.Parameter(0.02 * torch.randn(len(self.parts), width))
        self.encoder = Encoder(width, options.depth, options.attention_heads, ratio=2, dropout=options.dropout)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(width, outputs)

    def embed(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the class token, and the tokens of each module, of a batch: each (batch, tokens, width)."""
        x = x.transpose(2, 3).flatten(1, 2)
        of_modules = [part(x) + kind for part, kind in zip(self.parts, self.kinds, strict=True)]
        return [self.class_token.expand(len(x), 1, -1), *of_modules]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 2 LSTM units)."""
        latents = self.encoder(torch.cat(self.embed(x), dim=1))[:, 0]
        return self.head(self.drop(latents)), latents

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention of the class token over time (batch, frames, 1), for any output.

        It is rolled out over the layers (see `layers.encoder.rollout`), and each token's weight is spread over its
        frames.
        """
        parts = self.embed(x)
        _, weights_of_layers = self.encoder.attend(torch.cat(parts, dim=1))
        _, *shares = rollout(weights_of_layers)[:, 0].split([part.shape[1] for part in parts], dim=1)
        frames = x.shape[2]
        return sum(part.spread(share, frames) for part, share in zip(self.parts, shares, strict=True))[..., None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MultiModule:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MultiModule(options, inputs[0] * inputs[2], outputs)
