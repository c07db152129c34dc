"""Attention over the frames of all recordings of a case, each with its site: for vectors of an encoder.

Frames have no order, so that recordings may come in any order. The channels of the front end are values of a frame.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.encoder import Encoder

READS_CASES = True


class Options(BaseModel):
    """Sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    width: PositiveInt = Field(default=64, description="Values of a token.")
    depth: PositiveInt = Field(default=1, description="Layers of attention.")
    attention_heads: PositiveInt = Field(default=4, description="Heads of each layer; they divide the width.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Of tokens, and of what a layer adds to them.")
    frames_left_out: float = Field(
        default=0.2, ge=0, lt=1, description="Share of the frames that no token attends to, drawn anew in each pass."
    )

    @model_validator(mode="after")
    def _whole_heads(self) -> Options:
        if self.width % self.attention_heads:
            raise ValueError("width must be a multiple of attention_heads")
        return self


class CaseAttention(nn.Module):
    """Batch normalisation, a token per frame and one for the case, layers of attention, one linear layer.

    Marks are not normalised: one that all training frames have would become huge in a frame without it.
    """

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int, marks: int) -> None:
        super().__init__()
        self.marks, values = marks, inputs[0] * (inputs[2] - marks)
        self.norm_of_values = nn.BatchNorm1d(values)
        self.embed = nn.Linear(values + marks - 1, options.width)
        self.case_token = nn.Parameter(torch.zeros(options.width))
        nn.init.trunc_normal_(self.case_token, std=0.02)
        self.drop_tokens = StochasticDropout(options.dropout)
        self.leave_out = StochasticDropout(options.frames_left_out)
        self.encoder = Encoder(options.width, options.depth, options.attention_heads, 2, options.dropout)
        self.last_norm = nn.LayerNorm(options.width)
        self.head = nn.Linear(options.width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, values) to logits (batch, outputs) and latents (batch, width).

        The last value of a frame is 1, or 0 in the padding; the other marks stand before it.
        """
        is_frame = x[:, 0, :, -1] > 0.5
        values, sites = x[..., : -self.marks].transpose(1, 2).flatten(2), x[:, 0, :, -self.marks : -1]
        unit_values = torch.zeros_like(values)
        if is_frame.sum() > 1 or not self.training:  # batch statistics need two frames
            unit_values[is_frame] = self.norm_of_values(values[is_frame]).to(values.dtype)
        tokens = self.drop_tokens(self.embed(torch.cat([unit_values, sites], dim=2)))
        is_read = is_frame & (self.leave_out(torch.ones_like(is_frame, dtype=x.dtype)) > 0)
        tokens = torch.cat([self.case_token.expand(len(x), 1, -1), tokens], dim=1)
        is_read = functional.pad(is_read, (1, 0), value=True)
        latents = self.last_norm(self.encoder(tokens, is_read)[:, 0])
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int, marks: int) -> CaseAttention:
    """Return the network for inputs (channels, frames, values) of which the last ones are marks."""
    return CaseAttention(options, inputs, outputs, marks)
