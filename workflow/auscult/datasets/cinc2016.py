"""The PhysioNet/CinC Challenge 2016: heart sounds of six databases, as folders `training-a` to `training-f`.

A case is one recording. The release does not name its subjects, some of whom were recorded several times, so every
recording is its own subject, and the column `leak` of every table contains `subjects unknown`. The folder `validation`
is not read: its recordings are copies of training recordings. Of a record with an ECG, the sound alone is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from auscult.datasets import download
from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_text
from auscult.datasets.walk import files_in
from auscult.datasets.wfdb_header import stated_length

URL = "https://physionet.org/files/challenge-2016/1.0.0/"
ABNORMAL = {"-1": "normal", "1": "abnormal"}
QUALITY = {"0": "poor", "1": "good"}
# the table with the quality of each recording, and the one without
TABLES = ("REFERENCE-SQI.csv", "REFERENCE.csv")


class Options(BaseModel):
    """Options of the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(default=URL, description="Where `snakemake download` fetches the release from.")


def fetch(root: Path, options: Options, log: Callable[[str], None] = print) -> None:
    """Download the release into `root`; raises download.DownloadError."""
    download.fetch_release(options.url, root, log)


def _folders(root: Path) -> dict[Path, str]:
    """Return the folders of the databases, each with its letter."""
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    letters = {
        folder: re.fullmatch("(?:training[-_ ]?|train[-_ ])([a-z])", folder.name.casefold()) for folder in folders
    }
    return {folder: match[1] for folder, match in letters.items() if match}


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    return [
        path
        for folder in _folders(root)
        for path in folder.glob("[!.]*")
        if path.suffix.lower() in {".wav", ".hea"} or path.name in TABLES
    ]


def ingest(root: Path, options: Options) -> Listing:
    """Read the recordings that the table of each folder lists.

    Labels: `abnormal` (abnormal or normal) and `quality` (good or poor; '' where the folder has REFERENCE.csv alone).
    Group: `database`, the letter of the folder.
    """
    cases, recordings, quality, folder_of = [], [], [], {}
    folders = _folders(root)
    for table in (table for name in TABLES for table in (*root.glob(f"*/{name}"), *root.glob(f"*/*/{name}"))):
        folder = table.parent
        if folder not in folders and folder.name.casefold() != "validation" and files_in(folder, ".wav"):
            raise DatasetError(
                f"{folder}: has {table.name}, but does not lie in {root} with a name from training-a to training-f; "
                "move or rename it"
            )
    for folder, database in folders.items():
        listed_records = set()
        path_of = {path.stem: path for path in files_in(folder, ".wav")}
        for name, abnormal, sound_quality in _reference(_table(folder)):
            if name in folder_of:
                other = "again" if folder_of[name] == folder.name else f"also in {folder_of[name]}"
                raise DatasetError(f"{folder}: {name!r} is listed twice, {other}; remove one")
            folder_of[name] = folder.name
            listed_records.add(name)
            cases.append((name, name, database, abnormal, sound_quality))
            path = path_of.get(name, folder / f"{name}.wav")
            row = {"recording": name, "case": name, "path": f"{folder.name}/{path.name}"}
            recordings.append(row | stated_length(folder / f"{name}.hea", name, quality))
        if len(tables := [folder / name for name in TABLES if (folder / name).is_file()]) > 1:
            labels, others = ({name: label for name, label, _ in _reference(table)} for table in tables)
            for name in sorted(name for name in labels if others.get(name, labels[name]) != labels[name]):
                detail = f"{labels[name]} by {tables[0].name}, which is used, {others[name]} by {tables[1].name}"
                quality.append((name, "label", "kept", detail))
        for path in path_of.values():
            if path.stem not in listed_records:
                quality.append((path.stem, "unlisted", "dropped", f"{folder.name} does not list {path.name}"))
    columns = ["recording", "case", "path", "header_rate_hz", "header_frames"]
    return Listing(
        pd.DataFrame(cases, columns=["case", "subject", "database", "abnormal", "quality"]),
        pd.DataFrame(recordings, columns=columns).assign(site="", onset_s=None, offset_s=None),
        Columns(groups=["database"], labels=["abnormal", "quality"]),
        quality,
        subjects_known=False,
    )


def _table(folder: Path) -> Path:
    """Return the table of a folder that is read. Raises DatasetError."""
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if not tables:
        raise DatasetError(f"{folder}: neither {' nor '.join(TABLES)} is there; they are part of the release")
    return tables[0]


def _reference(table: Path) -> list[tuple[str, str, str]]:
    """Return record, `abnormal` and `quality` of each line of a table. Raises DatasetError."""
    has_quality = table.name == TABLES[0]
    columns = "record,label,quality" if has_quality else "record,label"
    rows = []
    for number, line in enumerate(read_text(table).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells):
            continue
        try:
            name, label, *rest = cells
            if not name or len(rest) != has_quality:
                raise ValueError
            rows.append((name, ABNORMAL[label], QUALITY[rest[0]] if rest else ""))
        except (ValueError, KeyError):
            raise DatasetError(
                f"{table}: line {number} should be `{columns}` with the label -1 (normal) or 1 (abnormal)"
                f"{' and the quality 0 (poor) or 1 (good)' if has_quality else ''}, it is {line!r}"
            ) from None
    return rows
