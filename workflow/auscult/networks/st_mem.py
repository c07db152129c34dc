"""A transformer over patches within leads, which masked modelling of ECGs pre-trains (ST-MEM).

After the authors' code of Na et al. (ICLR 2024), by which each lead is cut into patches of its own; every token has the
position of its patch and the embedding of its lead, and stands between separators of its lead. The default sizes are
those of the published base model: 85,129,883 weights for 12 leads and 5 outputs, without its fixed positions, of which
the published count has 24,576 more. Published for 9 s at 250 Hz; 75 samples are a patch.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Encoder, rollout, sine_positions
from auscult.networks.layers.leads import chosen
from auscult.networks.layers.patches import Patches


class Options(BaseModel):
    """Sizes; the defaults are those of the published base model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    patch: PositiveInt = Field(default=75, description="Frames of a patch.")
    width: PositiveInt = Field(default=768, description="Dimensions of a token, even.")
    depth: PositiveInt = Field(default=12, description="Transformer blocks.")
    attention_heads: PositiveInt = 12
    leads: list[NonNegativeInt] | None = Field(
        default=None, min_length=1, description="Numbers of the channels that are read, from 0; default: all."
    )
    patch_norm: bool = Field(
        default=True, description="Normalise the values of each patch first, which hides a constant shift."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="After each block's two parts, and before the head.")

    @model_validator(mode="after")
    def _divides(self) -> Options:
        if self.width % self.attention_heads or self.width % 2:
            raise ValueError(f"width: {self.width} must be even and a multiple of attention_heads")
        return self


class STMEM(nn.Module):
    """Patches of the leads, blocks, mean over the patches, normalisation, dropout, one linear layer."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        channels, _, bands = inputs
        self.patch = options.patch
        self.leads = chosen(options.leads, channels)
        values, width = options.patch * bands, options.width
        self.embed = nn.Sequential(
            nn.LayerNorm(values) if options.patch_norm else nn.Identity(), nn.Linear(values, width), nn.LayerNorm(width)
        )
        self.separator = nn.Parameter(torch.zeros(width))
        self.lead_embeddings = nn.Parameter(torch.zeros(channels, width))
        self.blocks = Encoder(width, options.depth, options.attention_heads, 4, options.dropout)
        self.norm = nn.LayerNorm(width)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(width, outputs)
        for token in (self.separator, self.lead_embeddings):
            nn.init.normal_(token, std=0.02)

    def patched(self, x: torch.Tensor) -> Patches:
        """Patches of windows (batch, channels, frames, bands); a group per lead, with two separators."""
        x = functional.pad(x[:, self.leads], (0, 0, 0, (-x.shape[2]) % self.patch))
        values = x.unflatten(2, (-1, self.patch)).flatten(3)
        count, width = values.shape[2], self.separator.shape[0]
        leads = self.lead_embeddings[self.leads][:, None]
        tokens = self.embed(values) + sine_positions(count, width, x.device) + leads
        first = (self.separator + leads).expand(len(x), -1, 2, -1)
        return Patches(values, tokens, first)

    def _tokens(self, x: torch.Tensor) -> tuple[int, torch.Tensor]:
        """The number of separators, and all tokens (batch, separators and patches of all leads, width)."""
        patches = self.patched(x)
        separators = patches.first.flatten(1, 2)
        return separators.shape[1], torch.cat([separators, patches.tokens.flatten(1, 2)], dim=1)

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) through all blocks."""
        return self.norm(self.blocks(tokens))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, width)."""
        separators, tokens = self._tokens(x)
        latents = self.norm(self.blocks(tokens)[:, separators:].mean(dim=1))
        return self.head(self.drop(latents)), latents

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return how much all patches take from those of each time: (batch, patches of a lead, 1), for any output."""
        separators, tokens = self._tokens(x)
        shares = rollout(self.blocks.attend(tokens)[1])[:, separators:].mean(dim=1)
        return shares[:, separators:].unflatten(1, (len(self.leads), -1)).sum(dim=1)[..., None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> STMEM:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return STMEM(options, inputs, outputs)
