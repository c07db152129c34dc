"""The cache of a front end: shards of feature frames (float16), computed from the audio shards."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult import features
from auscult.cache.audio import audio_config, read_audio
from auscult.cache.store import INPUTS, Cache, CacheError, open_cache, write_cache
from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.provenance import digest


def folder_name(front_end: FrontEndConfig) -> str:
    """Return the folder of a front end's cache: its name, and a hash of its settings if they are not the defaults."""
    preset = features.preset(front_end.name).model_dump()
    settings = {**preset, **front_end.settings}
    is_changed = settings != preset
    return f"{front_end.name}-{digest(settings)[:8]}" if is_changed else front_end.name


def frames_config(dataset: Dataset, front_end: FrontEndConfig) -> dict[str, Any]:
    """Return what the cached frames depend on besides the recordings."""
    return {"kind": "frames", "front_end": front_end.model_dump(), "audio": audio_config(dataset)}


def extract(
    folder: Path,
    audio: Path,
    recordings: pd.DataFrame,
    dataset: Dataset,
    front_end: FrontEndConfig,
    code: str,
    workers: int,
) -> dict[str, int]:
    """Write the frames of all recordings into shards; return counts of shards written and reused.

    audio: folder of the audio cache. recordings: as in the manifest. code: digest of the code that the frames depend
    on. workers: number of processes.
    """
    compute = partial(
        _recording_frames,
        audio=audio,
        audio_config=tuple(sorted(audio_config(dataset).items())),
        front_end=features.front_end(front_end.name, front_end.settings),
    )
    config = frames_config(dataset, front_end)
    return write_cache(folder, recordings[[*INPUTS]], compute, config, code, dataset.shards, workers)


def mean_frames(folder: Path, dataset: Dataset, front_end: FrontEndConfig) -> pd.DataFrame:
    """The mean over the frames of every cached recording: recordings × values, channels one after another."""
    cache = open_cache(folder, frames_config(dataset, front_end))
    means = [cache.read(name).astype(np.float32).mean(axis=0).ravel() for name in cache.index.index]
    return pd.DataFrame(means, index=cache.index.index)


LARGEST = float(np.finfo(np.float16).max)


@lru_cache(maxsize=1)
def audio_cache(folder: Path, config: tuple) -> Cache:
    """Return the audio cache, opened once per process. config: the items of its configuration (hashable)."""
    return open_cache(folder, dict(config))


def _recording_frames(row: Any, audio: Path, audio_config: tuple, front_end: features.FrontEnd) -> np.ndarray:
    samples = read_audio(audio_cache(audio, audio_config), row.recording)
    frames = front_end.compute(samples, dict(audio_config)["rate_hz"])
    if np.abs(frames).max(initial=0) > LARGEST:
        raise CacheError(
            f"recording {row.recording!r}: the front end {front_end.name} gives values up to "
            f"{np.abs(frames).max():.3g}, and frames hold {LARGEST:.0f} at most: scale the samples to another unit, or "
            "normalise in front_end.settings"
        )
    return frames.astype(np.float16)
