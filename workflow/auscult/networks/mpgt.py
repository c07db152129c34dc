"""A fine and a coarse view of a signal, and gates by which the fine one enters the coarse one.

After the idea of Zhou et al. (2022, ACML, PMLR 189, multi-scale progressive gated transformer, "MPGT"): one extractor
for the local waveform, one for the trend; stages of attention, feed-forward, convolutional and feed-forward parts for
each; after each stage the fine branch is gated into the coarse one. The published sizes are not known: all sizes, the
linear resampling of the fine branch and the mean over the coarse one are our choice. The bands of a front end are
channels. 2,104,065 parameters for 12 leads and one output.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Layer, feed_forward, rollout


class Options(BaseModel):
    """Sizes and gate; the sizes are our choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveInt = Field(default=128, description="Dimensions of a token; the first convolutions have half.")
    depth: PositiveInt = Field(default=3, description="Stages.")
    attention_heads: PositiveInt = 4
    gate: Literal["sigmoid_of_tanh", "sigmoid"] = Field(
        default="sigmoid_of_tanh",
        description="Of the fine branch: `sigmoid_of_tanh`, as published, lies between 0.269 and 0.731 and so neither "
        "shuts nor opens; `sigmoid` does.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="After each part of a stage, and before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.width % self.attention_heads or self.width % 2:
            raise ValueError(f"width: {self.width} must be even and a multiple of attention_heads")
        return self


def extractor(channels: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    """Return two convolutions, each with pooling: (batch, channels, frames) to (batch, width, frames / 9 / stride)."""
    return nn.Sequential(
        nn.Conv1d(channels, width // 2, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm1d(width // 2),
        nn.ReLU(inplace=True),
        nn.MaxPool1d(3, ceil_mode=True),
        nn.Conv1d(width // 2, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.AvgPool1d(3, ceil_mode=True),
    )


class Stage(nn.Module):
    """Attention, feed-forward, convolutional and feed-forward parts, all with normalisation and a residual sum."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = Layer(width, heads, 2, dropout)
        self.norm = nn.LayerNorm(width)
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 3, padding=2, dilation=2),
            nn.ReLU(inplace=True),
        )
        self.feed_forward = feed_forward(width, 2)
        self.drop = StochasticDropout(dropout)

    def attend(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (batch, tokens, width) in its shape, and the weights (batch, heads, tokens, tokens) of attention."""
        x, weights = self.layer.attend(x)
        return self._after_attention(x), weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) keeps its shape."""
        return self._after_attention(self.layer(x))

    def _after_attention(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.convolutions(self.norm(x).transpose(1, 2)).transpose(1, 2))
        return x + self.drop(self.feed_forward(x))


class Fusion(nn.Module):
    """Adds the fine branch, at the coarse one's length and times a gate, to the coarse one."""

    def __init__(self, width: int, gate: str) -> None:
        super().__init__()
        self.score, self.is_bounded = nn.Linear(width, width), gate == "sigmoid_of_tanh"

    def gate(self, fine: torch.Tensor) -> torch.Tensor:
        """Return numbers in (0, 1) in the shape (batch, tokens, width) of the fine branch."""
        score = self.score(fine)
        return torch.sigmoid(torch.tanh(score) if self.is_bounded else score)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) of both branches, in the shape of the coarse one."""
        shorter = functional.interpolate(fine.transpose(1, 2), coarse.shape[1], mode="linear").transpose(1, 2)
        return shorter * self.gate(shorter) + coarse


class MPGT(nn.Module):
    """Two extractors, stages with fusions, the mean of the coarse branch, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.width
        self.fine, self.coarse = extractor(channels, width, 5, 1), extractor(channels, width, 25, 2)
        self.fine_stages, self.coarse_stages = (
            nn.ModuleList(Stage(width, options.attention_heads, options.dropout) for _ in range(options.depth))
            for _ in range(2)
        )
        self.fusions = nn.ModuleList(Fusion(width, options.gate) for _ in range(options.depth))
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, width)."""
        fine, coarse = self._views(x)
        for fine_stage, coarse_stage, fusion in zip(self.fine_stages, self.coarse_stages, self.fusions, strict=True):
            fine = fine_stage(fine)
            coarse = fusion(fine, coarse_stage(coarse))
        latents = coarse.mean(dim=1)
        return self.head(self.drop(latents)), latents

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention of the coarse branch to each of its tokens: (batch, tokens, 1), for any output.

        It is followed through the stages; what their convolutions and the fine branch add is not shown.
        """
        fine, coarse = self._views(x)
        weights_of_stages = []
        for fine_stage, coarse_stage, fusion in zip(self.fine_stages, self.coarse_stages, self.fusions, strict=True):
            fine = fine_stage(fine)
            coarse, weights = coarse_stage.attend(coarse)
            coarse = fusion(fine, coarse)
            weights_of_stages.append(weights)
        return rollout(weights_of_stages).mean(dim=1)[..., None]

    def _views(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens (batch, tokens, width) of the fine and of the coarse branch."""
        x = x.transpose(2, 3).flatten(1, 2)
        return self.fine(x).transpose(1, 2), self.coarse(x).transpose(1, 2)


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MPGT:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MPGT(options, inputs[0] * inputs[2], outputs)
