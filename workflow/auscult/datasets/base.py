"""The manifest: the tables that every later stage reads, whatever the raw release looked like.

An adapter parses a release into a `Listing`; `build` opens every recording, drops the bad ones with a row in
quality.csv, and checks the structure. `Manifest.write` and `load` are the only ways to and from disk.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.datasets import audio
from auscult.provenance import write_json, write_text

FACTS = ["rate_hz", "channels", "frames", "sha256"]
RECORDING_COLUMNS = ["recording", "case", "subject", "site", "path", "onset_s", "offset_s", *FACTS]
QUALITY_COLUMNS = ["recording", "problem", "action", "detail"]
NUMBERS = ["onset_s", "offset_s", "rate_hz", "channels", "frames"]


class DatasetError(Exception):
    """A structural fault of a release: its files, labels or subjects do not fit together."""


@dataclass(frozen=True)
class Columns:
    """Which columns of the manifest are what. `labels` are never features; `covariates` are numbers.

    `groups` are units that roles may share or not, which the audit counts; `attributes` only describe a case, as the
    device or the side of a published split, for protocols and subgroups. `channels` names the channels of all
    recordings, where these have several that are always the same.
    """

    groups: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)
    recording_labels: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """What an adapter found. `cases`: case, subject and the columns; `recordings`: recording, case, site, path
    (from the root), onset_s, offset_s (empty: whole file), the recording labels, and, where a header says so,
    `header_rate_hz` and `header_frames`; `quality`: rows already known; `states`: recording, onset_s, offset_s, state.
    """

    cases: pd.DataFrame
    recordings: pd.DataFrame
    columns: Columns
    quality: list[tuple[str, str, str, str]] = field(default_factory=list)
    states: pd.DataFrame | None = None
    subjects_known: bool = True


@dataclass(frozen=True)
class Manifest:
    """Tables of one data set: `cases`, `recordings`, `quality`, and which column is what."""

    cases: pd.DataFrame
    recordings: pd.DataFrame
    quality: pd.DataFrame
    columns: Columns
    states: pd.DataFrame | None = None
    subjects_known: bool = True

    def write(self, folder: Path) -> None:
        """Write the tables and dataset.json, each to a temporary name first."""
        for name, table in self._tables().items():
            write_text(folder / f"{name}.csv", table.to_csv(index=False))
        facts = {
            "columns": vars(self.columns),
            "subjects_known": self.subjects_known,
            "digest": self.digest(),
            "counts": {name: len(table) for name, table in self._tables().items()},
        }
        write_json(folder / "dataset.json", facts)

    def digest(self) -> str:
        """SHA-256 of cases and recordings: their ids, labels, covariates and samples."""
        text = self.cases.to_csv(index=False) + self.recordings.to_csv(index=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def _tables(self) -> dict[str, pd.DataFrame]:
        tables = {"cases": self.cases, "recordings": self.recordings, "quality": self.quality}
        states = (
            pd.DataFrame(columns=["recording", "onset_s", "offset_s", "state"]) if self.states is None else self.states
        )
        return {**tables, "states": states}


def load(folder: Path) -> Manifest:
    """Read a manifest. Ids, labels and sites are strings ('' when missing), covariates floats (NaN when missing)."""
    facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    columns = Columns(**facts["columns"])
    cases = read_table(folder / "cases.csv", columns.covariates)
    recordings = read_table(folder / "recordings.csv", NUMBERS)
    quality = read_table(folder / "quality.csv", [])
    return Manifest(cases, recordings, quality, columns, subjects_known=facts["subjects_known"])


def read_table(path: Path, numbers: Iterable[str]) -> pd.DataFrame:
    """A CSV as strings, '' for an empty cell; the columns `numbers` as numbers, NaN for an empty cell.

    Raises DatasetError naming the file, the line of a row that does not fit the header, and the row and column of a
    cell that should be a number.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    rows = []
    try:
        for row in filter(None, reader):
            if header is None:
                header = row
            elif len(row) == len(header):
                rows.append(row)
            else:
                raise DatasetError(
                    f"{path}: line {reader.line_num}: {len(row)} cells under {len(header)} columns; "
                    "every row needs a cell, maybe an empty one, for each column"
                )
    except csv.Error as error:
        raise DatasetError(f"{path}: line {reader.line_num}: not readable as CSV: {error}") from error
    if not header:
        raise DatasetError(f"{path}: line 1 should name the columns; it is empty")
    if twice := [name for name in header if header.count(name) > 1]:
        raise DatasetError(f"{path}: line 1: the column {twice[0]!r} is named twice")
    table = pd.DataFrame(rows, columns=header, dtype=str)
    for column in numbers:
        if column in table:
            values = pd.to_numeric(table[column].replace("", None), errors="coerce")
            wrong = ~np.isfinite(values) & (table[column] != "")
            if wrong.any():
                row = int(wrong.to_numpy().argmax())
                raise DatasetError(
                    f"{path}: row {row + 2}, column {column!r}: {table[column].iloc[row]!r} is no number; "
                    "leave the cell empty where there is none"
                )
            table[column] = values
    return table


