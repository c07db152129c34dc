"""The ICBHI 2017 respiratory sound database: WAV files with annotated breathing cycles.

A case is one breathing cycle, an interval of a recording, and the subject is the patient. A recording is named
`<patient>_<index>_<place>_<mode>_<device>`; beside it `<recording>.txt` has a row per cycle: onset, offset, crackle,
wheeze. Folder and tables have the names of the release, of its copy on Kaggle, or those that published code gives them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_text
from auscult.datasets.walk import files_in

SOUNDS = {("0", "0"): "normal", ("1", "0"): "crackle", ("0", "1"): "wheeze", ("1", "1"): "both"}
PLACES = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
FOLDERS = ("audio", "ICBHI_final_database", "audio_and_txt_files")
SPLITS = ("official_split.txt", "ICBHI_challenge_train_test.txt")
DIAGNOSES = ("patient_diagnosis.csv", "ICBHI_Challenge_diagnosis.txt")
NAME = re.compile(rf"(\d+)_(\d+[a-z]+\d+)_({'|'.join(PLACES)})_(sc|mc)_([A-Za-z0-9]+)")


class Options(BaseModel):
    """The adapter has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    tables = [_first(root, names) for names in (SPLITS, DIAGNOSES)]
    return [*(path for path in tables if path.is_file()), *files_in(_first(root, FOLDERS), ".wav", ".txt")]


def _first(root: Path, names: tuple[str, ...]) -> Path:
    """Return the first of some files or folders that there is, or the first of all."""
    return next((root / name for name in names if (root / name).exists()), root / names[0])


def ingest(root: Path, options: Options) -> Listing:
    """Read the cycles of every recording.

    Labels: `sound` (normal, crackle, wheeze, both), `abnormal` (abnormal or normal), `diagnosis`. Group: `source` (the
    recording). Attributes: `device`, and `official`, the side of the published split; two patients are on both sides.
    """
    folder, split_file, diagnosis_file = (_first(root, names) for names in (FOLDERS, SPLITS, DIAGNOSES))
    split, diagnoses = _split(split_file), _diagnoses(diagnosis_file)
    cases, recordings, quality = [], [], []
    sounds, annotations = (files_in(folder, suffix) for suffix in (".wav", ".txt"))
    annotation_of = {path.stem: path for path in annotations}
    for path in sounds:
        if not NAME.fullmatch(path.stem):
            raise DatasetError(f"{path}: the name is not <patient>_<index>_<place>_<mode>_<device>")
    other_names = _other_names({path.stem for path in sounds}, set(split))
    for path in sounds:
        patient, _, place, _, device = NAME.fullmatch(path.stem).groups()
        name = path.stem if path.stem in split else other_names.get(path.stem)
        if name is None:
            quality.append((path.stem, "unlisted", "dropped", f"{split_file.name} has no line for {path.stem}"))
            continue
        if name != path.stem:
            quality.append((path.stem, "name", "kept", f"{split_file.name} names it {name}"))
        if patient not in diagnoses:
            raise DatasetError(f"{diagnosis_file}: no line for the patient {patient!r}")
        for number, (onset, offset, sound) in enumerate(
            _cycles(annotation_of.get(path.stem, path.with_suffix(".txt")), quality)
        ):
            case = f"{path.stem}_{number:03d}"
            abnormal = "normal" if sound == "normal" else "abnormal"
            cases.append((case, patient, path.stem, device, split[name], sound, abnormal, diagnoses[patient]))
            recordings.append((case, case, place, f"{folder.name}/{path.name}", onset, offset))
    if sounds and not cases and not any(path.stem in split or path.stem in other_names for path in sounds):
        raise DatasetError(f"{split_file}: has no line for any of the recordings, as {sounds[0].stem}")
    names = {path.stem for path in sounds}
    for path in annotations:
        if path.stem not in names:
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
            if len(cells) != 4 or "_" in line:
                raise ValueError
        except (ValueError, KeyError, IndexError):
            raise DatasetError(
                f"{path}: line {number} should be `onset offset crackle wheeze`, the last two 0 or 1, it is {line!r}"
            ) from None
        if offset > onset:
            cycles.append((onset, offset, sound))
        else:
            quality.append((path.stem, "cycle", "dropped", f"{path.name}: line {number}: from {onset} to {offset} s"))
    if not cycles:
        quality.append((path.stem, "cycle", "dropped", f"{path.name}: no cycles; the recording is left out"))
    return cycles


def _other_names(recordings: set[str], names_of_split: set[str]) -> dict[str, str]:
    """Return the names under which the split lists recordings that it does not list by their own name.

    In the published release, one recording has another device in the split than in its file's name. A name is
    another name of a recording if all but the device is the same, and no other name or recording fits.
    """
    only_recordings, only_in_split = recordings - names_of_split, names_of_split - recordings
    pairs = {}
    for name in only_recordings:
        part = name.rpartition("_")[0]
        candidates = [other for other in only_in_split if other.rpartition("_")[0] == part]
        if len(candidates) == 1 and sum(other.rpartition("_")[0] == part for other in only_recordings) == 1:
            pairs[name] = candidates[0]
    return pairs


def _split(path: Path) -> dict[str, str]:
    """Return the side of each recording, from lines `<recording> train|test`; a header line is skipped."""
    sides = {}
    for number, cells in _rows(path, None, lambda first: not NAME.match(first)):
        if len(cells) != 2 or cells[1] not in ("train", "test"):
            line = "\t".join(cells)
            raise DatasetError(f"{path}: line {number} should be `<recording> train` or `… test`, it is {line!r}")
        name = re.sub(r"\.wav$", "", cells[0], flags=re.IGNORECASE)
        if sides.setdefault(name, cells[1]) != cells[1]:
            raise DatasetError(f"{path}: line {number}: {name!r} is listed as train and as test; remove one")
    return sides


def _diagnoses(path: Path) -> dict[str, str]:
    """Return the diagnosis of each patient, from lines `<patient>,<diagnosis>`; a header line is skipped.

    In a text file the two are separated by blanks.
    """
    diagnoses, separator = {}, "," if path.suffix == ".csv" else None
    for number, cells in _rows(path, separator, lambda first: not any(letter.isdigit() for letter in first)):
        if len(cells) != 2 or not cells[0].isdigit() or not cells[1]:
            line = ",".join(cells)
            raise DatasetError(f"{path}: line {number} should be `<patient>,<diagnosis>`, it is {line!r}")
        diagnosis = cells[1].strip('"')
        if diagnoses.setdefault(cells[0], diagnosis) != diagnosis:
            raise DatasetError(
                f"{path}: line {number}: the patient {cells[0]} has two diagnoses, {diagnoses[cells[0]]} and "
                f"{diagnosis}; remove one"
            )
    return diagnoses


def _rows(path: Path, separator: str | None, is_title: Callable[[str], bool]) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line with content, but for a first one of two titles."""
    is_first = True
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(separator)]
        if not any(cells):
            continue
        if not (is_first and len(cells) == 2 and is_title(cells[0])):
            yield number, cells
        is_first = False
