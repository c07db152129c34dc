"""Beats of an ECG and patches of an image of it, each weighed by what the other says.

After the idea of Han, Lian et al. (2023, Knowledge-Based Systems, 110555, "Multimodal multi-instance learning"): beats
are the instances of one modality, patches of a Gramian angular field those of the other. The top of a modality's
instances asks the other modality's instances, and what they answer is added to it (in the line of DSMIL, Li et al.
2021). The published sizes are not known: all sizes, the finder of beats and the exact form of the attention are our
choice. The bands of a front end are channels. 271,741 parameters for 12 leads and one output.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.beats import BeatFeatures, excerpts, peaks, spread
from auscult.networks.layers.convolution import convolutions
from auscult.networks.layers.dropout import StochasticDropout


class Options(BaseModel):
    """Sizes, and which instance asks; all of them are our choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate_hz: PositiveFloat = Field(default=100, description="Frames per second, to find beats.")
    beats: PositiveInt = Field(default=16, description="Beats of a window; of more, those with the steepest changes.")
    image: PositiveInt = Field(default=64, description="Rows and columns of the image, a multiple of `patch`.")
    patch: PositiveInt = Field(default=16, description="Rows and columns of a patch.")
    widths: list[PositiveInt] = Field(
        default=[32, 64, 128],
        min_length=3,
        max_length=3,
        description="Channels of the convolutions of both modalities.",
    )
    squeeze_ratio: PositiveInt = Field(
        default=8, description="Channels per hidden unit of squeeze and excitation, of beats."
    )
    top: Literal["maximum", "instance"] = Field(
        default="maximum",
        description="The top of a modality: the maximum of each feature, or the one instance with the largest norm.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Before the head.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.image % self.patch:
            raise ValueError(f"image: {self.image} is not a multiple of patch")
        return self


def angular_field(x: torch.Tensor, size: int) -> torch.Tensor:
    """Return the Gramian angular summation field (batch, channels, size, size) of (batch, channels, frames).

    Each channel is averaged to `size` places and scaled to [-1, 1]; place (i, j) is the cosine of the sum of the angles
    whose cosines are the values at i and j.
    """
    z = functional.adaptive_avg_pool1d(x, size)
    low, high = z.amin(dim=2, keepdim=True), z.amax(dim=2, keepdim=True)
    z = (2 * z - low - high) / (high - low).clamp(min=1e-6)
    sine = (1 - z.square()).clamp(min=1e-8).sqrt()  # the root of 0 has no gradient
    return z[..., :, None] * z[..., None, :] - sine[..., :, None] * sine[..., None, :]


class PatchFeatures(nn.Module):
    """Patches of images, and three convolutions and the mean over the places of each."""

    def __init__(self, channels: int, widths: list[int], patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.layers = convolutions(channels, widths, dropout=0.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, channels, size, size) to (batch, patches, last width)."""
        patches = images.unfold(2, self.patch, self.patch).unfold(3, self.patch, self.patch)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        return self.layers(patches.flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, patches.shape[:2])


class Answer(nn.Module):
    """What the instances of one modality answer to the top of the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def weights(self, top: torch.Tensor, instances: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
        """Return weights (batch, instances) with the sum 1 of instances (batch, instances, width) for (batch, width).

        exists: (batch, instances); others have the weight 0.
        """
        scores = (self.key(instances) @ self.query(top)[..., None])[..., 0] / top.shape[1] ** 0.5
        return torch.softmax(scores.masked_fill(~exists, -torch.inf), dim=1)

    def forward(self, top: torch.Tensor, instances: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean (batch, width) of the instances' values."""
        weights = self.weights(top, instances, exists)
        return (weights[:, None] @ self.value(instances))[:, 0]


class MAMIL(nn.Module):
    """Instances of both modalities, a bag of each, two linear layers."""

    def __init__(self, options: Options, channels: int, outputs: int) -> None:
        super().__init__()
        width = options.widths[-1]
        self.rate_hz, self.count, self.size, self.top_kind = options.rate_hz, options.beats, options.image, options.top
        self.beats = BeatFeatures(channels, options.widths, options.squeeze_ratio)
        self.patches = PatchFeatures(channels, options.widths, options.patch)
        self.answer_of_patches, self.answer_of_beats = Answer(width), Answer(width)
        self.join = nn.Linear(2 * width, width)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(width, outputs)

    def top(self, instances: torch.Tensor, exists: torch.Tensor) -> torch.Tensor:
        """Return the top (batch, width) of the instances (batch, instances, width) that exist (batch, instances)."""
        if self.top_kind == "maximum":
            return instances.masked_fill(~exists[..., None], -torch.inf).amax(dim=1)
        largest = instances.norm(dim=2).masked_fill(~exists, -1).argmax(dim=1)
        return instances[torch.arange(len(instances), device=instances.device), largest]

    def join_bags(self, beats: torch.Tensor, is_beat: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Return latents (batch, width) of beats (batch, count, width) and patches (batch, patches, width)."""
        is_patch = patches.new_ones(patches.shape[:2], dtype=torch.bool)
        top_beat, top_patch = self.top(beats, is_beat), self.top(patches, is_patch)
        bag_of_beats = top_beat + self.answer_of_patches(top_beat, patches, is_patch)
        bag_of_patches = top_patch + self.answer_of_beats(top_patch, beats, is_beat)
        return torch.relu(self.join(torch.cat([bag_of_beats, bag_of_patches], dim=1)))

    def instances(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the instances of windows (batch, channels, frames).

        Beats (batch, count, width), their positions and which exist (batch, count), patches (batch, patches, width).
        """
        positions, is_beat = peaks(x, self.rate_hz, self.count)
        beats = self.beats(excerpts(x, positions, self.rate_hz), is_beat)
        return beats, positions, is_beat, self.patches(angular_field(x, self.size))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, last width)."""
        beats, _, is_beat, patches = self.instances(x.transpose(2, 3).flatten(1, 2))
        latents = self.join_bags(beats, is_beat, patches)
        return self.head(self.drop(latents)), latents

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the weights of the beats, each divided among its frames: (batch, frames, 1), for any output."""
        beats, positions, is_beat, patches = self.instances(x.transpose(2, 3).flatten(1, 2))
        top_patch = self.top(patches, patches.new_ones(patches.shape[:2], dtype=torch.bool))
        weights = self.answer_of_beats.weights(top_patch, beats, is_beat)
        return spread(weights, positions, x.shape[2], self.rate_hz)[..., None]


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> MAMIL:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return MAMIL(options, inputs[0] * inputs[2], outputs)
