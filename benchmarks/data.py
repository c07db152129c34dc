"""What is measured on: simulated recordings in CirCor's form, 20 to 22 s at 4 kHz, read as the workflow reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auscult.cache.audio import cache_audio
from auscult.cache.store import Cache, open_cache
from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.datasets import simulate
from auscult.datasets.base import Manifest
from auscult.datasets.build import build
from auscult.features.frames import extract, frames_config
from auscult.features.front_ends.logmel import PRESETS

CODE = "benchmark"  # stands for the digest of the code
FRONT_END = FrontEndConfig(name="band1k", settings=PRESETS["band1k"].model_dump())


@dataclass(frozen=True)
class Data:
    """A folder, the data set in it and its manifest."""

    home: Path
    dataset: Dataset
    manifest: Manifest

    def wavs(self) -> list[Path]:
        """Paths of the recordings."""
        return [Path(self.dataset.root, path) for path in self.manifest.recordings["path"]]

    def seconds(self) -> float:
        """Mean length of a recording."""
        table = self.manifest.recordings
        return float((table["frames"] / table["rate_hz"]).mean())


def make(home: Path, subjects: int, seconds: tuple[float, float] = (20.0, 22.0)) -> Data:
    """Simulated recordings of `subjects` below `home`, with their manifest."""
    options = simulate.Options(subjects=subjects, seed=0, seconds=seconds, twins=0.0)
    root = home / "raw"
    simulate.fetch(root, options, lambda line: None)
    dataset = Dataset(name="bench", adapter="simulate", root=str(root), options=options.model_dump())
    listing = simulate.ingest(root, options)
    return Data(home, dataset, build(listing, root, dataset.channels, dataset.short_s, 1))


def cache_samples(data: Data) -> None:
    """WAV to shards of samples."""
    cache_audio(data.home / "audio", data.manifest.recordings, data.dataset, CODE, 1)


def cache_frames(data: Data) -> Cache:
    """Shards of samples to shards of frames, opened."""
    folder = data.home / "frames"
    extract(folder, data.home / "audio", data.manifest.recordings, data.dataset, FRONT_END, CODE, 1)
    return open_cache(folder, frames_config(data.dataset, FRONT_END))
