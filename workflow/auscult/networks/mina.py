"""MINA for ECG leads: attention to places, segments and frequencies, guided by simple knowledge (Hong et al. 2019).

After the authors' code. Each frequency band of the leads has its own layers. A convolution describes the places of each
segment; the change of the samples helps to weigh the places (the level of beats), the standard deviation helps to weigh
the segments after a recurrent layer (the level of rhythm), and the power helps to weigh the bands. The published
network has 115,274 parameters, for one lead at 300 samples per second and two outputs, with `kernel: 32`. Our choice
are several leads as channels of the convolution, with knowledge averaged over them, the default bands and their filters
inside the network, the logarithm of the power, and first biases that keep ReLU alive. The bands of a front end are
leads of this network.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from auscult.networks.layers.dropout import StochasticDropout

STRIDE = 2


class Options(BaseModel):
    """Sizes, bands and dropout; widths are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate_hz: PositiveFloat = Field(default=100.0, description="Samples per second.")
    passbands: list[tuple[float, float] | None] = Field(
        default=[None, (0.67, 5.0), (5.0, 15.0), (15.0, 40.0)],
        min_length=1,
        description="Frequency bands with layers of their own: from and below a number of Hz; null: all samples. At "
        "least one should be null, since the others leave out the mean.",
    )
    segment: PositiveInt = Field(default=50, description="Samples of a segment.")
    kernel: PositiveInt = Field(default=16, description="Length of the convolution, in samples; its stride is 2.")
    filters: PositiveInt = Field(default=64, description="Of the convolution.")
    units: PositiveInt = Field(default=32, description="Of the recurrent layer, in each direction.")
    features: PositiveInt = Field(default=8, description="Of a band.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Of a band's features.")

    @model_validator(mode="after")
    def _sizes(self) -> Options:
        if self.kernel > self.segment:
            raise ValueError(f"kernel: {self.kernel} samples are longer than a segment of {self.segment}")
        if invalid := [band for band in self.passbands if band and not 0 <= band[0] < band[1]]:
            raise ValueError(f"passbands: {invalid[0][0]} to {invalid[0][1]} Hz is no band")
        if invalid := [band for band in self.passbands if band and band[0] > self.rate_hz / 2]:
            raise ValueError(f"passbands: {self.rate_hz} samples per second have no {invalid[0][0]} Hz")
        return self


class Guided(nn.Module):
    """The mean of features, with weights from the features and one number of knowledge about each."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.describe = nn.Linear(features + 1, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: torch.Tensor, knowledge: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, items, features) and (batch, items) to (batch, features), and weights (batch, items) of sum 1."""
        both = torch.cat([x, knowledge[..., None]], dim=2)
        weights = torch.softmax(self.score(torch.tanh(self.describe(both)))[..., 0], dim=1)
        return (weights[..., None] * x).sum(dim=1), weights


