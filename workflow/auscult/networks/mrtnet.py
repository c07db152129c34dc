"""Segments of an ECG at several time scales, a residual network for each, and a transformer over the segments.

After the idea of MRTNet (2023, Applied Soft Computing), a network for myocardial infarction: overlapping segments,
sampled at several scales; a residual network with squeeze and excitation for each scale, pooled by mean and maximum; a
transformer encoder for what the segments have in common; the scales are concatenated. The published sizes are not
known: all sizes, one encoder for all scales, and a last segment that is completed by zeros are our choice. The bands of
a front end are channels. 1,112,971 parameters for 12 leads and one output.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Encoder, rollout, sine_positions
from auscult.networks.layers.segments import cut, overlap_add
from auscult.networks.layers.squeeze import Squeeze


class Options(BaseModel):
    """Sizes, and whether the order of segments counts; all of them are our choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    segment: PositiveInt = Field(default=128, description="Frames of a segment, even; neighbours overlap by half.")
    scales: list[PositiveInt] = Field(
        default=[1, 2, 4], min_length=1, description="Frames that are averaged to one, of each scale."
    )
    widths: list[PositiveInt] = Field(
        default=[32, 64, 128], min_length=1, description="Channels of the residual blocks; the last is a token's."
    )
    squeeze_ratio: PositiveInt = Field(default=16, description="Channels per hidden unit of squeeze and excitation.")
    depth: PositiveInt = Field(default=2, description="Layers of the encoder.")
    attention_heads: PositiveInt = 4
    positions: bool = Field(
        default=False, description="Add sines of its place to each segment; without, their order does not matter."
    )
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="After the two parts of the encoder's layers, and before the head."
    )

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.segment % 2:
            raise ValueError(f"segment: {self.segment} is not even")
        if self.widths[-1] % self.attention_heads or self.widths[-1] % 2:
            raise ValueError(f"widths: {self.widths[-1]} must be even and a multiple of attention_heads")
        return self


class Block(nn.Module):
    """Two convolutions, squeeze and excitation, and a shortcut: (batch, channels, frames) to (batch, width, fewer)."""

    def __init__(self, channels: int, width: int, stride: int, ratio: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, 7, stride, 3, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 7, 1, 3, bias=False),
            nn.BatchNorm1d(width),
            Squeeze(width, ratio),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv1d(channels, width, 1, stride, bias=False), nn.BatchNorm1d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


class MeanAndMaximum(nn.Module):
    """The mean over time, then the maximum: (batch, channels, frames) to (batch, 2 x channels)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)


class Scale(nn.Module):
    """The network of one scale: segments (batch, channels, frames) to tokens (batch, last width)."""

    def __init__(self, options: Options, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        before, last = options.widths[0], options.widths[-1]
        self.stem = nn.Sequential(
            nn.Conv1d(channels, before, 15, padding=7, bias=False), nn.BatchNorm1d(before), nn.ReLU(inplace=True)
        )
        blocks = []
        for number, width in enumerate(options.widths):
            blocks.append(Block(before, width, 2 if number else 1, options.squeeze_ratio))
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = MeanAndMaximum()
        self.proj = nn.Linear(2 * last, last)

    def sampled(self, segments: torch.Tensor) -> torch.Tensor:
        """Return means over `factor` frames (batch, channels, frames / factor)."""
        return functional.avg_pool1d(segments, self.factor, ceil_mode=True)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        return self.proj(self.pool(self.blocks(self.stem(self.sampled(segments)))))


class MRTNet(nn.Module):
    """Tokens of every scale and segment, the encoder, the mean over segments, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.widths[-1]
        self.segment, self.has_positions = options.segment, options.positions
        self.scales = nn.ModuleList(Scale(options, channels, factor) for factor in options.scales)
        self.encoder = Encoder(width, options.depth, options.attention_heads, 2, options.dropout)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(len(options.scales) * width, outputs)

    def tokens(self, segments: torch.Tensor) -> list[torch.Tensor]:
        """Return the tokens (batch, segments, width) of each scale of segments (batch, channels, segments, frames)."""
        rows = segments.transpose(1, 2)
        tokens_of_scales = [scale(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]) for scale in self.scales]
        if not self.has_positions:
            return tokens_of_scales
        return [x + sine_positions(*x.shape[1:], x.device).to(x.dtype) for x in tokens_of_scales]

    def encode(self, segments: torch.Tensor) -> torch.Tensor:
        """Return latents (batch, scales x width) of segments (batch, channels, segments, frames)."""
        return torch.cat([self.encoder(x).mean(dim=1) for x in self.tokens(segments)], dim=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, scales x last width)."""
        latents = self.encode(cut(x.transpose(2, 3).flatten(1, 2), self.segment))
        return self.head(self.drop(latents)), latents

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention to each segment, divided among its frames: (batch, frames, 1), for any output.

        It is followed through the encoder's layers, and averaged over scales and over the segments that attend.
        """
        tokens_of_scales = self.tokens(cut(x.transpose(2, 3).flatten(1, 2), self.segment))
        total = sum(rollout(self.encoder.attend(tokens)[1]).mean(dim=1) for tokens in tokens_of_scales)
        share = total / (len(tokens_of_scales) * self.segment)
        return overlap_add(share[:, None, :, None].expand(-1, -1, -1, self.segment))[:, 0, : x.shape[2], None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MRTNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MRTNet(options, inputs[0] * inputs[2], outputs)
