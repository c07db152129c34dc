"""The CirCor DigiScope phonocardiogram release (PhysioNet, version 1.0.3), in its published folder structure."""

from __future__ import annotations

import difflib
import math
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from auscult.datasets import download
from auscult.datasets.base import ID_SEPARATOR, Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.ids import folded
from auscult.datasets.tables import is_count, read_text
from auscult.datasets.walk import files_in, is_file
from auscult.datasets.wfdb_header import stated_length

SITES = ("AV", "MV", "PV", "TV", "Phc")
AGE_MONTHS = {"Neonate": 0.5, "Infant": 6.0, "Child": 72.0, "Adolescent": 180.0, "Young Adult": 240.0}
CLASSES = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}
DETAILS = ("timing", "shape", "grading", "pitch", "quality")
PHASES = ["S1", "systole", "S2", "diastole"]
STATES = {"0": "unannotated", **{str(number): phase for number, phase in enumerate(PHASES, 1)}}
LABELS = [
    *CLASSES,
    "campaign",
    "age_group",
    "murmur_locations",
    "most_audible_location",
    *(f"{phase}_murmur_{detail}" for phase in ("systolic", "diastolic") for detail in DETAILS),
]
KEYS = [
    *("Age", "Sex", "Height", "Weight", "Pregnancy status", "Murmur", "Murmur locations", "Most audible location"),
    *(f"{phase} murmur {detail}" for phase in ("Systolic", "Diastolic") for detail in DETAILS),
    *("Outcome", "Campaign", "Additional ID"),
]
COVARIATES = ["age_months", "female", "male", "height_cm", "weight_kg", "pregnant"]
KEY_OF_FORM = {folded(key): key for key in KEYS}
URL = "https://physionet.org/files/circor-heart-sound/1.0.3/"


class States(NamedTuple):
    """Columns of annotated heart-sound states. A release has many rows: numbers take 8 bytes each here, names too."""

    recording: list[str]
    onset_s: array
    offset_s: array
    state: list[str]


