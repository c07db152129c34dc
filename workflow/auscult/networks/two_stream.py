"""Two networks on the same leads, one along time and one over spectrograms, with a common head."""

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from auscult.networks import resnet1d, spectral_resnet
from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes of both streams."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    time: resnet1d.Options = Field(
        default=resnet1d.Options(depths=[3, 4, 6, 3]), description="Options of `resnet1d`; its head is not used."
    )
    frequency: spectral_resnet.Options = Field(
        default=spectral_resnet.Options(depths=[3, 4, 6, 3]),
        description="Options of `spectral_resnet`; its head is not used.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the head.")

    @model_validator(mode="after")
    def _all_leads(self) -> "Options":
        if self.time.leads is not None:
            raise ValueError("time.leads: both streams read all channels")
        return self


class TwoStream(nn.Module):
    """The maps of both networks, their concatenated means, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.time = resnet1d.Residual1d(options.time, channels)
        self.frequency = spectral_resnet.SpectralMaps(options.frequency, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.time.widths[-1] + options.frequency.latents(), outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, both widths)."""
        along = self.time(x.transpose(2, 3).flatten(1, 2)).mean(dim=(2, 3))
        latents = torch.cat([along, self.frequency(x).mean(dim=(2, 3))], dim=1)
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> TwoStream:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return TwoStream(options, inputs[0] * inputs[2], outputs)
