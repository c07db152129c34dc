"""An encoder of single frames and a recurrent context, which contrastive predictive coding pre-trains.

After the authors' code of Mehari and Strodthoff 2022 (Computers in Biology and Medicine 141, 105114), who pre-train it
on 12-lead ECGs. The published encoder maps each sample by itself, because 100 Hz is coarse beside audio;
`encoder: convolutions` has four convolutions of stride 2 instead. The channels and bands of a front end are values of a
frame, so that log-mel frames can be read as ECG samples are. With the method `cpc` the pre-training has 5,261,312
weights for 12 leads (7,675,904 with convolutions).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout

# kernels of the convolutions; each has stride 2
KERNELS = (10, 4, 4, 4)


class Options(BaseModel):
    """Sizes; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoder: Literal["frames", "convolutions"] = Field(
        default="frames", description="Four layers of each frame by itself, or four convolutions of stride 2."
    )
    width: PositiveInt = Field(default=512, description="Channels of the encoder.")
    hidden: PositiveInt = Field(default=512, description="Units of the context's recurrent layers.")
    layers: PositiveInt = Field(default=2, description="Recurrent layers, forward in time.")
    head: Literal["linear", "hidden"] = Field(
        default="hidden", description="One linear layer, or one more with normalisation and dropout before it."
    )
    head_width: PositiveInt = Field(default=512, description="Units of the head's hidden layer.")
    dropout: float = Field(default=0.25, ge=0, lt=0.5, description="Before the hidden layer; twice this after it.")


class Encoder(nn.Sequential):
    """(batch, values, frames) to (batch, width, frames), or a sixteenth of the frames with convolutions."""

    def __init__(self, options: Options, values: int) -> None:
        layers: list[nn.Module] = []
        for kernel in KERNELS:
            if options.encoder == "frames":
                layers.append(nn.Conv1d(values, options.width, 1, bias=False))
            else:
                layers.append(nn.Conv1d(values, options.width, kernel, 2, (kernel - 1) // 2 + 1, bias=False))
            layers += [nn.BatchNorm1d(options.width), nn.ReLU()]
            values = options.width
        super().__init__(*layers)


class CPC(nn.Module):
    """Encoder, context; the context's mean, maximum and last state over time; head."""

    def __init__(self, options: Options, inputs: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(options, inputs[0] * inputs[2])
        self.recurrent = nn.LSTM(options.width, options.hidden, options.layers, batch_first=True)
        latents = 3 * options.hidden
        if options.head == "linear":
            self.head: nn.Module = nn.Linear(latents, outputs)
        else:
            self.head = nn.Sequential(
                nn.BatchNorm1d(latents),
                StochasticDropout(options.dropout),
                nn.Linear(latents, options.head_width),
                nn.ReLU(),
                nn.BatchNorm1d(options.head_width),
                StochasticDropout(2 * options.dropout),
                nn.Linear(options.head_width, outputs),
            )

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to codes (batch, frames, width), with convolutions of fewer frames."""
        return self.encoder(x.transpose(2, 3).flatten(1, 2)).transpose(1, 2)

    def context(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes to contexts (batch, frames, hidden); each depends on no later code."""
        return self.recurrent(codes)[0]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 3 × hidden)."""
        context = self.context(self.encode(x))
        latents = torch.cat([context.mean(dim=1), context.amax(dim=1), context[:, -1]], dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> CPC:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return CPC(options, inputs, outputs)
