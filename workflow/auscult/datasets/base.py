"""The manifest: the tables of a data set that all later stages read, in the same form for every data set.

An adapter parses a release into a `Listing`. `build` checks its structure, opens every recording, and drops unusable
recordings with a row in quality.csv. `Manifest.write` and `load` write and read the manifest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.datasets import audio, ids
from auscult.datasets.paths_nearby import nearby
from auscult.provenance import write_json, write_text

FACTS = ["rate_hz", "channels", "frames", "sha256"]
RECORDING_COLUMNS = ["recording", "case", "subject", "site", "path", "onset_s", "offset_s", *FACTS]
HEADER_COLUMNS = ["header_rate_hz", "header_frames"]  # of a listing whose files have headers
QUALITY_COLUMNS = ["recording", "problem", "action", "detail"]
BLOCK = 1_000  # rows of a table that are handled at a time
NUMBERS = ["onset_s", "offset_s", "rate_hz", "channels", "frames"]


class DatasetError(Exception):
    """A structural error of a release: its files, labels or subjects are inconsistent."""


@dataclass(frozen=True)
class Columns:
    """Names of the manifest's columns, by their use.

    - `groups`: units such as a day or a source; the audit counts groups that roles share.
    - `labels`: labels of cases; never used as features.
    - `covariates`: numbers about cases.
    - `recording_labels`: labels of recordings.
    - `channels`: names of the channels, if all recordings have the same several channels.
    - `attributes`: descriptions of cases for protocols and subgroups, such as the device or a published split.
    - `states`: names of the annotated states in the order of a cycle, such as the phases of a heartbeat.
    """

    groups: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)
    recording_labels: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)


ID_SEPARATOR = "+"  # a subject whose recordings were published under two ids is `id+id`


def ids_of(subject: str) -> set[str]:
    """Return the ids under which a data set names a subject."""
    return set(subject.split(ID_SEPARATOR))


@dataclass(frozen=True)
class Listing:
    """The content of a release, as an adapter returns it.

    - `cases`: case, subject and the columns of `columns`.
    - `recordings`: recording, case, site, path (relative to the root), onset_s and offset_s (empty: the complete
      file), the recording labels, and, if a header states them, `header_rate_hz` and `header_frames`.
    - `quality`: rows for quality.csv that the adapter found.
    - `states`: recording, onset_s, offset_s, state.
    """

    cases: pd.DataFrame
    recordings: pd.DataFrame
    columns: Columns
    quality: list[tuple[str, str, str, str]] = field(default_factory=list)
    states: pd.DataFrame | None = None
    subjects_known: bool = True


@dataclass(frozen=True)
class Manifest:
    """The tables of one data set, and the names of their columns by use.

    `case_of_dropped`: the case of each listed recording that was dropped; empty in a manifest that was read from files.
    """

    cases: pd.DataFrame
    recordings: pd.DataFrame
    quality: pd.DataFrame
    columns: Columns
    states: pd.DataFrame | None = None
    subjects_known: bool = True
    case_of_dropped: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the tables and dataset.json into `folder`, each under a temporary name first."""
        for name, table in self._tables().items():
            write_text(folder / f"{name}.csv", csv_parts(table))
        facts = {
            "columns": vars(self.columns),
            "subjects_known": self.subjects_known,
            "digest": self.digest(),
            "counts": {name: len(table) for name, table in self._tables().items()},
        }
        write_json(folder / "dataset.json", facts)

    def digest(self) -> str:
        """Return the SHA-256 of cases and recordings: their ids, labels, covariates and samples."""
        digest = hashlib.sha256()
        for part in chain(csv_parts(self.cases), csv_parts(self.recordings)):
            digest.update(part.encode())
        return digest.hexdigest()

    def _tables(self) -> dict[str, pd.DataFrame]:
        tables = {"cases": self.cases, "recordings": self.recordings, "quality": self.quality}
        states = (
            pd.DataFrame(columns=["recording", "onset_s", "offset_s", "state"]) if self.states is None else self.states
        )
        return {**tables, "states": states}


