"""InceptionFormer for 12-lead ECGs: convolutions of several lengths, then self-attention, in four stages along time.

With the default options and 12 leads: 12.45 million parameters, of which the stages have 35.07 and 271.36 thousand,
3.18 and 8.41 million. Sizes are derived from published numbers. The bands of a front end are channels of this network.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.self_attention import ConvolutionalModulation, Kind, SelfAttention

STEM = (19, 37, 57, 77)  # lengths of the stem's convolutions, each for a quarter of its channels
KERNELS = (3, 5, 11, 21)  # of a block's depth-wise convolutions, each for a quarter of its channels


class Options(BaseModel):
    """Sizes, and switches for ablation; the defaults are the published network."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    depths: list[PositiveInt] = Field(
        default=[2, 4, 8, 4],
        min_length=1,
        max_length=4,
        description="Blocks per stage: convolutions in the first two, alternating with attention in the third, "
        "attention in the fourth.",
    )
    widths: list[PositiveInt] = Field(
        default=[64, 128, 256, 512], description="Channels of each stage, multiples of 4."
    )
    attention: Kind | Literal["modulation"] = Field(
        default="shunted",
        description="`plain`; `reduced` (keys and values at half the frames); `shunted` (heads at full, half and "
        "quarter length); `window` and `shifted` (every other block shifted); `routed` (to 10 of 25 windows); "
        "`modulation` (a convolution instead of attention).",
    )
    gate: Literal["none", "squeeze", "coordinate"] = Field(
        default="none", description="Of a convolution block's branch: a weight per channel, or per channel and frame."
    )
    attention_heads: PositiveInt = 8
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After every branch, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths")
        if invalid := [width for width in self.widths if width % 4]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of 4")
        if invalid := [width for width in self.widths[2:] if width % self.attention_heads]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of attention_heads")
        return self


class MultiScale(nn.Module):
    """Parallel convolutions of several lengths: (batch, channels, frames) to (batch, width, frames)."""

    def __init__(self, channels: int, width: int, kernels: tuple[int, ...], depthwise: bool) -> None:
        super().__init__()
        branch_width = width // len(kernels)
        self.depthwise = depthwise
        self.branches = nn.ModuleList(
            nn.Conv1d(
                branch_width if depthwise else channels,
                branch_width,
                kernel,
                padding=kernel // 2,
                groups=branch_width if depthwise else 1,
            )
            for kernel in kernels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.chunk(len(self.branches), dim=1) if self.depthwise else [x] * len(self.branches)
        return torch.cat(
            [branch(branch_width) for branch, branch_width in zip(self.branches, parts, strict=True)], dim=1
        )


class Gate(nn.Module):
    """A weight per channel (`squeeze`), or per channel and frame (`coordinate`); near 1 before training."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        hidden = max(4, width // 16)
        self.coordinate = kind == "coordinate"
        self.squeeze = nn.Conv1d(width, hidden, 1)
        self.excite = nn.Conv1d(hidden, width, 1)
        nn.init.normal_(self.excite.weight, std=0.001)
        nn.init.zeros_(self.excite.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summary = functional.avg_pool1d(x, 9, 1, 4, count_include_pad=False) if self.coordinate else x.mean(2, True)
        return x * (2 * torch.sigmoid(self.excite(torch.relu(self.squeeze(summary)))))


class Block(nn.Module):
    """A mixer along time and a feed-forward part of ratio 2, each with layer normalisation and a residual sum."""

    def __init__(self, width: int, mixer: nn.Module, dropout: float, channels_first: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer, self.channels_first = mixer, channels_first
        self.expand, self.shrink = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = StochasticDropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) keeps its shape."""
        y = self.norm1(x)
        y = self.mixer(y.transpose(1, 2)).transpose(1, 2) if self.channels_first else self.mixer(y)
        x = x + self.drop(y)
        return x + self.drop(self.shrink(functional.gelu(self.expand(self.norm2(x)))))


class Stages(nn.Module):
    """Stem and stages: (batch, channels, frames) to maps (batch, last width, frames / 2 a stage, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            MultiScale(channels, options.widths[0], STEM, depthwise=False), nn.BatchNorm1d(options.widths[0]), nn.GELU()
        )
        self.fusions, self.stages = nn.ModuleList(), nn.ModuleList()
        for stage, (depth, width) in enumerate(zip(options.depths, options.widths, strict=True)):
            if stage:  # overlapping patches
                self.fusions.append(nn.Conv1d(options.widths[stage - 1], width, 3, 2, 1, bias=False))
            attends = [stage == 3 or (stage == 2 and number % 2 == 1) for number in range(depth)]
            blocks = [self._block(options, width, attention, sum(attends[:n])) for n, attention in enumerate(attends)]
            self.stages.append(nn.Sequential(*blocks))

    def _block(self, options: Options, width: int, attends: bool, before: int) -> Block:
        """A block of a stage; `before` counts the attention blocks before it, of which every other one is shifted."""
        if not attends:
            mixer: nn.Module = MultiScale(width, width, KERNELS, depthwise=True)
            if options.gate != "none":
                mixer = nn.Sequential(mixer, Gate(width, options.gate))
        elif options.attention == "modulation":
            mixer = ConvolutionalModulation(width)
        else:
            kind = "window" if options.attention == "shifted" and before % 2 == 0 else options.attention
            mixer = SelfAttention(width, options.attention_heads, kind)
        return Block(width, mixer, options.dropout, channels_first=not attends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.fusions[number - 1](x)
            x = stage(x.transpose(1, 2)).transpose(1, 2)
        return x[..., None]


class InceptionFormer(nn.Module):
    """Stages, mean over time, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = Stages(options, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.widths[-1], outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x.transpose(2, 3).flatten(1, 2)).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> InceptionFormer:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return InceptionFormer(options, inputs[0] * inputs[2], outputs)
