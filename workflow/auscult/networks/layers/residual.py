"""Residual networks of any depth and width: stem and stages of blocks, with dropout and gates as parameters.

Modules have the names of torchvision's ResNet, so that its weights fit without renaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn

from auscult.networks.layers.weights import refuse_misfits

Kind = Literal["bottleneck", "basic"]
EXPANSION = {"bottleneck": 4, "basic": 1}


class Sizes(BaseModel):
    """Sizes of a residual network; the defaults are ResNet-50's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    block: Kind = "bottleneck"
    depths: list[PositiveInt] = Field(default=[3, 4, 6, 3], min_length=1, description="Blocks per stage.")
    widths: list[PositiveInt] = Field(default=[64, 128, 256, 512], min_length=1, description="Channels per stage.")
    stem_kernel: int = Field(default=7, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_pool: bool = Field(default=True, description="Max-pool 3x3, stride 2, after the stem.")

    @model_validator(mode="after")
    def _one_width_per_stage(self) -> Sizes:
        if len(self.depths) != len(self.widths):
            raise ValueError(f"{len(self.depths)} depths for {len(self.widths)} widths")
        return self

    def latents(self) -> int:
        """Return the number of channels after the last block."""
        return EXPANSION[self.block] * self.widths[-1]


class Block(nn.Module):
    """Convolutions with dropout after each activation; the gate acts on the branch before the sum."""

    def __init__(
        self,
        kind: Kind,
        channels: int,
        width: int,
        stride: int | tuple[int, int],
        drop: nn.Module,
        gate: nn.Module,
    ) -> None:
        super().__init__()
        out_channels = EXPANSION[kind] * width
        shapes = {
            "bottleneck": [(channels, width, 1, 1), (width, width, 3, stride), (width, out_channels, 1, 1)],
            "basic": [(channels, width, 3, stride), (width, out_channels, 3, 1)],
        }[kind]
        self.steps = len(shapes)
        for number, (before, after, kernel, step) in enumerate(shapes, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        self.downsample = None
        if stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        self.relu = nn.ReLU(inplace=True)
        self.drop = drop
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bands) to (batch, channels out, frames / stride, bands / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        for number in range(1, self.steps + 1):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            if number < self.steps:
                x = self.drop(self.relu(x))
        return self.drop(self.relu(self.gate(x) + shortcut))


class Residual(nn.Module):
    """Stem and stages: (batch, channels, frames, bands) to maps (batch, `latents`, fewer frames, fewer bands).

    `drop(place)` and `gate(channels)` return the dropout and the gate of a block. `place` is 0 for the stem and the
    number of the block, from 1, for the others. The stages are `layer1`, `layer2` and so on.
    """

    def __init__(
        self, sizes: Sizes, channels: int, drop: Callable[[int], nn.Module], gate: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        width, kernel = sizes.widths[0], sizes.stem_kernel
        self.conv1 = nn.Conv2d(channels, width, kernel, sizes.stem_stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if sizes.stem_pool else nn.Identity()
        self.drop = drop(0)
        before, place = width, 0
        for stage, (depth, width) in enumerate(zip(sizes.depths, sizes.widths, strict=True), start=1):
            blocks = []
            for number in range(depth):
                place += 1
                after = EXPANSION[sizes.block] * width
                stride = 2 if stage > 1 and number == 0 else 1
                blocks.append(Block(sizes.block, before, width, stride, drop(place), gate(after)))
                before = after
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.stages = len(sizes.depths)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and ".gate." not in name:  # gates have their own initialisation
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The numbers of frames and bands may vary."""
        x = self.drop(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return x

    def load_image_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Load the weights of torchvision's ResNet of the same sizes; gates keep theirs. Raises ValueError.

        `weights` must contain every other weight in its shape, and nothing else but the classifier `fc`. For one input
        channel, the first filters are summed over the three image channels, which is equivalent to an input of three
        equal channels.
        """
        backbone_weights = {key: value for key, value in weights.items() if not key.startswith("fc.")}
        if "conv1.weight" in backbone_weights and self.conv1.in_channels == 1:
            backbone_weights["conv1.weight"] = backbone_weights["conv1.weight"].sum(dim=1, keepdim=True)
        expected = {key: value for key, value in self.state_dict().items() if ".gate." not in key}
        refuse_misfits(backbone_weights, expected)
        self.load_state_dict(backbone_weights, strict=False)
