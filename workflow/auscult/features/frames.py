"""The cache of one front end: audio shards in, shards of feature frames (float16) out."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult import features
from auscult.cache.audio import audio_config, read_audio
from auscult.cache.store import INPUTS, Cache, open_cache, write_cache
from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.provenance import digest


def folder_name(front_end: FrontEndConfig) -> str:
    """Folder of a front end's cache: its name, and a hash of its settings where they are not the defaults."""
    preset = features.preset(front_end.name).model_dump()
    settings = {**preset, **front_end.settings}
    changed = settings != preset
    return f"{front_end.name}-{digest(settings)[:8]}" if changed else front_end.name


def frames_config(dataset: Dataset, front_end: FrontEndConfig) -> dict[str, Any]:
    """What the cached frames depend on besides the recordings."""
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
    """Compute the front end of every recording into shards; returns counts of shards written and reused.

    recordings: as in the manifest. code: digest of the code that the frames depend on. workers: processes at a time.
    """
    compute = partial(
        _recording_frames,
        audio=audio,
        audio_config=tuple(sorted(audio_config(dataset).items())),
        front_end=features.front_end(front_end.name, front_end.settings),
    )
    config = frames_config(dataset, front_end)
    return write_cache(folder, recordings[[*INPUTS]], compute, config, code, dataset.shards, workers)


@lru_cache(maxsize=1)
def audio_cache(folder: Path, config: tuple) -> Cache:
    """The audio cache, opened once per process. config: the items of its configuration (hashable)."""
    return open_cache(folder, dict(config))


def _recording_frames(row: Any, audio: Path, audio_config: tuple, front_end: features.FrontEnd) -> np.ndarray:
    samples = read_audio(audio_cache(audio, audio_config), row.recording)
    return front_end.compute(samples, dict(audio_config)["rate_hz"]).astype(np.float16)
