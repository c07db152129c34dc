"""Tables of numbers about recordings (`features.TABLES`), as HDF5 shards with a row per recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.cache.audio import audio_config, read_audio
from auscult.cache.store import INPUTS, open_cache, write_cache
from auscult.config.dataset import Dataset
from auscult.features import adventitious, descriptors, statistics
from auscult.features.frames import audio_cache

TABLES = {
    "statistics": (statistics.NAMES, statistics.statistics),
    "descriptors": (descriptors.NAMES, descriptors.descriptors),
    "adventitious": (adventitious.NAMES, adventitious.adventitious),
}
"""Table → (names of its columns, function of the samples of one channel and their rate)."""


def table_config(table: str, dataset: Dataset) -> dict[str, Any]:
    """Return what a table depends on besides the recordings."""
    return {"kind": table, "names": list(TABLES[table][0]), "audio": audio_config(dataset)}


def describe(
    table: str, folder: Path, audio: Path, recordings: pd.DataFrame, dataset: Dataset, code: str, workers: int
) -> dict[str, int]:
    """Write a table of all recordings into shards; return counts of shards written and reused."""
    compute = partial(_row, table=table, audio=audio, config=tuple(sorted(audio_config(dataset).items())))
    config = table_config(table, dataset)
    return write_cache(folder, recordings[[*INPUTS]], compute, config, code, dataset.shards, workers)


def _row(row: Any, table: str, audio: Path, config: tuple) -> np.ndarray:
    samples = read_audio(audio_cache(audio, config), row.recording)
    # the mean over the channels, so that a row has the same columns for any number of channels
    compute = TABLES[table][1]
    return np.mean([compute(channel, dict(config)["rate_hz"]) for channel in samples], axis=0)[None]


def read_table(table: str, folder: Path, dataset: Dataset) -> pd.DataFrame:
    """Return a table of numbers, indexed by recording."""
    cache = open_cache(folder, table_config(table, dataset))
    rows = [cache.read(name)[0] for name in cache.index.index]
    return pd.DataFrame(rows, index=cache.index.index, columns=list(TABLES[table][0]))
