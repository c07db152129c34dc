"""The table of the 44 statistics of every recording, as HDF5 shards of one row each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.cache.audio import audio_config, read_audio
from auscult.cache.store import INPUTS, open_cache, write_cache
from auscult.config.dataset import Dataset
from auscult.features.frames import opened
from auscult.features.statistics import NAMES, statistics


def statistics_config(dataset: Dataset) -> dict[str, Any]:
    """What the statistics depend on besides the recordings."""
    return {"kind": "statistics", "names": list(NAMES), "audio": audio_config(dataset)}


def describe(
    folder: Path, audio: Path, recordings: pd.DataFrame, dataset: Dataset, code: str, workers: int
) -> dict[str, int]:
    """Compute the statistics of every recording into shards; returns counts of shards."""
    make = partial(_row, audio=audio, config=tuple(sorted(audio_config(dataset).items())))
    config = statistics_config(dataset)
    return write_cache(folder, recordings[[*INPUTS]], make, config, code, dataset.shards, workers)


def _row(row: Any, audio: Path, config: tuple) -> np.ndarray:
    samples = read_audio(opened(audio, config), row.recording)
    # several channels: the mean over them, so that the row has one meaning whatever their number
    return np.mean([statistics(channel, dict(config)["rate_hz"]) for channel in samples], axis=0)[None]


def read_statistics(folder: Path, dataset: Dataset) -> pd.DataFrame:
    """Recordings × statistics."""
    cache = open_cache(folder, statistics_config(dataset))
    rows = [cache.read(name)[0] for name in cache.index.index]
    return pd.DataFrame(rows, index=cache.index.index, columns=list(NAMES))