def read_text(path: Path) -> str:
    """A text file of a release; any line ends. Raises DatasetError when it is missing, not UTF-8, or not a text."""
    if not path.is_file():
        raise DatasetError(f"{path}: the file is not there")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line}: not UTF-8 (byte {raw[error.start]:#04x}); save it as UTF-8"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DatasetError(f"{path}: line {line}: a null byte, which no text has; the file is damaged")
    return text


def build(listing: Listing, root: Path, channels: str, short_s: float, workers: int) -> Manifest:
    """Open every listed recording and make the manifest.

    Parameters
    ----------
    listing : what the adapter found.
    root : folder that the paths of the listing start from.
    channels : `mean` or `all` (see `config.Dataset`).
    short_s : recordings shorter than this get a row `short`.
    workers : threads that read.

    Raises DatasetError, naming rows, for a structural fault; a bad recording is dropped with a row in `quality`.
    """
    _check_structure(listing, root)

    def open_one(row: dict) -> audio.Facts | audio.Unusable:
        interval = [None if pd.isna(row[key]) else float(row[key]) for key in ("onset_s", "offset_s")]
        try:
            return audio.inspect(root / row["path"], *interval, short_s, channels == "mean")
        except audio.Unusable as problem:
            return problem

    rows = listing.recordings.sort_values("recording").to_dict("records")
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(open_one, rows))
    quality = [tuple(row) for row in listing.quality]
    subjects = listing.cases.set_index("case")["subject"]
    kept, first = [], {}
    for row, facts in zip(rows, found, strict=True):
        name = row["recording"]
        if isinstance(facts, audio.Unusable):
            quality.append((name, facts.problem, "dropped", str(facts)))
            continue
        quality += [(name, problem, "kept", detail) for problem, detail in facts.problems]
        quality += [(name, problem, "kept", detail) for problem, detail in _against_header(row, facts)]
        if facts.sha256 in first:
            quality.append((name, "duplicate", "kept", f"the same samples as {first[facts.sha256]}"))
        first.setdefault(facts.sha256, name)
        measured = {key: getattr(facts, key) for key in FACTS}
        kept.append({**row, **measured, "subject": subjects[row["case"]]})
    if not kept:
        raise DatasetError(f"{root}: none of the {len(rows)} recordings listed can be read{_reasons(quality)}")
    columns = listing.columns
    described = [*columns.groups, *columns.attributes, *columns.labels, *columns.covariates]
    cases = listing.cases[["case", "subject", *described]]
    recordings = pd.DataFrame(kept, columns=[*RECORDING_COLUMNS, *columns.recording_labels])
    states = listing.states
    if states is not None:
        states = states[states["recording"].isin(recordings["recording"])].sort_values(
            ["recording", "onset_s", "offset_s"]
        )
    return Manifest(
        cases.sort_values("case").reset_index(drop=True),
        recordings,
        pd.DataFrame(sorted(quality), columns=QUALITY_COLUMNS),
        columns,
        states,
        listing.subjects_known,
    )


def _reasons(quality: list[tuple]) -> str:
    dropped = [f"{name}: {detail}" for name, _, action, detail in quality if action == "dropped"]
    return f" ({'; '.join(dropped[:3])}{', …' if len(dropped) > 3 else ''})" if dropped else ""


def _against_header(row: dict, facts: audio.Facts) -> list[tuple[str, str]]:
    problems = []
    if pd.notna(row.get("header_rate_hz")) and int(row["header_rate_hz"]) != facts.rate_hz:
        problems.append(
            (
                "rate",
                f"the header says {int(row['header_rate_hz'])} Hz, the file {facts.rate_hz}: the file's holds",
            )
        )
    if pd.notna(row.get("header_frames")) and int(row["header_frames"]) != facts.frames:
        problems.append(("header", f"the header says {int(row['header_frames'])} samples, the file has {facts.frames}"))
    return problems


def _check_structure(listing: Listing, root: Path) -> None:
    cases, recordings = listing.cases, listing.recordings
    if cases.empty:
        raise DatasetError(f"{root}: no cases found")
    for table, key in ((cases, "case"), (recordings, "recording")):
        if (table[key].astype(str).str.strip() == "").any():
            raise DatasetError(f"{root}: a row without {key} id")
        twice = table[key][table[key].duplicated()]
        if len(twice):
            raise DatasetError(f"{root}: {key} {twice.iloc[0]!r} is listed twice")
    unknown = set(recordings["case"]) - set(cases["case"])
    if unknown:
        name = min(unknown)
        recording = recordings.loc[recordings["case"] == name, "recording"].iloc[0]
        raise DatasetError(f"{root}: recording {recording!r} belongs to case {name!r}, which is not among the cases")
    top = os.path.realpath(root)
    for name, path in zip(recordings["recording"], recordings["path"], strict=True):
        if not path:
            raise DatasetError(f"{root}: recording {name!r} has no path")
        if not os.path.realpath(Path(top, path)).startswith(top + os.sep):
            raise DatasetError(
                f"{root}: recording {name!r}: the path {path!r} leaves this folder; recordings must lie inside it"
            )


def raw_digest(files: Iterable[Path], root: Path, memory: Path) -> str:
    """SHA-256 over names and contents of a release's files.

    A file is read again only when its size or time stamp differs from what `memory` (a JSON file) holds, so that
    touching a file changes nothing and a look at an unchanged release takes milliseconds. It misses one thing: new
    content of the same size whose time stamp was set back to the old one.
    """
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    now = {}
    for file in sorted(files):
        stat = file.stat()
        name = str(file.relative_to(root))
        seen = known.get(name)
        if seen and seen[:2] == [stat.st_size, stat.st_mtime_ns]:
            now[name] = seen
        else:
            with file.open("rb") as stream:
                now[name] = [
                    stat.st_size,
                    stat.st_mtime_ns,
                    hashlib.file_digest(stream, "sha256").hexdigest(),
                ]
    if now != known:
        write_json(memory, now)
    return hashlib.sha256(json.dumps([[name, seen[2]] for name, seen in now.items()]).encode()).hexdigest()
