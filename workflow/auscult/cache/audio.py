"""The audio cache: every recording at the data set's rate and in its sample format."""

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


def audio_config(dataset: Dataset) -> dict[str, Any]:
    """What the cached samples depend on besides the recordings."""
    return {
        "kind": "audio",
        "rate_hz": dataset.rate_hz,
        "channels": dataset.channels,
        "sample_format": dataset.sample_format,
    }


def cache_audio(folder: Path, recordings: pd.DataFrame, dataset: Dataset, code: str, workers: int) -> dict[str, int]:
    """Read, average or keep channels, and resample all recordings into shards; returns counts of shards."""
    columns = [*INPUTS, "path", "onset_s", "offset_s"]
    make = partial(_samples, dataset=dataset)
    return write_cache(folder, recordings[columns], make, audio_config(dataset), code, dataset.shards, workers)


def _samples(row: Any, dataset: Dataset) -> np.ndarray:
    onset, offset = (None if pd.isna(x) else x for x in (row.onset_s, row.offset_s))
    path = Path(dataset.root) / row.path
    try:
        samples, rate, _ = audio.read(path, onset, offset)
    except audio.Unusable as error:  # it could be read at ingest
        raise CacheError(f"recording {row.recording!r}: {path}: {error}; run snakemake again") from None
    mono = dataset.channels == "mean"
    whole = dataset.sample_format == "int16"
    if whole and samples.dtype == np.int16 and rate == dataset.rate_hz and (samples.shape[1] == 1 or not mono):
        return samples
    values = as_float(samples)
    if mono:
        values = values.mean(axis=1, keepdims=True)
    values = resample(values, rate, dataset.rate_hz)
    if whole:
        return np.clip(np.rint(values * 32768), -32768, 32767).astype(np.int16)
    return values.astype(np.float32)


def as_float(samples: np.ndarray) -> np.ndarray:
    """Samples in ±1 as float64: int16 are divided by 32768."""
    return samples / 32768.0 if samples.dtype == np.int16 else np.asarray(samples, np.float64)


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(n, channels) samples at another rate: exactly round(n × wanted / rate) of them."""
    if rate == wanted:
        return samples
    length = max(1, round(len(samples) * wanted / rate))
    out = soxr.resample(samples, rate, wanted, quality="HQ")
    return np.pad(out[:length], ((0, max(0, length - len(out))), (0, 0)), mode="edge" if len(out) else "constant")


def one_channel(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """One channel (n,) at another rate, float64. Raises ValueError for NaN or infinite samples, and for none."""
    samples = np.asarray(samples, dtype=np.float64)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"one channel with samples is needed, not an array of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples contain NaN or infinity: repair or drop the recording")
    return resample(samples[:, None], rate, wanted)[:, 0]


def read_audio(cache: Cache, recording: str) -> np.ndarray:
    """Samples (channels, n) of a recording in ±1, float64."""
    return as_float(cache.read(recording)).T
