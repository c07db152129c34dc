"""The audio cache: all recordings at the data set's `rate_hz` and in its `sample_format`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soxr

from auscult.cache.store import INPUTS, Cache, CacheError, write_cache
from auscult.config.dataset import Dataset
from auscult.datasets import audio
from auscult.datasets.errors import Unusable


def audio_config(dataset: Dataset) -> dict[str, Any]:
    """Return what the cached samples depend on besides the recordings."""
    return {
        "kind": "audio",
        "rate_hz": dataset.rate_hz,
        "channels": dataset.channels,
        "sample_format": dataset.sample_format,
    }


def cache_audio(folder: Path, recordings: pd.DataFrame, dataset: Dataset, code: str, workers: int) -> dict[str, int]:
    """Write all recordings, with `dataset.channels` mixed down or kept, into shards; return counts of shards."""
    columns = [*INPUTS, "path", "onset_s", "offset_s"]
    make = partial(_samples, dataset=dataset)
    return write_cache(folder, recordings[columns], make, audio_config(dataset), code, dataset.shards, workers)


def _samples(row: Any, dataset: Dataset) -> np.ndarray:
    onset, offset = (None if pd.isna(x) else x for x in (row.onset_s, row.offset_s))
    path = Path(dataset.root) / row.path
    try:
        samples, rate, _ = audio.read(path, onset, offset)
    except Unusable as error:  # it was readable when the manifest was written
        raise CacheError(f"recording {row.recording!r}: {path}: {error}; run snakemake again") from None
    mono = dataset.channels == "mean"
    is_int16 = dataset.sample_format == "int16"
    if is_int16 and samples.dtype == np.int16 and rate == dataset.rate_hz and (samples.shape[1] == 1 or not mono):
        return samples
    values = as_float(samples)
    if mono:
        values = values.mean(axis=1, keepdims=True)
    values = resample(values, rate, dataset.rate_hz)
    if is_int16:
        return np.clip(np.rint(values * 32768), -32768, 32767).astype(np.int16)
    return values.astype(np.float32)


def as_float(samples: np.ndarray) -> np.ndarray:
    """Return samples as float64; int16 samples are divided by 32768, to ±1."""
    return samples / 32768.0 if samples.dtype == np.int16 else np.asarray(samples, np.float64)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample (n, channels) samples from `rate` to `new_rate` in Hz, to max(1, round(n × new_rate / rate)) samples."""
    if rate == new_rate:
        return samples
    length = max(1, round(len(samples) * new_rate / rate))
    new_samples = soxr.resample(samples, rate, new_rate, quality="HQ")
    missing = length - len(new_samples)
    if missing <= 0:  # numpy takes as long as soxr to pad by nothing
        return new_samples[:length]
    return np.pad(new_samples, ((0, missing), (0, 0)), mode="edge" if len(new_samples) else "constant")


def one_channel(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample one channel (n,) from `rate` to `new_rate` in Hz, as float64.

    Raises ValueError for NaN or infinite samples, and for no samples.
    """
    samples = np.asarray(samples, dtype=np.float64)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"one channel with samples is needed, not an array of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples contain NaN or infinity: repair or drop the recording")
    return resample(samples[:, None], rate, new_rate)[:, 0]


def read_audio(cache: Cache, recording: str) -> np.ndarray:
    """Return the samples (channels, n) of a recording, float64 in ±1."""
    return as_float(cache.copy(recording)).T