def csv_parts(table: pd.DataFrame) -> Iterator[str]:
    """Yield a table as CSV, `BLOCK` rows at a time, so that a large one is never one text in memory."""
    for start in range(0, max(1, len(table)), BLOCK):
        yield table.iloc[start : start + BLOCK].to_csv(index=False, header=start == 0)


def load(folder: Path) -> Manifest:
    """Return the manifest in `folder`.

    Ids, labels and sites are strings ('' if missing), covariates are floats (NaN if missing).
    """
    facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    columns = Columns(**facts["columns"])
    cases = read_table(folder / "cases.csv", columns.covariates, exact=True)
    recordings = read_table(folder / "recordings.csv", NUMBERS, exact=True)
    quality = read_table(folder / "quality.csv", [], exact=True)
    return Manifest(cases, recordings, quality, columns, subjects_known=facts["subjects_known"])


def read_table(path: Path, numbers: Iterable[str], exact: bool = False) -> pd.DataFrame:
    """Return a CSV as a table of strings ('' for an empty cell), with the columns `numbers` as floats (NaN for one).

    As spreadsheets save tables: rows, and columns without a name, are skipped if they have no content, and blanks
    around a cell are no part of it; `exact` keeps all cells as `Manifest.write` wrote them. `row_number` gives the
    number of a row in the file.

    Raises DatasetError. It names the file, and the line of a row that does not fit the header, or the row and column
    of a cell that is not a number.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=not exact)
    header: list[str] | None = None
    rows, numbers_of_rows = [], []
    try:
        for number, cells in enumerate(reader, start=1):
            row = cells if exact else [cell.strip() for cell in cells]
            if not any(row):
                continue
            if header is None:
                header = _without_empty_end(row)
                continue
            if len(row) > len(header):
                row = row[: len(header)] + _without_empty_end(row[len(header) :])
            if len(row) != len(header):
                raise DatasetError(
                    f"{path}: line {reader.line_num}: {len(row)} cells under {len(header)} columns; "
                    "every row needs a cell, maybe an empty one, for each column"
                )
            rows.append(row)
            numbers_of_rows.append(number)
    except csv.Error as error:
        raise DatasetError(f"{path}: line {reader.line_num}: not readable as CSV: {error}") from error
    if not header:
        raise DatasetError(f"{path}: line 1 should name the columns; it is empty")
    columns = [number for number, name in enumerate(header) if name or any(row[number] for row in rows)]
    header, rows = [header[number] for number in columns], [[row[number] for number in columns] for row in rows]
    if duplicates := [name for name in header if header.count(name) > 1]:
        raise DatasetError(f"{path}: line 1: the column {duplicates[0]!r} is named twice")
    table = pd.DataFrame(rows, columns=header, dtype=str)
    table.attrs["row_numbers"] = numbers_of_rows
    for column in numbers:
        if column in table:
            values = pd.to_numeric(table[column].replace("", None), errors="coerce")
            is_invalid = ~np.isfinite(values) & (table[column] != "")
            if is_invalid.any():
                row = int(is_invalid.to_numpy().argmax())
                raise DatasetError(
                    f"{path}: row {row_number(table, row)}, column {column!r}: {table[column].iloc[row]!r} is not a "
                    "number; leave the cell empty if there is none"
                )
            table[column] = values
    return table


def row_number(table: pd.DataFrame, position: int) -> int:
    """Return the number of a row of `read_table` in its file, as a spreadsheet shows it: the header is row 1."""
    return table.attrs["row_numbers"][position]


def _without_empty_end(cells: list[str]) -> list[str]:
    count = max((number for number, cell in enumerate(cells, start=1) if cell), default=0)
    return cells[:count]


def read_text(path: Path) -> str:
    """Return the text of a file with any line ends. Raises DatasetError if it is missing, not UTF-8 or not a text."""
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
        raise DatasetError(f"{path}: line {line}: a null byte, which text files do not have; the file is damaged")
    return text


def build(
    listing: Listing,
    root: Path,
    channels: str,
    short_s: float,
    workers: int,
    sample_format: str = "int16",
    distinct_ids: bool = False,
    channel_count: int | None = None,
) -> Manifest:
    """Open every listed recording and return the manifest.

    Parameters
    ----------
    listing : what the adapter returned.
    root : folder to which the paths of the listing are relative.
    channels : `mean` or `all` (see `config.Dataset`).
    short_s : recordings shorter than this get a row `short`.
    workers : number of threads that read.
    sample_format, distinct_ids : see `config.Dataset`.
    channel_count : with `all`, the number of channels that a recording needs; None: any.

    An unusable recording is dropped with a row in `quality`. Raises DatasetError, which names the row, for a
    structural error.
    """
    _check_structure(listing, root, distinct_ids)

    def open_recording(row: dict) -> audio.Facts | audio.Unusable:
        interval = [None if pd.isna(row[key]) else float(row[key]) for key in ("onset_s", "offset_s")]
        try:
            facts = audio.inspect(root / row["path"], *interval, short_s, channels == "mean", sample_format)
        except audio.Unusable as problem:
            if problem.problem == "missing":
                return audio.Unusable("missing", _missing(root, row["path"]))
            return problem
        except audio.SampleFormatError as error:
            raise DatasetError(f"recording {row['recording']!r}: {error}") from None
        if channels == "all" and channel_count not in (None, facts.channels):
            return audio.Unusable("channels", f"{facts.channels} instead of the study's {channel_count} channels")
        return facts

    table = listing.recordings.sort_values("recording")
    quality = [tuple(row) for row in listing.quality]
    readable, facts_of_files, first_recording, case_of_dropped = [], [], {}, {}
    for position, (row, result) in enumerate(_in_blocks(open_recording, table, workers)):
        name = row["recording"]
        if isinstance(result, audio.Unusable):
            quality.append((name, result.problem, "dropped", str(result)))
            case_of_dropped[name] = row["case"]
            continue
        quality += [(name, problem, "kept", detail) for problem, detail in result.problems]
        quality += [(name, problem, "kept", detail) for problem, detail in _header_problems(row, result)]
        if result.sha256 in first_recording:
            quality.append((name, "duplicate", "kept", f"the same samples as {first_recording[result.sha256]}"))
        first_recording.setdefault(result.sha256, name)
        readable.append(position)
        facts_of_files.append(tuple(getattr(result, key) for key in FACTS))
    if not readable:
        raise DatasetError(f"{root}: none of the {len(table)} recordings listed can be read{_first_reasons(quality)}")
    columns = listing.columns
    case_columns = [*columns.groups, *columns.attributes, *columns.labels, *columns.covariates]
    cases = listing.cases[["case", "subject", *case_columns]]
    recordings = table.iloc[readable].reset_index(drop=True)
    recordings[FACTS] = pd.DataFrame(facts_of_files, columns=FACTS)
    recordings["subject"] = recordings["case"].map(listing.cases.set_index("case")["subject"])
    recordings = recordings.reindex(columns=[*RECORDING_COLUMNS, *columns.recording_labels])
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
        case_of_dropped,
    )


def _in_blocks(function: Callable, table: pd.DataFrame, workers: int) -> Iterator[tuple[dict, object]]:
    """Yield each row and what the function returns for it, computed by threads for `BLOCK` rows at a time."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(table), BLOCK):
            rows = table.iloc[start : start + BLOCK].to_dict("records")
            yield from zip(rows, pool.map(function, rows), strict=True)


