"""MVMS-Net: one multi-scale network for each view of the heart, fused by a weight per view (Yang, Lian et al. 2023).

After the authors' code (ysxGitHub/MVMS-net) of "A multi-view multi-scale neural network for multi-label ECG
classification" (IEEE Transactions on Emerging Topics in Computational Intelligence 2023). The views of 12 leads are
those of the heart's walls: aVR; I and aVL; V1 and V2; V3 and V4; V5 and V6; II, III and aVF. 2.24 million parameters.
With `views: one` it is the published single-view student, whose only view has all leads: 0.39 million.

Our choice: the convolutions are padded, so that windows of any length fit; views of other numbers of channels; `leads`
and `hierarchical`. The bands of a front end are further channels of its view.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.coordinate import CoordinateAttention
from auscult.networks.layers.leads import chosen

STEM = 25  # frames of the first convolution
PARTS = 4  # of the channels inside a block
# of the leads I, II, III, aVR, aVL, aVF, V1 to V6
WALLS = [[3], [0, 4], [6, 7], [8, 9], [10, 11], [1, 2, 5]]
Channels = Annotated[list[NonNegativeInt], Field(min_length=1)]


class Options(BaseModel):
    """Sizes, views and the form of the blocks; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    leads: Channels | None = Field(
        default=None, description="Numbers of the input channels that the network uses, from 0; default: all."
    )
    views: Literal["walls", "one"] | Annotated[list[Channels], Field(min_length=1)] = Field(
        default="walls",
        description="`walls`: the six views of 12 leads in the order I, II, III, aVR, aVL, aVF, V1 to V6; of up to "
        "three channels each is a view, of other numbers each two neighbours. `one`: all channels in one view. Or a "
        "list of views, each a list of input channels, from 0.",
    )
    widths: tuple[PositiveInt, PositiveInt] = Field(
        default=(64, 128), description="Channels of a view after the first convolution, and of its two blocks."
    )
    kernel: PositiveInt = Field(default=15, description="Length of the convolutions in a block, odd.")
    hierarchical: bool = Field(
        default=False,
        description="Each part of a block also gets the part before it, as in Res2Net. The published code does not.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel: {self.kernel} has no middle; choose an odd number")
        if self.leads is not None and not isinstance(self.views, str):
            raise ValueError("leads: a list of views chooses the channels itself")
        return self

    def channels_of_views(self, channels: int) -> list[list[int]]:
        """Return the input channels of each view. Raises ValueError if there are fewer channels than they need."""
        leads = chosen(self.leads, channels)
        if not isinstance(self.views, str):
            views = self.views
        elif self.views == "one":
            views = [leads]
        elif len(leads) == 12:
            views = [[leads[number] for number in wall] for wall in WALLS]
        else:
            size = 1 if len(leads) <= 3 else 2
            views = [leads[first : first + size] for first in range(0, len(leads), size)]
        if (largest := max(max(view) for view in views)) >= channels:
            raise ValueError(f"there is no channel {largest}: the input has {channels}, numbered from 0")
        return views


class Block(nn.Module):
    """Convolutions of parts of the channels at half the frames: (batch, channels, frames) to (batch, width, half).

    The last part is only averaged, so that a convolution of the parts together sees two lengths; if `hierarchical`,
    each part also has the part before it.
    """

    def __init__(self, channels: int, width: int, kernel: int, hierarchical: bool) -> None:
        super().__init__()
        size = max(1, width * 26 // 64)
        self.hierarchical = hierarchical
        # activation before normalisation, as published
        self.widen = nn.Sequential(
            nn.Conv1d(channels, PARTS * size, 1, bias=False), nn.Mish(), nn.BatchNorm1d(PARTS * size)
        )
        stride = 1 if hierarchical else 2
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(size, size, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(size), nn.Mish()
            )
            for _ in range(PARTS - 1)
        )
        self.narrow = nn.Sequential(nn.Conv1d(PARTS * size, width, 1, bias=False), nn.BatchNorm1d(width))
        self.gate = CoordinateAttention(width)
        self.shortcut = nn.Sequential(nn.Conv1d(channels, width, 1, 2), nn.BatchNorm1d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *parts, last = self.widen(x).chunk(PARTS, dim=1)
        outputs: list[torch.Tensor] = []
        for convolution, part in zip(self.convolutions, parts, strict=True):
            if self.hierarchical:
                part = _halved(part) + (outputs[-1] if outputs else 0)
            outputs.append(convolution(part))
        features = self.gate(self.narrow(torch.cat([*outputs, _halved(last)], dim=1)))
        return functional.mish(features + self.shortcut(x))


def _halved(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool1d(x, 3, 2, 1)


class View(nn.Sequential):
    """The network of one view: (batch, channels, frames) to (batch, width, frames / 4)."""

    def __init__(self, options: Options, channels: int) -> None:
        first, width = options.widths
        super().__init__(
            nn.Conv1d(channels, first, STEM, padding=STEM // 2, bias=False),
            nn.BatchNorm1d(first),
            nn.Mish(),
            Block(first, width, options.kernel, options.hierarchical),
            Block(width, width, options.kernel, options.hierarchical),
        )


class Maps(nn.Module):
    """(batch, channels, frames, bands) to the maps of all views (batch, views times width, frames / 4, 1)."""

    def __init__(self, options: Options, channels_of_views: list[list[int]], bands: int) -> None:
        super().__init__()
        self.channels_of_views = channels_of_views
        self.views = nn.ModuleList(View(options, len(channels) * bands) for channels in channels_of_views)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(2, 3)
        pairs = zip(self.views, self.channels_of_views, strict=True)
        return torch.cat([view(x[:, channels].flatten(1, 2)) for view, channels in pairs], dim=1)[..., None]


class Fusion(nn.Module):
    """The sum of the views' means, each times its own number in (0, 1): (batch, views, width) to (batch, width)."""

    def __init__(self, views: int, width: int) -> None:
        super().__init__()
        self.weigh = nn.ModuleList(nn.Linear(width, 1) for _ in range(views))

    def weights(self, means: torch.Tensor) -> torch.Tensor:
        """Return (batch, views, 1)."""
        scores = [weigh(mean) for weigh, mean in zip(self.weigh, means.unbind(dim=1), strict=True)]
        return torch.sigmoid(torch.stack(scores, dim=1))

    def forward(self, means: torch.Tensor) -> torch.Tensor:
        return (self.weights(means) * means).sum(dim=1)


class MVMSNet(nn.Module):
    """Maps, mean over time, fusion of several views, one linear layer."""

    def __init__(self, options: Options, channels_of_views: list[list[int]], bands: int, outputs: int) -> None:
        super().__init__()
        views, width = len(channels_of_views), options.widths[1]
        self.maps = Maps(options, channels_of_views, bands)
        self.fusion = Fusion(views, width) if views > 1 else nn.Flatten()  # of one view there is nothing to weigh
        self.head = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        means = self.maps(x).mean(dim=(2, 3))
        latents = self.fusion(means.unflatten(1, (-1, self.head.in_features)))
        return self.head(latents), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MVMSNet:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MVMSNet(options, options.channels_of_views(inputs[0]), inputs[2], outputs)
