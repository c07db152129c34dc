"""Three stages of inverted multi-scale convolutions and attention of two kinds, for 12-lead ECGs.

After the authors' code: the later network of the notes on InceptionFormer. With the default options: 7,763,373
parameters for 12 leads and nine outputs. A block mixes channels and neighbouring frames by convolutions of four
lengths, then distant frames by attention, of which one half looks at every fifth frame and the other at averages over
five. The bands of a front end are channels of this network. Dropout, and the padding of lengths that are no multiple of
the window, are our choice.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.squeeze import Squeeze


class Options(BaseModel):
    """Sizes and dropout; the default sizes are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    depths: list[PositiveInt] = Field(default=[2, 3, 4], min_length=1, description="Blocks per stage.")
    widths: list[PositiveInt] = Field(default=[144, 216, 288], min_length=1, description="Channels of each stage.")
    windows: list[PositiveInt] = Field(
        default=[5, 5, 1],
        description="Of each stage: attention looks at every n-th frame, and at averages over n; 1: at every frame.",
    )
    kernels: list[PositiveInt] = Field(
        default=[3, 7, 11, 19],
        min_length=1,
        description="Lengths of a block's depth-wise convolutions, odd, each for an equal part of the channels.",
    )
    attention_heads: PositiveInt = Field(default=4, description="Heads, even: half of them for each kind of attention.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After every branch, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if not len(self.depths) == len(self.widths) == len(self.windows):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths and {len(self.windows)} windows")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise ValueError(f"kernels: {even[0]} has no middle; choose an odd number")
        if self.attention_heads % 2:
            raise ValueError(f"attention_heads: {self.attention_heads} is odd")
        if invalid := [width for width in self.widths if width % self.attention_heads]:
            raise ValueError(f"widths: {invalid[0]} is not a multiple of attention_heads")
        if invalid := [width for width in self.widths if 2 * width % len(self.kernels)]:
            raise ValueError(f"widths: twice {invalid[0]} is not a multiple of the number of kernels")
        return self


class MultiScale(nn.Module):
    """Depth-wise convolutions of several lengths: (batch, width, frames) keeps its shape."""

    def __init__(self, width: int, kernels: list[int]) -> None:
        super().__init__()
        part = width // len(kernels)
        self.branches = nn.ModuleList(nn.Conv1d(part, part, k, padding=k // 2, groups=part) for k in kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.chunk(len(self.branches), dim=1)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)


class Heads(nn.Module):
    """Attention with `outputs` channels in several heads; subclasses choose the frames of keys and values."""

    def __init__(self, width: int, outputs: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query = nn.Linear(width, outputs)
        self.key_value = nn.Linear(width, 2 * outputs)

    def _project(self, x: torch.Tensor, of_keys: torch.Tensor) -> list[torch.Tensor]:
        """Return queries, keys and values (batch, heads, frames, size)."""
        parts = (self.query(x), *self.key_value(of_keys).chunk(2, dim=2))
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]


class GridAttention(Heads):
    """Attention among the frames whose numbers leave the same remainder when divided by `window`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) to (batch, frames, outputs)."""
        frames, after = x.shape[1], -x.shape[1] % self.window
        mask = None
        if after:
            mask = torch.arange(frames + after, device=x.device).view(-1, 1, self.window).transpose(0, 2) < frames
            mask = mask | ~mask.any(dim=2, keepdim=True)  # frames that are all padding need an unmasked key
        q, k, v = (
            functional.pad(part, (0, 0, 0, after)).unflatten(2, (-1, self.window)).transpose(2, 3)
            for part in self._project(x, x)
        )
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (batch, heads, window, frames / window)
        return y.transpose(2, 3).flatten(2, 3)[:, :, :frames].transpose(1, 2).flatten(2)


class PooledAttention(Heads):
    """Attention to averages over `window` neighbouring frames."""

    def __init__(self, width: int, outputs: int, heads: int, window: int) -> None:
        super().__init__(width, outputs, heads, window)
        self.reduce = None
        if window > 1:
            self.reduce = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, frames, width) to (batch, frames, outputs)."""
        of_keys = x
        if self.reduce is not None:
            means = functional.avg_pool1d(x.transpose(1, 2), self.window, ceil_mode=True).transpose(1, 2)
            of_keys = self.reduce(means)
        return functional.scaled_dot_product_attention(*self._project(x, of_keys)).transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Inverted convolutions, attention of both kinds, and a feed-forward part, each with a residual sum."""

    def __init__(self, options: Options, width: int, window: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            nn.BatchNorm1d(width),
            *(nn.Conv1d(width, 2 * width, 1), nn.BatchNorm1d(2 * width), nn.GELU()),
            *(MultiScale(2 * width, options.kernels), nn.BatchNorm1d(2 * width), nn.GELU()),
            Squeeze(2 * width, 4, act=nn.GELU),
            *(nn.Conv1d(2 * width, width, 1), nn.BatchNorm1d(width)),
        )
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        half = (width // 2, options.attention_heads // 2, window)
        self.grid, self.pooled = GridAttention(width, *half), PooledAttention(width, *half)
        self.join = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.drop = StochasticDropout(options.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, frames) keeps its shape."""
        x = (x + self.drop(self.convolve(x))).transpose(1, 2)
        y = self.norm1(x)
        x = x + self.drop(self.join(torch.cat([self.grid(y), self.pooled(y)], dim=2)))
        return (x + self.drop(self.feed_forward(self.norm2(x)))).transpose(1, 2)


class Stages(nn.Module):
    """Stem and stages: (batch, channels, frames) to maps (batch, last width, frames / 2 a stage, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        before, layers = channels, []
        for stage, (depth, width) in enumerate(zip(options.depths, options.widths, strict=True)):
            layers.append(nn.Conv1d(before, width, 3, 2, 1))
            if stage == 0:
                layers.append(nn.BatchNorm1d(width))
            layers += [Block(options, width, options.windows[stage]) for _ in range(depth)]
            before = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)[..., None]


class MetaECGNet(nn.Module):
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


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MetaECGNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MetaECGNet(options, inputs[0] * inputs[2], outputs)