def _missing(root: Path, path: str) -> str:
    """Return the detail of a missing file: the path, and a file whose name differs in writing only."""
    similar_path = nearby(root, path)
    if similar_path and unicodedata.normalize("NFC", similar_path) == unicodedata.normalize("NFC", path):
        return f"there is no file {path!r}; there is one whose name looks the same in another Unicode form"
    return f"there is no file {path!r}" + (f"; there is {similar_path!r}" if similar_path else "")


def _first_reasons(quality: list[tuple]) -> str:
    reasons = [f"{name}: {detail}" for name, _, action, detail in quality if action == "dropped"]
    return f" ({'; '.join(reasons[:3])}{', …' if len(reasons) > 3 else ''})" if reasons else ""


def _header_problems(row: dict, facts: audio.Facts) -> list[tuple[str, str]]:
    problems = []
    if pd.notna(row.get("header_rate_hz")) and int(row["header_rate_hz"]) != facts.rate_hz:
        problems.append(
            (
                "rate",
                f"the header states {int(row['header_rate_hz'])} Hz, the file {facts.rate_hz}: the file's is used",
            )
        )
    if pd.notna(row.get("header_frames")) and int(row["header_frames"]) != facts.frames:
        problems.append(
            ("header", f"the header states {int(row['header_frames'])} samples, the file has {facts.frames}")
        )
    return problems


