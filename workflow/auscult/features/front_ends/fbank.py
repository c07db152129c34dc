"""Kaldi's log-mel filter bank, the input of the audio spectrogram transformer and its descendants.

Frames have 25 ms, with a step of 10 ms and without padding. Each frame is centred, pre-emphasised by 0.97 and
multiplied by a symmetric Hann window. Its power spectrum is summed by triangles in HTK mel, followed by the natural
logarithm. The result is scaled by the constants of AudioSet.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from pydantic import BaseModel, ConfigDict, Field

from auscult.features.front_ends.logmel import mel_matrix

PRE_EMPHASIS = 0.97
LEAST = float(np.finfo(np.float32).eps)  # of a band's energy: Kaldi's floor


class Settings(BaseModel):
    """Settings of the front end; the defaults are those of AST."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    bands: int = Field(default=128, ge=1, description="Number of mel bands.")
    window_s: float = Field(default=0.025, ge=0.0005, le=60, description="Length of a frame, in seconds.")
    hop_s: float = Field(default=0.010, ge=0.0005, le=60, description="Step from one frame to the next, in seconds.")
    low_hz: float = Field(default=20.0, ge=0, description="Lower edge of the lowest band, in Hz.")
    mean: float = Field(default=-4.2677393, description="Subtracted from all values.")
    scale: float = Field(default=2 * 4.5689974, gt=0, description="Divisor of the centred values.")


PRESETS = {"fbank": Settings()}


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Return frames (1 + (n - window) // hop, channels, bands) float32 of samples (channels, n) in ±1.

    The mean of each channel is subtracted. A recording shorter than a frame is padded with zeros to one frame. Raises
    ValueError if the rate is too low.
    """
    window, hop, points, weights = _plan(rate_hz, settings)
    samples = np.asarray(samples, dtype=np.float64)
    samples = samples - samples.mean(axis=1, keepdims=True)
    samples = np.pad(samples, ((0, 0), (0, max(0, window - samples.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window, axis=1)[:, ::hop]
    frames = frames - frames.mean(axis=2, keepdims=True)
    previous = np.concatenate([frames[..., :1], frames[..., :-1]], axis=2)
    spectrum = scipy.fft.rfft((frames - PRE_EMPHASIS * previous) * np.hanning(window), points, axis=2)
    energy = (spectrum.real**2 + spectrum.imag**2)[..., : points // 2] @ weights
    values = (np.log(np.maximum(energy, LEAST)) - settings.mean) / settings.scale
    return values.transpose(1, 0, 2).astype(np.float32)


def frames_per_second(settings: Settings) -> float:
    """Return the frames per second."""
    return 1 / settings.hop_s


def pad_value(settings: Settings) -> float:
    """Return 0, the scaled value of `settings.mean`."""
    return 0.0


@lru_cache(maxsize=8)
def _plan(rate_hz: int, settings: Settings) -> tuple[int, int, int, np.ndarray]:
    """Return samples of window and hop, points of the transform, and weights (points / 2, bands). Raises ValueError."""
    window, hop = round(settings.window_s * rate_hz), round(settings.hop_s * rate_hz)
    if window < 2 or hop < 1 or settings.low_hz >= rate_hz / 2:
        raise ValueError(f"front end fbank: window, hop or low_hz do not fit {rate_hz} Hz; raise dataset.rate_hz")
    points = 1 << (window - 1).bit_length()
    weights = mel_matrix(rate_hz, points, settings.bands, settings.low_hz, rate_hz / 2)[: points // 2]
    return window, hop, points, weights
