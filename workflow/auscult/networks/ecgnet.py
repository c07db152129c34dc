"""ECGNet: a deep residual network along time beside an LSTM over the samples (Murugesan et al. 2018).

After a public re-implementation (`models/baseline/ecgnet.py` of hhhey-lw/db_ecgnet) of "ECGNet: deep network for
arrhythmia classification" (MeMeA 2018), which was made for beats of 2 s. 7.41 million parameters for 12 leads. Other
networks of this name find R peaks, or age and sex.

The bands of a front end are channels of this network. Our choice: `lstm_step`.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout

STEM = (15, 17, 19, 21)  # lengths of the first convolutions, all of the same number of channels
KERNEL = 17  # length of all later convolutions
WIDENING = 4  # every fourth block adds channels and halves the frames


class Options(BaseModel):
    """Sizes and dropout; the defaults are those of the re-implementation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    filters: PositiveInt = Field(default=16, description="Channels of each of the four first convolutions.")
    depth: PositiveInt = Field(default=15, description="Residual blocks.")
    growth: PositiveInt = Field(default=32, description="Channels that every fourth block adds.")
    features: PositiveInt = Field(default=640, description="Of the convolutions, beside the LSTM's.")
    lstm: PositiveInt = Field(default=40, description="Units of the LSTM.")
    lstm_step: PositiveInt = Field(
        default=1, description="Frames that are averaged for one step of the LSTM, which is slow over many steps."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before each convolution of a block.")


class Block(nn.Module):
    """Two convolutions and a residual sum: (batch, channels, frames), or (batch, width, frames / 2) if it widens."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (channels, width):
            layers += [nn.BatchNorm1d(before), nn.ReLU(), StochasticDropout(dropout)]
            layers.append(nn.Conv1d(before, width, KERNEL, padding=KERNEL // 2, bias=False))
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Conv1d(channels, width, 1) if width != channels else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.layers(x)
        if self.shortcut is None:
            return x + change
        return self.shortcut(_halved(x)) + _halved(change)


def _halved(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool1d(x, 2, ceil_mode=x.shape[2] == 1)  # a single frame is kept


class Maps(nn.Module):
    """(batch, channels, frames) to maps (batch, width, fewer frames, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        width = len(STEM) * options.filters
        self.stem = nn.ModuleList(nn.Conv1d(channels, options.filters, size, padding=size // 2) for size in STEM)
        layers: list[nn.Module] = [nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, KERNEL, 2, KERNEL // 2)]
        for number in range(1, options.depth + 1):
            before, width = width, width + (options.growth if number % WIDENING == 0 else 0)
            layers.append(Block(before, width, options.dropout))
        self.layers = nn.Sequential(*layers, nn.BatchNorm1d(width), nn.ReLU())
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([convolution(x) for convolution in self.stem], dim=1))[..., None]


class ECGNet(nn.Module):
    """The mean of the maps through a linear layer, beside the last state of the LSTM; one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = Maps(options, channels)
        self.features = nn.Linear(self.maps.width, options.features)
        self.lstm = nn.LSTM(channels, options.lstm, batch_first=True)
        self.lstm_step = options.lstm_step
        self.head = nn.Linear(options.features + options.lstm, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, features + LSTM units)."""
        x = x.transpose(2, 3).flatten(1, 2)
        steps = functional.avg_pool1d(x, self.lstm_step, ceil_mode=True)
        state = self.lstm(steps.transpose(1, 2))[0][:, -1]
        latents = torch.cat([self.features(self.maps(x).mean(dim=(2, 3))), state], dim=1)
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> ECGNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return ECGNet(options, inputs[0] * inputs[2], outputs)
