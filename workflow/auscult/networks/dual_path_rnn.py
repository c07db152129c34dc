"""Recurrent layers along and across the segments of a recording, for rhythms in long windows.

After the idea of "Single-lead ECG recordings modeling for end-to-end recognition of atrial fibrillation with dual-path
RNN" (2022, Biomedical Signal Processing and Control). The dual-path network itself follows the authors of the method
(Luo et al. 2020, speech separation) with a correct overlap-add; the convolution before it, its sizes and the pooling
after it are our choice. The segments should have about the root of twice the frames after that convolution, so that
both paths see as many steps. The bands of a front end are channels. 2,590,978 parameters for 12 leads and one output.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout
from auscult.networks.layers.segments import cut, overlap_add


class Options(BaseModel):
    """Sizes; width, hidden units and depth are those published for speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kernel: PositiveInt = Field(default=5, description="Length of the first convolution, odd.")
    stride: PositiveInt = Field(default=2, description="Step of the first convolution.")
    width: PositiveInt = Field(default=64, description="Channels.")
    hidden: PositiveInt = Field(default=128, description="Units of a recurrent layer in each direction.")
    depth: PositiveInt = Field(default=6, description="Blocks of a path along segments and one across them.")
    segment: PositiveInt = Field(default=40, description="Frames of a segment, even; neighbours overlap by half.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.segment % 2:
            raise ValueError(f"segment: {self.segment} is not even")
        if self.kernel % 2 == 0:
            raise ValueError(f"a kernel of {self.kernel} has no middle; choose an odd number")
        return self


def twice(x: torch.Tensor, length: int) -> torch.Tensor:
    """Return segments (batch, channels, segments, length) of (batch, channels, frames), with every frame in two."""
    return cut(functional.pad(x, (length // 2, length // 2)), length)


def mean_of_two(segments: torch.Tensor, frames: int) -> torch.Tensor:
    """Return (batch, channels, frames), each frame the mean of the two segments that it is in: undoes `twice`."""
    half = segments.shape[3] // 2
    return overlap_add(segments)[..., half : half + frames] / 2


class Path(nn.Module):
    """A recurrent layer along the last axis, a linear layer, normalisation and a residual sum."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.proj = nn.Linear(2 * hidden, width)
        self.norm: nn.Module = nn.GroupNorm(1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, rows, steps) keeps its shape; each row is a sequence."""
        rows = x.permute(0, 2, 3, 1)
        change = self.proj(self.recurrent(rows.flatten(0, 1))[0]).unflatten(0, rows.shape[:2])
        return x + self.norm(change.permute(0, 3, 1, 2))


class Block(nn.Module):
    """A path along each segment, then one across the segments, at each of their places."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.along, self.across = Path(width, hidden), Path(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, segments, length) keeps its shape."""
        return self.across(self.along(x).transpose(2, 3)).transpose(2, 3)


class DualPath(nn.Module):
    """Convolution and blocks: (batch, channels, frames) to maps (batch, width, frames / stride, 1)."""

    def __init__(self, options: Options, channels: int) -> None:
        super().__init__()
        width = options.width
        self.segment = options.segment
        self.stem = nn.Sequential(
            nn.Conv1d(channels, width, options.kernel, options.stride, options.kernel // 2), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*(Block(width, options.hidden) for _ in range(options.depth)))
        self.last = nn.Sequential(nn.PReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return mean_of_two(self.last(self.blocks(twice(x, self.segment))), x.shape[2])[..., None]


class DualPathRNN(nn.Module):
    """Maps, their mean and maximum over time, dropout, one linear layer."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        self.maps = DualPath(options, channels)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(2 * options.width, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, 2 x width)."""
        maps = self.maps(x.transpose(2, 3).flatten(1, 2))
        latents = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return self.head(self.drop(latents)), latents


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> DualPathRNN:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return DualPathRNN(options, inputs[0] * inputs[2], outputs)
