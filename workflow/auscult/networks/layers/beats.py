"""Heartbeats of an ECG: where they are, their excerpts, and a small convolutional network for each.

The finder is meant for use inside a network: it has no parameters, finds at least one beat in any window, and knows no
physiology but the size of a beat.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from auscult.networks.layers.squeeze import Squeeze

SMOOTHING_S, NEIGHBOURHOOD_S = 0.09, 0.3
LEAST = 0.35  # of the window's largest change; T and P waves change more slowly than this
BEFORE_S, LENGTH_S = 0.25, 0.64  # of an excerpt: from the P wave to the T wave
KERNELS = (7, 5, 3)


def peaks(x: torch.Tensor, rate_hz: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions (batch, count) of beats in (batch, channels, frames), in order of time, and which of them exist.

    A beat is where the smoothed absolute change of all channels is the largest in its neighbourhood and not small in
    the window. If there are more than `count`, the strongest are kept; absent beats follow the others, and their
    position is the end of the window. A window without any change has one beat, in its first frame.
    """
    frames = x.shape[2]
    smoothing, radius = 2 * round(SMOOTHING_S * rate_hz / 2) + 1, max(1, round(NEIGHBOURHOOD_S * rate_hz / 2))
    with torch.no_grad():
        change = functional.pad(x.float().diff(dim=2).abs().sum(dim=1, keepdim=True), (1, 0))
        change = functional.avg_pool1d(change, smoothing, 1, smoothing // 2)
        around = functional.max_pool1d(change, 2 * radius + 1, 1, radius)
        before = functional.max_pool1d(functional.pad(change, (radius, 0), value=-1), radius, 1)[..., :frames]
        is_peak = (change >= around) & (change > before)  # the first of equals
        is_peak &= change > LEAST * change.amax(dim=2, keepdim=True)
        is_peak[..., 0] |= ~is_peak.any(dim=2)
        strength = torch.where(is_peak, change, -1)[:, 0]
        strongest, positions = strength.topk(min(count, frames))
        positions = torch.where(strongest >= 0, positions, frames).sort().values
        positions = functional.pad(positions, (0, count - positions.shape[1]), value=frames)
    return positions, positions < frames


def intervals(positions: torch.Tensor, frames: int, rate_hz: float) -> torch.Tensor:
    """Return the seconds (batch, count, 2) from the beat before and to the beat after.

    The first and the last beat have the distance to the window's edge instead.
    """
    edges = functional.pad(functional.pad(positions, (1, 0)), (0, 1), value=frames)
    distances = edges.diff(dim=1) / rate_hz
    return torch.stack([distances[:, :-1], distances[:, 1:]], dim=2)


def _places(positions: torch.Tensor, rate_hz: float) -> tuple[torch.Tensor, int, int]:
    """Return the frames (batch, count, length) of excerpts, counted from `before` frames before the window."""
    before, length = round(BEFORE_S * rate_hz), max(1, round(LENGTH_S * rate_hz))
    return positions[..., None] + torch.arange(length, device=positions.device), before, length


def excerpts(x: torch.Tensor, positions: torch.Tensor, rate_hz: float) -> torch.Tensor:
    """Return the frames (batch, count, channels, length) around positions (batch, count), with zeros beyond the edges.

    x: (batch, channels, frames).
    """
    places, before, length = _places(positions, rate_hz)
    index = places.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    parts = functional.pad(x, (before, length)).gather(2, index)
    return parts.unflatten(2, places.shape[1:]).transpose(1, 2)


def spread(weights: torch.Tensor, positions: torch.Tensor, frames: int, rate_hz: float) -> torch.Tensor:
    """Return weights of beats (batch, count) divided evenly among the frames of their excerpts: (batch, frames).

    What lies beyond the window's edges is lost.
    """
    places, before, length = _places(positions, rate_hz)
    shares = (weights[..., None] / length).expand(places.shape)
    total = weights.new_zeros((len(weights), before + frames + length))
    return total.scatter_add(1, places.flatten(1), shares.flatten(1))[:, before : before + frames]


class BeatFeatures(nn.Module):
    """Three convolutions with squeeze and excitation, and the mean over time, of each beat.

    ratio: channels per unit of the squeeze's hidden layer.
    """

    def __init__(self, channels: int, widths: list[int], ratio: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, kernel in zip(widths, KERNELS, strict=True):
            layers += [
                nn.Conv1d(channels, width, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
                Squeeze(width, ratio),
                nn.MaxPool1d(2, ceil_mode=True),
            ]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, beats: torch.Tensor, is_beat: torch.Tensor) -> torch.Tensor:
        """(batch, count, channels, length) and which exist to (batch, count, last width), 0 for absent beats."""
        if self.training:  # absent beats must not change the statistics of batch normalisation
            features = self.layers(beats[is_beat]).mean(dim=2)
            return features.new_zeros((*is_beat.shape, features.shape[1])).masked_scatter(is_beat[..., None], features)
        features = self.layers(beats.flatten(0, 1)).mean(dim=2).unflatten(0, is_beat.shape)
        return features.masked_fill(~is_beat[..., None], 0)