class Band(nn.Module):
    """The levels of beats and of rhythm of one band."""

    def __init__(self, options: Options, leads: int) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(leads, options.filters, options.kernel, STRIDE)
        self.convolve_change = nn.Conv1d(1, 1, options.kernel, STRIDE)
        # changes are not negative: a random kernel can make the knowledge 0 everywhere, a mean cannot
        nn.init.constant_(self.convolve_change.weight, 1 / options.kernel)
        nn.init.zeros_(self.convolve_change.bias)
        self.beat = Guided(options.filters, 8)
        self.recurrent = nn.LSTM(options.filters, options.units, batch_first=True, bidirectional=True)
        self.rhythm = Guided(2 * options.units, 8)
        self.narrow = nn.Linear(2 * options.units, options.features)
        # else in about 1 of 200 bands no unit is ever above 0, and the band never learns
        nn.init.uniform_(self.narrow.bias, 0, (2 * options.units) ** -0.5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(batch, segments, leads, samples) to features, and weights of places in segments and of segments.

        Their shapes are (batch, features), (batch, segments, places) and (batch, segments).
        """
        segments = x.flatten(0, 1)
        places = torch.relu(self.convolve(segments)).transpose(1, 2)
        change = functional.pad(segments.diff(dim=2).abs().mean(dim=1, keepdim=True), (1, 0))
        beats, of_place = self.beat(places, torch.relu(self.convolve_change(change))[:, 0])
        # the root of 0 has no gradient
        deviation = (x.var(dim=3, unbiased=False) + 1e-6).sqrt().mean(dim=2)
        rhythm, of_segment = self.rhythm(self.recurrent(beats.unflatten(0, x.shape[:2]))[0], deviation)
        return torch.relu(self.narrow(rhythm)), of_place.unflatten(0, x.shape[:2]), of_segment


class Mina(nn.Module):
    """Bands, and the level of frequencies over them; dropout on each band's features, one linear layer."""

    def __init__(self, options: Options, leads: int, outputs: int) -> None:
        super().__init__()
        self.rate_hz, self.segment, self.kernel = options.rate_hz, options.segment, options.kernel
        self.passbands = options.passbands
        self.bands = nn.ModuleList(Band(options, leads) for _ in options.passbands)
        self.frequency = Guided(options.features, 2)
        self.drop = StochasticDropout(options.dropout)
        self.head = nn.Linear(options.features, outputs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, channels, frames, bands) to logits (batch, outputs) and latents (batch, features)."""
        latents, *_ = self.weighed(x)
        return self.head(latents), latents

    def filtered(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, leads, samples) to (batch, passbands, leads, samples): frequencies outside a band are set to 0."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            spectrum = torch.fft.rfft(x)
            hertz = torch.fft.rfftfreq(x.shape[2], 1 / self.rate_hz, device=x.device)
            parts = [
                x if band is None else torch.fft.irfft(spectrum * ((hertz >= band[0]) & (hertz < band[1])), x.shape[2])
                for band in self.passbands
            ]
            return torch.stack(parts, dim=1)

    def weighed(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return latents, and the weights of places, segments and bands, each with the sum 1 over its last dimension.

        Their shapes are (batch, bands, segments, places), (batch, bands, segments) and (batch, bands).
        """
        bands = self.filtered(x.transpose(2, 3).flatten(1, 2))
        power = torch.log1p(bands.square().mean(dim=(2, 3)))
        # the last segment is filled up with 0
        segments = functional.pad(bands, (0, -bands.shape[3] % self.segment)).unflatten(3, (-1, self.segment))
        parts = [band(segments[:, number].transpose(1, 2)) for number, band in enumerate(self.bands)]
        features, of_place, of_segment = (torch.stack(part, dim=1) for part in zip(*parts, strict=True))
        latents, of_band = self.frequency(self.drop(features), power)
        return latents, of_place, of_segment, of_band

    def attended(self, x: torch.Tensor, output: int) -> torch.Tensor:
        """Return the product of the three weights: (batch, frames, 1) with the sum 1, for any output.

        The weight of a place is spread evenly over the frames of its kernel; what falls on padding is left out.
        """
        _, of_place, of_segment, of_band = self.weighed(x)
        weights = (of_band[..., None, None] * of_segment[..., None] * of_place).sum(dim=1)
        places = weights.flatten(0, 1)[:, None]
        frames = functional.conv_transpose1d(places, places.new_ones(1, 1, self.kernel), stride=STRIDE)
        frames = functional.pad(frames, (0, self.segment - frames.shape[2]))
        frames = frames.view(len(x), -1, 1)[:, : x.shape[2]]
        return frames / frames.sum(dim=1, keepdim=True)


def build(options: Options, inputs: tuple[int, int, int], outputs: int) -> Mina:
    """Return the network for inputs (channels, frames, bands); the number of frames may vary."""
    return Mina(options, inputs[0] * inputs[2], outputs)
