"""Fine and coarse tokens of an ECG in two transformers, each of which drops the tokens that its class token ignores.

After a public re-implementation (`hhhey-lw/db_ecgnet`) of Zhang, Lian et al. (2023, Knowledge-Based Systems, 111006).
Two convolutional blocks of several lengths serve both branches. Each branch embeds their maps in tokens, encodes them,
keeps the half with the most attention of the class token, and encodes these once more by the same layers. `extra_loss`
ties the branches to each other. The re-implementation has one batch normalisation for two different paths of a block;
here each path has its own. In it the selection is switched off; the order of kept tokens (by time), the layers whose
attention counts (from the target layer on, counted from 1) and the weight of the extra loss are our choice. A rate of
1e-4 with warm-up is advised. The bands of a front end are channels. 33,542,265 parameters for 12 leads, 1000 frames and
one output.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Encoder

KERNELS = (39, 19, 9)  # of the parallel convolutions of a block
MOMENTUM = 0.99  # of the attention that is summed up over layers


class Options(BaseModel):
    """Sizes, selection and extra loss; the default sizes are the re-implementation's.

    Lists of two are of the coarse and of the fine branch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveInt = Field(default=128, description="Channels of the convolutional blocks, a multiple of 4.")
    token_width: PositiveInt = Field(
        default=424, description="Dimensions of a token, half by each of the two convolutions that embed it."
    )
    kernels: list[tuple[PositiveInt, PositiveInt]] = Field(
        default=[(20, 40), (5, 100)],
        min_length=2,
        max_length=2,
        description="Frames that the two convolutions of a branch span; the first is also the step between tokens.",
    )
    depths: list[PositiveInt] = Field(default=[8, 5], min_length=2, max_length=2, description="Layers of the encoders.")
    targets: list[PositiveInt] = Field(
        default=[4, 3], min_length=2, max_length=2, description="First layer whose attention selects, counted from 1."
    )
    attention_heads: PositiveInt = 8
    ratio: PositiveInt = Field(default=4, description="Width of the feed-forward parts in widths of a token.")
    keep: float = Field(default=0.5, gt=0, le=1, description="Share of the tokens that are kept, at least one.")
    correlation: NonNegativeFloat = Field(
        default=0.1, description="Weight of the extra loss: 1 minus the correlation of the branches' class tokens."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.width % 4:
            raise ValueError(f"width: {self.width} is not a multiple of 4")
        if self.token_width % self.attention_heads or self.token_width % 2:
            raise ValueError(f"token_width: {self.token_width} must be even and a multiple of attention_heads")
        if short := [pair for pair in self.kernels if pair[1] < pair[0]]:
            raise ValueError(f"kernels: of {short[0]} the second must not be shorter than the first")
        if beyond := [a for a, b in zip(self.targets, self.depths, strict=True) if a > b]:
            raise ValueError(f"targets: there is no layer {beyond[0]}")
        return self


class Block(nn.Module):
    """Three convolutions, then parallel ones of several lengths: (batch, channels, frames) to (batch, width, frames).

    As in the re-implementation, nothing lies between the three.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        quarter = width // 4
        self.first = nn.Sequential(
            nn.Conv1d(channels, width, 7, padding=3),
            nn.Conv1d(width, 2 * width, 5, padding=2),
            nn.Conv1d(2 * width, width, 3, padding=1),
        )
        self.narrow = nn.Conv1d(width, quarter, 1)
        self.parallel = nn.ModuleList(nn.Conv1d(quarter, quarter, k, padding=k // 2) for k in KERNELS)
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(width, quarter, 1))
        self.norm = nn.BatchNorm1d(width)
        self.shortcut = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        narrow = self.narrow(x)
        parts = torch.cat([*(conv(narrow) for conv in self.parallel), self.pooled(x)], dim=1)
        return torch.relu(self.norm(parts) + self.shortcut(x))


class Branch(nn.Module):
    """Maps (batch, channels, frames) to a class token (batch, token width), by all tokens and then by the kept ones."""

    def __init__(self, options: Options, number: int, frames: int) -> None:
        super().__init__()
        width = options.token_width
        self.step, long = options.kernels[number]
        self.target, self.keep = options.targets[number], options.keep
        self.short = nn.Conv1d(options.width, width // 2, self.step, self.step)
        self.long = nn.Conv1d(options.width, width // 2, long, self.step)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + self.count(frames), width) * 0.02)
        self.encoder = Encoder(width, options.depths[number], options.attention_heads, options.ratio)

    def count(self, frames: int) -> int:
        """Return the number of tokens of maps with `frames` frames."""
        return 1 + max(0, frames - self.step) // self.step

    def embed(self, maps: torch.Tensor) -> torch.Tensor:
        """Return tokens (batch, 1 + count, width) with positions, of which the first is the class token."""
        maps = functional.pad(maps, (0, max(0, self.step - maps.shape[2])))
        beyond = self.long.kernel_size[0] - self.step
        tokens = torch.cat([self.short(maps), self.long(functional.pad(maps, (0, beyond)))], dim=1).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens + self.positions[:, : tokens.shape[1]]

    def select(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode tokens (batch, 1 + count, width) and select the others by the attention of the first.

        Returns the encoded tokens, the attention (batch, count) to each but the first, and which are kept (batch, kept)
        in order of time.
        """
        tokens, weights_of_layers = self.encoder.attend(tokens)
        attention = torch.zeros_like(weights_of_layers[0][:, :, 0, 1:])
        for weights in weights_of_layers[self.target - 1 :]:
            attention = MOMENTUM * attention + (1 - MOMENTUM) * weights[:, :, 0, 1:].detach()
        attention = attention.mean(dim=1)
        positions = attention.topk(max(1, int(self.keep * attention.shape[1]))).indices.sort(dim=1).values
        return tokens, attention, positions

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        tokens, _, positions = self.select(self.embed(maps))
        kept_tokens = tokens[:, 1:].gather(1, positions[..., None].expand(-1, -1, tokens.shape[2]))
        return self.encoder(torch.cat([tokens[:, :1], kept_tokens], dim=1))[:, 0]

    def attended(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the attention to the kept tokens with the sum 1, each divided among its frames: (batch, frames)."""
        _, attention, positions = self.select(self.embed(maps))
        weights = torch.zeros_like(attention).scatter(1, positions, attention.gather(1, positions))
        weights = weights / weights.sum(dim=1, keepdim=True)
        frames = (weights / self.step).repeat_interleave(self.step, dim=1)[:, : maps.shape[2]]
        return functional.pad(frames, (0, maps.shape[2] - frames.shape[1]))


class TokenSelection(nn.Module):
    """Convolutional blocks, two branches, their class tokens, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        channels, frames, bands = inputs
        self.correlation = options.correlation
        self.blocks = nn.Sequential(Block(channels * bands, options.width), Block(options.width, options.width))
        self.branches = nn.ModuleList(Branch(options, number, frames) for number in range(2))
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(2 * options.token_width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 2 x token width)."""
        maps = self.blocks(x.transpose(2, 3).flatten(1, 2))
        latents = torch.cat([branch(maps) for branch in self.branches], dim=1)
        return self.head(self.drop(latents)), latents

    def extra_loss(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean of 1 minus Pearson's correlation of both class tokens, of (batch, 2 x width)."""
        coarse, fine = (token - token.mean(dim=1, keepdim=True) for token in latents.chunk(2, dim=1))
        return self.correlation * (1 - functional.cosine_similarity(coarse, fine)).mean()

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the attention to the kept tokens, the mean of both branches: (batch, frames, 1), for any output."""
        maps = self.blocks(x.transpose(2, 3).flatten(1, 2))
        return torch.stack([branch.attended(maps) for branch in self.branches]).mean(dim=0)[..., None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> TokenSelection:
    """Return the network for inputs (channels, frames, bands); windows may be shorter, not longer."""
    return TokenSelection(options, inputs, outputs)