def _check_structure(listing: Listing, root: Path, distinct_ids: bool) -> None:
    cases, recordings = listing.cases, listing.recordings
    if cases.empty:
        raise DatasetError(f"{root}: no cases found")
    for table, key in ((cases, "case"), (cases, "subject"), (recordings, "recording")):
        if (table[key].astype(str).str.strip() == "").any():
            raise DatasetError(f"{root}: a row without {key} id")
        for name in table[key].astype(str):
            if problem := ids.problem_of(name):
                raise DatasetError(f"{root}: {key} {name!r} cannot be an id: {problem}; rename it")
    for key in ("subject", "case"):
        if not distinct_ids and (pair := ids.same_but_for_writing(cases[key].astype(str))):
            raise DatasetError(
                f"{root}: the {key} ids {pair[0]!r} and {pair[1]!r} differ in writing only; write them alike, or, if "
                "they are two, set dataset.distinct_ids: true"
            )
    for table, key in ((cases, "case"), (recordings, "recording")):
        duplicates = table[key][table[key].duplicated()]
        if len(duplicates):
            raise DatasetError(f"{root}: {key} {duplicates.iloc[0]!r} is listed twice")
    unknown_cases = set(recordings["case"]) - set(cases["case"])
    if unknown_cases:
        case = min(unknown_cases)
        recording = recordings.loc[recordings["case"] == case, "recording"].iloc[0]
        raise DatasetError(f"{root}: recording {recording!r} belongs to case {case!r}, which is not among the cases")
    real_root = os.path.realpath(root)
    for name, path in zip(recordings["recording"], recordings["path"], strict=True):
        if not path:
            raise DatasetError(f"{root}: recording {name!r} has no path")
        if not os.path.realpath(Path(real_root, path)).startswith(real_root + os.sep):
            raise DatasetError(
                f"{root}: recording {name!r}: the path {path!r} is outside this folder; recordings must be inside it"
            )


def raw_digest(files: Iterable[Path], root: Path, memory: Path) -> str:
    """Return the SHA-256 of names and contents of a release's files.

    `memory` is a JSON file with the size, time stamp and digest of each file. A file is read again only if its size
    or time stamp has changed, so that the digest of an unchanged release takes milliseconds, and a new time stamp
    alone does not change it. One change is not noticed: new content of the same size with the old time stamp.
    """
    try:
        old_entries = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old_entries = {}
    old_entries = old_entries if isinstance(old_entries, dict) else {}
    entries = {}
    for file in sorted(files):
        stat = file.stat()
        name = str(file.relative_to(root))
        entry = old_entries.get(name)
        if entry and entry[:2] == [stat.st_size, stat.st_mtime_ns]:
            entries[name] = entry
        else:
            with file.open("rb") as stream:
                entries[name] = [
                    stat.st_size,
                    stat.st_mtime_ns,
                    hashlib.file_digest(stream, "sha256").hexdigest(),
                ]
    if entries != old_entries:
        write_json(memory, entries)
    return hashlib.sha256(json.dumps([[name, entry[2]] for name, entry in entries.items()]).encode()).hexdigest()
