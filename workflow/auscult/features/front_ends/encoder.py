"""The front end `encoder`: vectors of an encoder that others trained, one per window of a recording.

The file is the user's; its formats are those of `features.encoder_file`. The recording may be played faster, so that
sounds of 20 to 800 Hz reach the range that encoders of speech, music or birds know.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from auscult.cache.audio import resample
from auscult.features.encoder_file import open_encoder, vectors
from auscult.features.front_ends import fbank, logmel
from auscult.provenance import file_digest

INPUTS = {**dict.fromkeys(logmel.PRESETS, logmel), **dict.fromkeys(fbank.PRESETS, fbank)}
"""Front ends whose frames an encoder may read in place of samples."""


class Settings(BaseModel):
    """Settings of the front end; times are those of the recording."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    file: str = Field(default="", description="File of the encoder: .onnx, .pt2 or .pt (torch), .tflite (LiteRT).")
    sha256: str = Field(default="", description="Its digest, which is filled in: a changed file makes its cache again.")
    rate_hz: int = Field(default=16000, ge=1, description="Sampling rate that the encoder reads.")
    window_s: float = Field(
        default=1.0, ge=0.0005, le=60, description="Length of a window, in seconds of the recording."
    )
    hop_s: float = Field(default=0.5, ge=0.0005, le=60, description="Step from one window to the next, in seconds.")
    speed: float = Field(
        default=1.0,
        gt=0,
        description="How much faster the recording is played: with 4, the encoder gets a window of 4 s as one second, "
        "two octaves higher.",
    )
    input: str = Field(
        default="samples",
        description="What the encoder reads: `samples`, or the frames of a front end by name (`fbank`, `reference`, "
        "`band1k`, with its default settings), computed at `rate_hz`.",
    )
    scale: float = Field(default=1.0, gt=0, description="Factor of samples in ±1: 32768 for encoders of 16-bit values.")
    output: str = Field(default="", description="Name of the output to take; default: the first one.")
    batch: int = Field(default=32, ge=1, description="Windows that are computed at once.")


PRESETS = {"encoder": Settings()}


def complete(settings: Settings) -> Settings:
    """Return the settings with the digest of the file. Raises ValueError without a file, or for an unknown input."""
    if not settings.file:
        raise ValueError("file: name the encoder's file")
    if settings.input != "samples" and settings.input not in INPUTS:
        raise ValueError(f"input: {settings.input!r} is not samples or one of {', '.join(INPUTS)}")
    if not Path(settings.file).is_file():
        raise ValueError(f"file: there is no file {settings.file}")
    return settings.model_copy(update={"sha256": file_digest(Path(settings.file))})


def compute(samples: np.ndarray, rate_hz: int, settings: Settings) -> np.ndarray:
    """Return frames (1 + (n - window) // hop, channels, values) float32 of samples (channels, n) in ±1.

    A recording shorter than a window is padded with zeros to one window. Raises EncoderError.
    """
    audio = resample(np.asarray(samples, np.float32).T, rate_hz * settings.speed, settings.rate_hz).T
    window, hop = (max(1, round(s / settings.speed * settings.rate_hz)) for s in (settings.window_s, settings.hop_s))
    if audio.shape[1] < window:
        audio = np.pad(audio, ((0, 0), (0, window - audio.shape[1])))
    audio = audio * settings.scale
    windows = np.lib.stride_tricks.sliding_window_view(audio, window, axis=1)[:, ::hop]
    encoder = open_encoder(Path(settings.file), settings.sha256, settings.output)
    flat = windows.reshape(-1, window)
    inputs = flat if settings.input == "samples" else _frames(flat, settings)
    return vectors(encoder, inputs, settings.batch).reshape(*windows.shape[:2], -1).transpose(1, 0, 2)


def _frames(windows: np.ndarray, settings: Settings) -> np.ndarray:
    """Frames (windows, frames, bands) of the front end that the encoder reads."""
    family = INPUTS[settings.input]
    return family.compute(windows, settings.rate_hz, family.PRESETS[settings.input]).transpose(1, 0, 2)


def frames_per_second(settings: Settings) -> float:
    """Return the windows per second."""
    return 1 / settings.hop_s


def pad_value(settings: Settings) -> float:
    """Return 0."""
    return 0.0
