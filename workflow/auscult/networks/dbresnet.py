"""DBResNet: a residual network whose dropout stays on at inference (Walker et al. 2022, PathToMyHeart).

With the default options it is the published ResNet-50 (v1.5): 23,510,081 parameters for 3 input channels and one
output. It has 49 dropout positions: after each activation of a block, and before the head. Smaller widths, fewer blocks
and `block: basic` make it small.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.residual import Residual, Sizes


class Options(Sizes):
    """Sizes and dropout."""

    dropout: float = Field(default=0.3, ge=0, lt=1)
    drop: Literal["elements", "channels"] = Field(
        default="elements", description="What dropout drops; entire channels are much cheaper on a CPU."
    )


class DBResNet(nn.Module):
    """Residual maps, global mean, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()

        def drop(place: int) -> nn.Module:
            return StochasticDropout(options.dropout, options.drop == "channels") if place else nn.Identity()

        self.maps = Residual(options, channels, drop, lambda channels: nn.Identity())
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.latents(), outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        latents = self.maps(x).mean(dim=(2, 3))
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> DBResNet:
    """Return the network for inputs (channels, frames, bands); their numbers of frames and bands may vary."""
    return DBResNet(options, inputs[0], outputs)


def load_pretrained(network: DBResNet, weights: dict[str, torch.Tensor]) -> None:
    """Load torchvision's ResNet weights (ImageNet); the head keeps its initial weights. Raises ValueError."""
    network.maps.load_image_weights(weights)
