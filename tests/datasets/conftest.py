"""Tiny releases, written file by file: one in the format of CirCor, one as the own data of a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import circor, folder
from auscult.datasets.base import Manifest
from auscult.datasets.build import build

RATE = 4000
FACTS = {
    "Age": "Child",
    "Sex": "Female",
    "Height": "98.0",
    "Weight": "15.9",
    "Pregnancy status": "False",
    "Murmur": "Absent",
    "Murmur locations": "nan",
    "Most audible location": "nan",
    **{
        f"{phase} murmur {detail}": "nan"
        for phase in ("Systolic", "Diastolic")
        for detail in ("timing", "shape", "grading", "pitch", "quality")
    },
    "Outcome": "Normal",
    "Campaign": "CC2015",
    "Additional ID": "nan",
}
STATES = "0\t0.3\t1\n0.3\t0.5\t2\n0.5\t0.6\t3\n0.6\t1.1\t4\n1.1\t5.0\t0\n"


def _sine(hz: float = 50.0, seconds: float = 5.0, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture(scope="session")
def sine() -> Callable[..., np.ndarray]:
    """`sine(hz, seconds, rate, peak)`: float64 samples."""
    return _sine


@dataclass
class CircorRelease:
    """A release in the format of CirCor; every recording has its own pitch."""

    root: Path
    _pitch: count = field(default_factory=lambda: count(20))

    @property
    def data(self) -> Path:
        return self.root / "training_data"

    def patient(self, case: str, sites: str = "AV MV", newline: str = "\n", **facts: str) -> None:
        """Write one patient; keywords replace facts: `Murmur="Present"`, with `_` for a blank."""
        names = [f"{case}_{site}" for site in sites.split()]
        lines = [f"{case} {len(names)} {RATE}"]
        for name in names:
            lines.append(f"{name.split('_')[1]} {name}.hea {name}.wav {name}.tsv")
            self.recording(name, newline)
        values = {**FACTS, **{key.replace("_", " "): value for key, value in facts.items()}}
        lines += [f"#{key}: {value}" for key, value in values.items()]
        self.write(f"{case}.txt", "\n".join(lines) + "\n", newline)

    def recording(self, name: str, newline: str = "\n") -> None:
        samples = _sine(next(self._pitch))
        self.data.mkdir(parents=True, exist_ok=True)
        soundfile.write(self.data / f"{name}.wav", samples, RATE)
        self.write(
            f"{name}.hea", f"{name} 1 {RATE} {len(samples)}\n{name}.wav 16+44 1 16 0 0 0 0 {name[-2:]}\n", newline
        )
        self.write(f"{name}.tsv", STATES, newline)

    def write(self, name: str, text: str, newline: str = "\n") -> None:
        (self.data / name).write_bytes(text.replace("\n", newline).encode())

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.data / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new, 1))

    def read(self, short_s: float = 4.0) -> Manifest:
        return build(circor.ingest(self.root, circor.Options()), self.root, "mean", short_s, workers=1)


@pytest.fixture
def release(tmp_path: Path) -> CircorRelease:
    """An empty release in the format of CirCor."""
    return CircorRelease(tmp_path / "release")


@dataclass
class OwnData:
    """Own data: cases.csv, recordings.csv and WAVs."""

    root: Path

    @property
    def options(self) -> folder.Options:
        return folder.Options(labels={"sound": ["crackle", "wheeze"]})

    def write(self, name: str, *lines: str, encoding: str = "utf-8", newline: str = "\n") -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / name).write_bytes("".join(line + newline for line in lines).encode(encoding))

    def wav(self, name: str, samples: np.ndarray, rate: int = RATE, **options: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, **options)
        return path

    def read(self, **options) -> Manifest:
        folder_options = folder.Options(**{**self.options.model_dump(), **options})
        return build(folder.ingest(self.root, folder_options), self.root, "mean", 1.0, workers=1)


@pytest.fixture
def own(tmp_path: Path) -> OwnData:
    """Three cases of two subjects with a recording each: a (crackle), b (wheeze), c (no label)."""
    own = OwnData(tmp_path / "own")
    own.write("cases.csv", "case,subject,sound,day,weight", "a,s1,crackle,mon,3", "b,s2,wheeze,tue,", "c,s1,,mon,4.5")
    own.write("recordings.csv", "recording,case,path", "ra,a,a.wav", "rb,b,b.wav", "rc,c,deep/c.wav")
    for pitch, name in enumerate(("a.wav", "b.wav", "deep/c.wav"), start=30):
        own.wav(name, _sine(pitch, 2.0))
    return own
