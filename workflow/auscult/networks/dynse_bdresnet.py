"""DynSE-BDResNet as in its description: dropout that depends on depth, and gates over channels and positions.

A residual network with dropout p(depth) in stem, blocks and head, also active at inference. The branch of every block
has a channel gate (adaptive-kernel convolution over channels) followed by a spatial gate. `as_published` is the network
of the published code, which differs from the description: a squeeze-and-excitation gate alone and one constant dropout,
27,298,545 parameters for 3 input channels and one output.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from auscult.networks.layers.attention import (
    AdaptiveKernelAttention,
    PublishedSqueeze,
    SpatialAttention,
    SqueezeExcitation,
)
from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.residual import Residual, Sizes

CHANNEL_GATES = {"aka": AdaptiveKernelAttention, "se": SqueezeExcitation}


class Options(Sizes):
    """Sizes, and the parts of the network, each of which can be switched off for ablation."""

    channel: Literal["aka", "se", "none"] = Field(
        default="aka", description="Gate per channel: adaptive-kernel convolution, squeeze and excitation, or none."
    )
    spatial: bool = Field(default=True, description="Gate per position, after the one per channel.")
    dropout: Literal["scheduled", "constant", "off"] = Field(
        default="scheduled", description="Dropout that grows with depth, the same everywhere, or none."
    )
    dropout_mean: float = Field(default=0.3, ge=0, lt=1, description="Mean of dropout over stem, blocks and head.")
    dropout_slope: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="`scheduled`: from mean x (1 - slope) in the stem to mean x (1 + slope) before the head, linearly.",
    )
    drop: Literal["elements", "channels"] = Field(
        default="elements", description="What dropout drops; entire channels are much cheaper on a CPU."
    )
    as_published: bool = Field(
        default=False,
        description="The network of the published code: an SE gate that starts at 0.5, no dropout in the stem.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Options:
        if self.dropout == "scheduled" and self.dropout_mean * (1 + self.dropout_slope) >= 1:
            raise ValueError("dropout_slope: the dropout before the head would reach 1; lower it or dropout_mean")
        changeable_keys = {"channel", "spatial", "dropout", "dropout_slope"} & self.model_fields_set
        changed_keys = sorted(key for key in changeable_keys if getattr(self, key) != Options.model_fields[key].default)
        if self.as_published and changed_keys:
            raise ValueError(f"as_published: fixes {', '.join(changed_keys)}; leave them out")
        return self

    def rates(self) -> list[float]:
        """Return the dropout of the stem, of each block, and before the head."""
        places = sum(self.depths) + 2
        if self.as_published:
            return [0.0, *[self.dropout_mean] * (places - 1)]
        if self.dropout == "off":
            return [0.0] * places
        slope = self.dropout_slope if self.dropout == "scheduled" else 0.0
        return [self.dropout_mean * (1 + slope * (2 * place / (places - 1) - 1)) for place in range(places)]


class DynSEBDResNet(nn.Module):
    """Gated residual maps, global mean, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        rates = options.rates()

        def drop(place: int) -> nn.Module:
            return StochasticDropout(rates[place], options.drop == "channels")

        def gate(channels: int) -> nn.Module:
            if options.as_published:
                return PublishedSqueeze(channels)
            gates = [] if options.channel == "none" else [CHANNEL_GATES[options.channel](channels)]
            return nn.Sequential(*gates, *([SpatialAttention()] if options.spatial else []))

        self.maps = Residual(options, channels, drop, gate)
        self.drop = StochasticDropout(rates[-1])
        self.head = nn.Linear(options.latents(), outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> DynSEBDResNet:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return DynSEBDResNet(options, inputs[0], outputs)


def load_pretrained(network: DynSEBDResNet, weights: dict[str, torch.Tensor]) -> None:
    """Load torchvision's ResNet weights (ImageNet); gates and head keep their initial weights. Raises ValueError."""
    network.maps.load_image_weights(weights)
