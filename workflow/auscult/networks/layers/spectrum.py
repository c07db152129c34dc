"""Short-time spectra of samples inside a network, one spectrogram per channel."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class LogSpectrum(nn.Module):
    """Log magnitudes of a Hamming-windowed STFT: (batch, channels, frames) to (batch, channels, windows, bins).

    least: is added to the magnitudes; with 1 the logarithm of silence is 0.
    """

    def __init__(self, window: int, hop: int, least: float = 1e-3) -> None:
        super().__init__()
        self.window, self.hop, self.least = window, hop, least
        self.register_buffer("shape", torch.hamming_window(window, periodic=True), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] < self.window:
            x = functional.pad(x, (0, self.window - x.shape[2]))
        with torch.autocast(x.device.type, enabled=False):
            frames = x.float().unfold(2, self.window, self.hop) * self.shape
            return torch.log(torch.fft.rfft(frames).abs() + self.least)
