"""Kaldi's log-mel filter bank, as the audio spectrogram transformer and its descendants take it.

Frames of 25 ms every 10 ms without padding; each without its mean, pre-emphasised by 0.97, under a symmetric Hann
window; power spectrum; triangles in HTK mel; natural logarithm. The result is scaled by the constants of AudioSet.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from pydantic import BaseModel, ConfigDict, Field

PRE_EMPHASIS = 0.97
LEAST = float(np.finfo(np.float32).eps)  # of a band's energy: Kaldi's floor


class Settings(BaseModel):
    """Settings of the front end; the defaults are those of AST."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    bands: int = Field(default=128, ge=1, description="Number of mel bands.")
    window_s: float = Field(default=0.025, gt=0, description="Length of a frame, in seconds.")
    hop_s: float = Field(default=0.010, gt=0, description="Step from one frame to the next, in seconds.")
    low_hz: float = Field(default=20.0, ge=0, description="Lower edge of the lowest band, in Hz.")
    mean: float = Field(default=-4.2677393, description="Subtracted from all values.")
    scale: float = Field(default=2 * 4.5689974, gt=0, description="Divides what is left.")


PRESETS = {"fbank": Settings()}


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Samples (channels, n) in ±1 to (1 + (n - window) // hop, channels, bands) float32, each channel without its mean.

    A recording shorter than one frame is filled with zeros to one. Raises ValueError where the rate is too low.
    """
    window, hop, points, weights = _plan(rate_hz, settings)
    samples = np.asarray(samples, dtype=np.float64)
    samples = samples - samples.mean(axis=1, keepdims=True)
    samples = np.pad(samples, ((0, 0), (0, max(0, window - samples.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window, axis=1)[:, ::hop]
    frames = frames - frames.mean(axis=2, keepdims=True)
    before = np.concatenate([frames[..., :1], frames[..., :-1]], axis=2)
    spectrum = scipy.fft.rfft((frames - PRE_EMPHASIS * before) * np.hanning(window), points, axis=2)
    energy = (spectrum.real**2 + spectrum.imag**2)[..., : points // 2] @ weights
    scaled = (np.log(np.maximum(energy, LEAST)) - settings.mean) / settings.scale
    return scaled.transpose(1, 0, 2).astype(np.float32)


def frames_per_second(settings: Settings) -> float:
    """Frames per second."""
    return 1 / settings.hop_s


def pad_value(settings: Settings) -> float:
    """What a scaled value of the mean is."""
    return 0.0


@lru_cache(maxsize=8)
def _plan(rate_hz: int, settings: Settings) -> tuple[int, int, int, np.ndarray]:
    """Samples of window and hop, points of the transform, weights (points / 2, bands)."""
    window, hop = round(settings.window_s * rate_hz), round(settings.hop_s * rate_hz)
    if window < 2 or hop < 1 or settings.low_hz >= rate_hz / 2:
        raise ValueError(f"front end fbank: window, hop or low_hz do not fit {rate_hz} Hz; raise dataset.rate_hz")
    points = 1 << (window - 1).bit_length()
    edges = np.linspace(_mel(settings.low_hz), _mel(rate_hz / 2), settings.bands + 2)
    bins = _mel(np.arange(points // 2) * rate_hz / points)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.clip(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0, None)
    return window, hop, points, weights


def _mel(hz):
    return 1127.0 * np.log1p(np.asarray(hz, dtype=float) / 700.0)