class Options(BaseModel):
    """Options of the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(default=URL, description="Where `snakemake download` fetches the release from.")


def fetch(root: Path, options: Options, log: Callable[[str], None] = print) -> None:
    """Download the release into `root`; raises download.DownloadError."""
    download.fetch_release(options.url, root, log)


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    return files_in(root / "training_data", ".txt", ".hea", ".wav", ".tsv")


def ingest(root: Path, options: Options) -> Listing:
    """Read patients, recordings, labels and heart-sound states below `root/training_data`."""
    folder = root / "training_data"
    quality: list[tuple[str, str, str, str]] = []
    patients = [_patient(path, quality) for path in files_in(folder, ".txt")]
    cases = pd.DataFrame([case for case, _ in patients], columns=["case", "additional_id", *LABELS, *COVARIATES])
    cases["subject"] = _subjects(cases, folder)
    recordings = []
    states = States([], array("d"), array("d"), [])
    case_of_recording = {}
    for _, rows in patients:
        for row in rows:
            name, case = row["recording"], row["case"]
            if name in case_of_recording:
                raise DatasetError(
                    f"{folder / case}.txt: recording {name!r} is already listed by "
                    f"{case_of_recording[name]}.txt; remove one"
                )
            case_of_recording[name] = case
            row |= stated_length(folder / row.pop("hea"), row["recording"], quality)
            _read_states(folder / row.pop("tsv"), row["recording"], states, quality)
            recordings.append(row)
    listed_files = {row["path"] for row in recordings}
    for path in files_in(folder, ".wav"):
        if f"training_data/{path.name}" not in listed_files:
            quality.append((path.stem, "unlisted", "dropped", f"no patient file lists {path.name}"))
    columns = ["recording", "case", "site", "path", "onset_s", "offset_s", "murmur_audible"]
    return Listing(
        cases=cases.drop(columns="additional_id"),
        recordings=pd.DataFrame(recordings, columns=[*columns, "header_rate_hz", "header_frames"]),
        columns=Columns(labels=LABELS, covariates=COVARIATES, recording_labels=["murmur_audible"], states=PHASES),
        quality=quality,
        states=pd.DataFrame(states._asdict()),
    )


def _patient(path: Path, quality: list) -> tuple[dict, list[dict]]:
    """Read a patient file: its row of `cases`, and its recordings with the names of their header and state files.

    Keys that are missing, and sites that contradict the label, get a row in `quality`.
    """
    lines = read_text(path).splitlines()
    first = lines[0].split() if lines else []
    if len(first) != 3 or not is_count(first[1]) or not is_count(first[2]):
        raise DatasetError(f"{path}: line 1 should be `id recordings rate`, it is {(lines or [''])[0]!r}")
    case, count = first[0], int(first[1])
    if case != path.stem:
        raise DatasetError(f"{path}: line 1 names patient {case!r}, the file name {path.stem!r}")
    body = [(number, line) for number, line in enumerate(lines, start=1) if number > 1 and line.strip()]
    recording_lines = [(number, line.split()) for number, line in body if not line.startswith("#")]
    if len(recording_lines) != count:
        raise DatasetError(f"{path}: line 1 announces {count} recordings, {len(recording_lines)} are listed")
    values = {}
    for number, line in body:
        if line.startswith("#"):
            key, colon, value = (part.strip() for part in line[1:].partition(":"))
            if not colon and key.partition("=")[0].strip() in KEYS:
                raise DatasetError(f"{path}: line {number} should be `#key: value`, it is {line[:60]!r}")
            key = KEY_OF_FORM.get(folded(key), key)
            if key in KEYS and key in values:
                raise DatasetError(f"{path}: line {number}: #{key} is given twice; remove one")
            values[key] = "" if value == "nan" else value
    _refuse_misspelt(values, path)
    if missing := [key for key in KEYS if key not in values]:
        quality.append((case, "keys", "kept", f"{path.name} has no #{', #'.join(missing)}"))
    row = _case(case, values, path)
    audible = _sites(row["murmur_locations"], path)
    if audible and row["murmur"] == "Absent":
        quality.append((case, "murmur", "kept", f"{path.name}: #Murmur is Absent, and #Murmur locations names sites"))
    if audible and not {fields[0] for _, fields in recording_lines if fields} & set(audible):
        quality.append((case, "murmur", "kept", f"{path.name}: no site of #Murmur locations was recorded"))
    recordings = []
    for number, fields in recording_lines:
        if len(fields) != 4 or fields[0] not in SITES:
            raise DatasetError(
                f"{path}: line {number} should be `site .hea .wav .tsv` with a site of {'/'.join(SITES)}, "
                f"it is {' '.join(fields)!r}"
            )
        site, hea, wav, tsv = fields
        if row["murmur"] == "Present" and audible:
            murmur_audible = "audible" if site in audible else "inaudible"
        else:
            murmur_audible = {"Absent": "inaudible", "Unknown": "unclear"}.get(row["murmur"], "")
        recordings.append(
            {
                "recording": Path(wav).stem,
                "case": case,
                "site": site,
                "path": f"training_data/{wav}",
                "onset_s": None,
                "offset_s": None,
                "murmur_audible": murmur_audible,
                "hea": hea,
                "tsv": tsv,
            }
        )
    return row, recordings


def _sites(cell: str, path: Path) -> list[str]:
    """Return the sites of `#Murmur locations`, which are joined by `+`."""
    site_of = {site.casefold(): site for site in SITES}
    words = [word for word in re.split(r"[+,;/\s]+", cell) if word]
    if unknown := [word for word in words if word.casefold() not in site_of]:
        raise DatasetError(f"{path}: #Murmur locations: {unknown[0]!r} is not one of {', '.join(SITES)}")
    return [site_of[word.casefold()] for word in words]


def _refuse_misspelt(values: dict[str, str], path: Path) -> None:
    """Raise DatasetError for a key that is nearly a missing one; the patient would otherwise silently lose a label."""
    missing = [key for key in KEYS if key not in values]
    for key in values:
        if key not in KEYS and (matches := difflib.get_close_matches(key, missing, 1, cutoff=0.75)):
            raise DatasetError(f"{path}: #{key}: unknown key, and #{matches[0]} is missing; is #{matches[0]} meant?")


def _case(case: str, values: dict[str, str], path: Path) -> dict:
    def label(key: str, known_words: tuple[str, ...]) -> str:
        value = values.get(key, "")
        if value and value not in known_words:
            raise DatasetError(f"{path}: #{key}: {value!r} is not one of {', '.join(known_words)}")
        return value

    def number(key: str) -> float:
        value = values.get(key) or "nan"
        try:
            if math.isinf(float(value)) or "_" in value:
                raise ValueError
            return float(value)
        except ValueError:
            raise DatasetError(f"{path}: #{key}: {value!r} is not a number; write `nan` if there is none") from None

    age = label("Age", tuple(AGE_MONTHS))
    sex = label("Sex", ("Female", "Male"))
    pregnant = label("Pregnancy status", ("True", "False"))
    phases = {
        f"{phase}_murmur_{detail}": values.get(f"{phase.capitalize()} murmur {detail}", "")
        for phase in ("systolic", "diastolic")
        for detail in DETAILS
    }
    nan = float("nan")
    return {
        "case": case,
        "additional_id": values.get("Additional ID", ""),
        "murmur": label("Murmur", CLASSES["murmur"]),
        "outcome": label("Outcome", CLASSES["outcome"]),
        "campaign": values.get("Campaign", ""),
        "age_group": age,
        "murmur_locations": values.get("Murmur locations", ""),
        "most_audible_location": values.get("Most audible location", ""),
        **phases,
        "age_months": AGE_MONTHS.get(age, nan),
        "female": float(sex == "Female") if sex else nan,
        "male": float(sex == "Male") if sex else nan,
        "height_cm": number("Height"),
        "weight_kg": number("Weight"),
        "pregnant": float(pregnant == "True") if pregnant else nan,
    }


def _subjects(cases: pd.DataFrame, folder: Path) -> list[str]:
    """Return the subject of each case: the patient id, or `id+id` of a person recorded in both campaigns.

    An additional id that is not in the release is not part of a subject. Raises DatasetError when an id, in the
    release or not, is in two pairs.
    """
    case_ids = set(cases["case"])
    additional_ids, id_of_form = {}, {folded(case): case for case in cases["case"]}
    for row in cases.itertuples():
        # some copies of the table write ids as decimal numbers, or with zeros before them
        twin = row.additional_id
        if twin not in case_ids:
            match = re.fullmatch(r"\D*(\d+)", twin)  # of `ID50379`
            twin = id_of_form.get(folded(twin)) or (match[1] if match and match[1] in case_ids else twin)
        if twin == row.case:
            raise DatasetError(f"{folder / row.case}.txt: #Additional ID is the patient's own id")
        if twin and not re.fullmatch(r"\w+", twin):
            raise DatasetError(f"{folder / row.case}.txt: #Additional ID: {twin!r} is not one id; write the id alone")
        if twin:
            additional_ids[row.case] = twin
    pairs: dict[str, set[str]] = {name: {name} for name in case_ids | set(additional_ids.values())}
    for case, twin in additional_ids.items():
        pairs[case].add(twin)
        pairs[twin].add(case)
    for name in sorted(pairs):
        if len(pairs[name]) > 2:
            partners = sorted(pairs[name] - {name})
            case = name if name in case_ids else partners[0]
            raise DatasetError(
                f"{folder / case}.txt: #Additional ID: {name} is in two pairs, with {' and '.join(partners)}"
            )
    return [ID_SEPARATOR.join(sorted(pairs[case] & case_ids, key=lambda i: (len(i), i))) for case in cases["case"]]


def _read_states(path: Path, recording: str, states: States, quality: list) -> None:
    """Add the heart-sound states of a recording to `states`.

    A row that is not an interval with a known state is left out, with a row in `quality`.
    """
    if not is_file(path):
        quality.append((recording, "states", "kept", f"{path.name} is not there"))
        return
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        parts = line.split()
        try:
            onset, offset, state = float(parts[0]), float(parts[1]), STATES[parts[2]]
            if not 0 <= onset < offset < math.inf:
                raise ValueError
        except (ValueError, KeyError, IndexError):
            if line.strip():
                quality.append((recording, "states", "kept", f"{path.name}: line {number} left out: {line[:60]!r}"))
            continue
        for column, value in zip(states, (recording, onset, offset, state), strict=True):
            column.append(value)
