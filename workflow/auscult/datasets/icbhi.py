"""The ICBHI 2017 respiratory sound database: WAV files with annotated breathing cycles.

A case is one breathing cycle, an interval of a recording, and the subject is the patient. A recording is named
`<patient>_<index>_<place>_<mode>_<device>`; beside it `<recording>.txt` has a row per cycle: onset, offset, crackle,
wheeze. The folder structure is the published one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from auscult.datasets.base import Columns, DatasetError, Listing, read_text

SOUNDS = {("0", "0"): "normal", ("1", "0"): "crackle", ("0", "1"): "wheeze", ("1", "1"): "both"}
PLACES = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
NAME = re.compile(rf"(\d+)_(\d+[a-z]+\d+)_({'|'.join(PLACES)})_(sc|mc)_([A-Za-z0-9]+)")


class Options(BaseModel):
    """The adapter has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    tables = [root / name for name in ("official_split.txt", "patient_diagnosis.csv")]
    sounds = [path for path in (root / "audio").glob("[!.]*") if path.suffix in {".wav", ".txt"}]
    return [*(path for path in tables if path.is_file()), *sounds]


def ingest(root: Path, options: Options) -> Listing:
    """Read the cycles of every recording.

    Labels: `sound` (normal, crackle, wheeze, both), `abnormal` (abnormal or normal), `diagnosis`. Group: `source` (the
    recording). Attributes: `device`, and `official`, the side of the published split; two patients are on both sides.
    """
    split = _split(root / "official_split.txt")
    diagnoses = _diagnoses(root / "patient_diagnosis.csv")
    cases, recordings, quality = [], [], []
    for path in sorted((root / "audio").glob("[!.]*.wav")):
        match = NAME.fullmatch(path.stem)
        if not match:
            raise DatasetError(f"{path}: the name is not <patient>_<index>_<place>_<mode>_<device>")
        patient, _, place, _, device = match.groups()
        if path.stem not in split:
            raise DatasetError(f"{root / 'official_split.txt'}: no line for the recording {path.stem!r}")
        if patient not in diagnoses:
            raise DatasetError(f"{root / 'patient_diagnosis.csv'}: no line for the patient {patient!r}")
        for number, (onset, offset, sound) in enumerate(_cycles(path.with_suffix(".txt"), quality)):
            case = f"{path.stem}_{number:03d}"
            abnormal = "normal" if sound == "normal" else "abnormal"
            cases.append((case, patient, path.stem, device, split[path.stem], sound, abnormal, diagnoses[patient]))
            recordings.append((case, case, place, f"audio/{path.name}", onset, offset))
    for path in sorted((root / "audio").glob("[!.]*.txt")):
        if not path.with_suffix(".wav").is_file():
            quality.append((path.stem, "missing", "dropped", f"{path.name} has no WAV beside it"))
    descriptions, labels = ["source", "device", "official"], ["sound", "abnormal", "diagnosis"]
    return Listing(
        pd.DataFrame(cases, columns=["case", "subject", *descriptions, *labels]),
        pd.DataFrame(recordings, columns=["recording", "case", "site", "path", "onset_s", "offset_s"]),
        Columns(groups=["source"], attributes=["device", "official"], labels=labels),
        quality,
    )


def _cycles(path: Path, quality: list[tuple]) -> list[tuple[float, float, str]]:
    """Return the cycles of an annotation file: onset and offset in s, sound.

    An empty cycle is left out, with a row in `quality`.
    """
    cycles = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        cells = line.split()
        try:
            onset, offset, sound = float(cells[0]), float(cells[1]), SOUNDS[cells[2], cells[3]]
            if len(cells) != 4:
                raise ValueError
        except (ValueError, KeyError, IndexError):
            raise DatasetError(
                f"{path}: line {number} should be `onset offset crackle wheeze`, the last two 0 or 1, it is {line!r}"
            ) from None
        if offset > onset:
            cycles.append((onset, offset, sound))
        else:
            quality.append((path.stem, "cycle", "dropped", f"{path.name}: line {number}: from {onset} to {offset} s"))
    return cycles


def _split(path: Path) -> dict[str, str]:
    """Return the side of each recording, from lines `<recording> train|test`."""
    sides = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = line.split()
        if cells and (len(cells) != 2 or cells[1] not in ("train", "test")):
            raise DatasetError(f"{path}: line {number} should be `<recording> train` or `… test`, it is {line!r}")
        if cells:
            sides[cells[0]] = cells[1]
    return sides


def _diagnoses(path: Path) -> dict[str, str]:
    """Return the diagnosis of each patient, from lines `<patient>,<diagnosis>` without a header."""
    diagnoses = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if line.strip() and (len(cells) != 2 or not cells[0].isdigit() or not cells[1]):
            raise DatasetError(f"{path}: line {number} should be `<patient>,<diagnosis>`, it is {line!r}")
        if line.strip():
            diagnoses[cells[0]] = cells[1]
    return diagnoses
