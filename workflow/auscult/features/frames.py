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
from auscult.config.systems import FrontEnd
from auscult.provenance import digest


def folder_name(front_end: FrontEnd) -> str:
    """Folder of a front end's cache: its name, and a hash of its settings where they are not the defaults."""
    _, preset = features.front_end(front_end.name)
    settings = {**preset.model_dump(), **front_end.settings}
    changed = settings != preset.model_dump()
    return f"{front_end.name}-{digest(settings)[:8]}" if changed else front_end.name


def frames_config(dataset: Dataset, front_end: FrontEnd) -> dict[str, Any]:
    """What the cached frames depend on besides the recordings."""
    return {"kind": "frames", "front_end": front_end.model_dump(), "audio": audio_config(dataset)}


def extract(
    folder: Path,
    audio: Path,
    recordings: pd.DataFrame,
    dataset: Dataset,
    front_end: FrontEnd,
    code: str,
    workers: int,
) -> dict[str, int]:
    """Compute the front end of every recording into shards; returns counts of shards."""
    module, _ = features.front_end(front_end.name)
    settings = module.Settings.model_validate(front_end.settings)
    make = partial(
        _frames, audio=audio, config=_frozen(audio_config(dataset)), module=front_end.name, settings=settings
    )
    config = frames_config(dataset, front_end)
    return write_cache(folder, recordings[[*INPUTS]], make, config, code, dataset.shards, workers)


def _frozen(config: dict[str, Any]) -> tuple:
    return tuple(sorted(config.items()))


@lru_cache(maxsize=1)
def opened(audio: Path, config: tuple) -> Cache:
    """The audio cache, opened once per process."""
    return open_cache(audio, dict(config))


def _frames(row: Any, audio: Path, config: tuple, module: str, settings: Any) -> np.ndarray:
    samples = read_audio(opened(audio, config), row.recording)
    front, _ = features.front_end(module)
    return front.compute(samples, dict(config)["rate_hz"], settings).astype(np.float16)
