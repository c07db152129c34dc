"""What is measured on: simulated recordings in CirCor's form, 20 to 22 s at 4 kHz, read as the workflow reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auscult.cache.audio import cache_audio
from auscult.cache.store import Cache, open_cache
from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.datasets import circor, simulate
from auscult.datasets.base import Manifest, load
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
    write_recordings(home, subjects, seconds)
    return ingest(home)


def write_recordings(home: Path, subjects: int, seconds: tuple[float, float]) -> None:
    """Write simulated recordings below `home`."""
    simulate.fetch(home / "raw", simulate.Options(subjects=subjects, seconds=seconds, twins=0.0), lambda line: None)


def ingest(home: Path) -> Data:
    """Read the recordings below `home` and write their manifest."""
    manifest = build(circor.ingest(home / "raw", circor.Options()), home / "raw", "mean", 1.0, 1)
    made = Data(home, _dataset(home), manifest)
    made.manifest.write(home / "manifest")
    return made


def read(home: Path) -> Data:
    """The data with the manifest that `ingest` wrote."""
    return Data(home, _dataset(home), load(home / "manifest"))


def _dataset(home: Path) -> Dataset:
    return Dataset(name="bench", adapter="circor", root=str(home / "raw"))


def cache_samples(data: Data) -> None:
    """WAV to shards of samples."""
    cache_audio(data.home / "audio", data.manifest.recordings, data.dataset, CODE, 1)


def cache_frames(data: Data) -> Cache:
    """Shards of samples to shards of frames, opened."""
    folder = data.home / "frames"
    extract(folder, data.home / "audio", data.manifest.recordings, data.dataset, FRONT_END, CODE, 1)
    return open_cache(folder, frames_config(data.dataset, FRONT_END))
