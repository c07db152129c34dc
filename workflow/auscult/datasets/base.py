"""The manifest: the tables of a data set that all later stages read, in the same form for every data set.

An adapter parses a release into a `Listing`, of which `build` makes a `Manifest`. `Manifest.write` and `load` write and
read its files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pandas as pd

from auscult.provenance import write_json, write_text

FACTS = ["rate_hz", "channels", "frames", "sha256"]
RECORDING_COLUMNS = ["recording", "case", "subject", "site", "path", "onset_s", "offset_s", *FACTS]
HEADER_COLUMNS = ["header_rate_hz", "header_frames"]  # of a listing whose files have headers
QUALITY_COLUMNS = ["recording", "problem", "action", "detail"]
BLOCK = 1_000  # rows of a table that are handled at a time
NUMBERS = ["onset_s", "offset_s", "rate_hz", "channels", "frames"]


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
    cases = _read(folder / "cases.csv", columns.covariates)
    recordings = _read(folder / "recordings.csv", NUMBERS)
    quality = _read(folder / "quality.csv", [])
    return Manifest(cases, recordings, quality, columns, subjects_known=facts["subjects_known"])


def _read(path: Path, numbers: list[str]) -> pd.DataFrame:
    """Return a table that `Manifest.write` wrote. pandas guesses numbers by itself, but would read the id 007 as 7."""
    texts = pd.read_csv(path, nrows=0).columns.difference(numbers)
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values={name: [""] for name in numbers},
        lineterminator="\n",  # a carriage return is part of a cell
    )
