"""Beats of an ECG, and lightweight convolutions over them in place of self-attention.

After the idea of Meng et al. (2022, Artificial Intelligence in Medicine 124, 102236): a convolutional network with
squeeze and excitation looks inside each beat, and a transformer whose attention is a lightweight convolution (Wu et al.
2019) looks over the beats. The published widths are not known: all sizes, the finder of beats and the intervals between
beats as an input are our choice. The published network classifies each beat, this one the window. The bands of a front
end are channels. 508,309 parameters for 12 leads and one output.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.beats import BeatFeatures, excerpts, intervals, peaks
from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import feed_forward


class Options(BaseModel):
    """Sizes; all of them are our choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate_hz: PositiveFloat = Field(default=100, description="Frames per second, to find beats.")
    beats: PositiveInt = Field(default=16, description="Beats of a window; of more, those with the steepest changes.")
    widths: list[PositiveInt] = Field(
        default=[32, 64, 128], min_length=3, max_length=3, description="Channels of the convolutions inside a beat."
    )
    squeeze_ratio: PositiveInt = Field(default=8, description="Channels per hidden unit of squeeze and excitation.")
    kernels: list[PositiveInt] = Field(
        default=[3, 5, 7, 7], min_length=1, description="Beats that the convolution of each block spans, odd."
    )
    heads: PositiveInt = Field(default=4, description="Groups of channels with a common kernel.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each block's two parts, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.widths[-1] % self.heads:
            raise ValueError(f"widths: {self.widths[-1]} is not a multiple of heads")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise ValueError(f"a kernel of {even[0]} has no middle; choose an odd number")
        return self


class LightConvolution(nn.Module):
    """A gated linear unit, a convolution along tokens whose kernels have the sum 1, and a linear layer."""

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.channels_per_head = width // heads
        self.gate = nn.Linear(width, 2 * width)
        self.scores = nn.Parameter(torch.empty(heads, kernel))
        self.proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.scores)

    def kernels(self) -> torch.Tensor:
        """Return the kernels (heads, tokens), which are ≥ 0 and have the sum 1."""
        return torch.softmax(self.scores, dim=1)

    def convolved(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) keeps its shape: each channel by the kernel of its head, with zeros at the ends."""
        kernels = self.kernels().repeat_interleave(self.channels_per_head, dim=0)[:, None]
        x = x.transpose(1, 2)
        return functional.conv1d(x, kernels, padding=kernels.shape[2] // 2, groups=x.shape[1]).transpose(1, 2)

    def forward(self, x: torch.Tensor, is_token: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) and which exist (batch, tokens); absent tokens count as 0."""
        return self.proj(self.convolved(functional.glu(self.gate(x)) * is_token[..., None]))


class Block(nn.Module):
    """A lightweight convolution and a feed-forward part, each with layer normalisation and a residual sum."""

    def __init__(self, width: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mixer = LightConvolution(width, heads, kernel)
        self.feed_forward = feed_forward(width, 2, nn.ReLU)
        self.drop = StochasticDropout(dropout)

    def forward(self, x: torch.Tensor, is_token: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) keeps its shape."""
        x = x + self.drop(self.mixer(self.norm(x), is_token))
        return x + self.drop(self.feed_forward(x))


class LightTransformer(nn.Module):
    """Beats, blocks over beats, normalisation, mean over the beats that exist, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.widths[-1]
        self.rate_hz, self.count = options.rate_hz, options.beats
        self.features = BeatFeatures(channels, options.widths, options.squeeze_ratio)
        self.intervals = nn.Linear(2, width)
        self.blocks = nn.ModuleList(Block(width, options.heads, k, options.dropout) for k in options.kernels)
        self.norm = nn.LayerNorm(width)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        x = x.transpose(2, 3).flatten(1, 2)
        positions, is_beat = peaks(x, self.rate_hz, self.count)
        seconds = intervals(positions, x.shape[2], self.rate_hz)
        latents = self.encode(excerpts(x, positions, self.rate_hz), seconds, is_beat)
        return self.head(self.drop(latents)), latents

    def encode(self, beats: torch.Tensor, seconds: torch.Tensor, is_beat: torch.Tensor) -> torch.Tensor:
        """Return latents (batch, last width) of beats (batch, count, channels, length) and their intervals.

        seconds: (batch, count, 2). is_beat: (batch, count), which of them exist.
        """
        x = self.features(beats, is_beat) + self.intervals(seconds)
        for block in self.blocks:
            x = block(x, is_beat)
        is_beat = is_beat[..., None]
        return (self.norm(x) * is_beat).sum(dim=1) / is_beat.sum(dim=1)


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> LightTransformer:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return LightTransformer(options, inputs[0] * inputs[2], outputs)
