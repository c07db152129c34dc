"""The front end `samples`: the samples themselves, standardised or centred per channel."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings of the front end."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate_hz: int = Field(default=100, ge=1, description="Rate of the data set's audio: one frame per sample.")
    normalise: Literal["channel", "none"] = Field(
        default="channel",
        description="channel: every channel of a recording with mean 0 and standard deviation 1; none: with mean 0 in "
        "its own units, for signals whose amplitude matters, such as an ECG in millivolts.",
    )


PRESETS = {"samples": Settings()}


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Return frames (n, channels, 1) of samples (channels, n), each channel with mean 0 (and standard deviation 1).

    A constant channel becomes zeros. Raises ValueError if the rate of the audio is not that of the settings.
    """
    if rate_hz != settings.rate_hz:
        raise ValueError(f"front end samples: the audio has {rate_hz} Hz, settings.rate_hz is {settings.rate_hz}")
    samples = np.asarray(samples, dtype=np.float64)
    deviations = samples - samples.mean(axis=1, keepdims=True)
    if settings.normalise == "none":
        return deviations.T[:, :, None].astype(np.float32)
    spread = deviations.std(axis=1, keepdims=True)
    unit_samples = np.divide(deviations, spread, out=np.zeros_like(deviations), where=spread > 1e-12)
    return unit_samples.T[:, :, None].astype(np.float32)


def frames_per_second(settings: Settings) -> float:
    """Return the frames per second."""
    return float(settings.rate_hz)


def pad_value(settings: Settings) -> float:
    """Return 0, the mean."""
    return 0.0
