"""Your own data: audio files in a folder with two tables, cases.csv and recordings.csv.

cases.csv has a row per case: `case`, the label columns, and, if known, `subject`, group and covariate columns.
recordings.csv has a row per recording: `recording`, `case`, `path` (relative to the folder), and, if needed, `site`,
`onset_s` and `offset_s` (an interval of the file) and label columns of the recording.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from auscult.config.base import ClassName
from auscult.datasets.base import HEADER_COLUMNS, ID_SEPARATOR, RECORDING_COLUMNS, Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_table, row_number
from auscult.datasets.walk import SOUNDS, files_below, files_in, is_file

SUBJECT_WORDS = {
    *("subject", "subj", "patient", "pat", "pt", "person", "participant", "speaker", "individual", "user", "proband"),
    *("volunteer", "donor", "mrn", "pid"),
}
ID_WORDS = {"id", "ids", "no", "nr", "num", "number", "code", "name", "key", "uid", "uuid", "guid", "hash", "pseudonym"}
OTHER_NAMES = {
    "site": {
        *("location", "auscultationsite", "auscultationlocation", "bodysite", "bodylocation", "chestlocation"),
        *("recordingsite", "recordinglocation", "auscultationpoint", "auscultationarea"),
    },
    "onset_s": {"onset", "start", "begin", "starttime", "tstart", "t0"},
    "offset_s": {"offset", "end", "stop", "endtime", "tend", "t1"},
}
"""Other usual names of columns, in small letters, without signs and units."""
UNITS = {"s", "sec", "secs", "seconds", "ms", "sample", "samples", "frame", "frames"}
KEYS = ("recording", "case", "path")  # of recordings.csv
UNKNOWN = {"", "na", "nan", "none", "null", "unknown", "missing", "tbd", "notavailable", "notknown"}
"""Letters and digits, in lower case, of cells that do not name a subject."""


class Options(BaseModel):
    """The columns of the two tables, by their use."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    labels: dict[str, list[ClassName]] = Field(
        description="Label columns of cases.csv with their allowed values; `[]` allows any. Several labels of one "
        "case are joined by `|`; an empty cell is an unlabelled case."
    )
    groups: list[str] = Field(default=[], description="Columns of cases.csv that name units such as a day or a source.")
    covariates: list[str] = Field(default=[], description="Columns of cases.csv with numbers.")
    recording_labels: list[str] = Field(default=[], description="Label columns of recordings.csv.")

    @model_validator(mode="after")
    def _one_use(self) -> Options:
        case_columns = ["case", "subject", *self.labels, *self.groups, *self.covariates]
        recording_columns = [*RECORDING_COLUMNS, *HEADER_COLUMNS, *self.recording_labels]
        if duplicates := [
            name for names in (case_columns, recording_columns) for name in names if names.count(name) > 1
        ]:
            raise ValueError(f"the column {duplicates[0]!r} is named for two uses; give one another name in the table")
        return self


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads: the two tables and what recordings.csv names.

    If recordings.csv cannot be read, these are all files below the root, and `ingest` gives the reason.
    """
    tables = [path for path in (root / "cases.csv", root / "recordings.csv") if path.is_file()]
    try:
        names = dict.fromkeys(read_table(root / "recordings.csv", [])["path"])
    except (DatasetError, KeyError):
        return list(files_below(root))
    paths = dict.fromkeys(root / name for name in names if name and "\0" not in name)
    samples = [file for path in paths if path.suffix == ".hea" and is_file(path) for file in _sample_files(path)]
    return [*tables, *(path for path in dict.fromkeys([*paths, *samples]) if _is_inside(path, root))]


def _sample_files(header: Path) -> list[Path]:
    """Return the files that the lines of a WFDB header name, and others of its name."""
    lines = header.read_bytes().decode("utf-8", "replace").splitlines()
    names = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    names |= {header.with_suffix(suffix).name for suffix in (".dat", ".mat")}
    return [header.parent / name for name in sorted(names) if "/" not in name and "\0" not in name]


def _is_inside(path: Path, root: Path) -> bool:
    return is_file(path) and path.resolve().is_relative_to(root.resolve())


def ingest(root: Path, options: Options) -> Listing:
    """Read the two tables. Raises DatasetError, which names file, row and column."""
    cases = read_table(root / "cases.csv", options.covariates)
    recordings = read_table(root / "recordings.csv", ["onset_s", "offset_s"])
    case_columns = ["case", *options.labels, *options.groups, *options.covariates]
    _require_columns(root / "cases.csv", cases, case_columns)
    _require_columns(root / "recordings.csv", recordings, [*KEYS, *options.recording_labels])
    for column, known_words in options.labels.items():
        for position, cell in enumerate(cases[column]):
            for value in cell.split("|") if cell and known_words else []:
                if value not in known_words:
                    raise DatasetError(
                        f"{root / 'cases.csv'}: row {row_number(cases, position)}, column {column!r}: {value!r} is "
                        f"not one of {', '.join(known_words)} (dataset.options.labels)"
                    )
    for path, table, key in (
        (root / "cases.csv", cases, "case"),
        *((root / "recordings.csv", recordings, key) for key in KEYS),
    ):
        if (is_empty := table[key] == "").any():
            row = row_number(table, int(is_empty.to_numpy().argmax()))
            raise DatasetError(f"{path}: row {row}, column {key!r}: the cell is empty; fill it, or remove the row")
    _refuse_misspelt(root / "cases.csv", cases, ["subject"], case_columns)
    _refuse_misspelt(root / "recordings.csv", recordings, ["site", "onset_s", "offset_s"], options.recording_labels)
    if "subject" not in cases and (names := subject_columns(set(cases) - set(case_columns))):
        raise DatasetError(
            f"{root / 'cases.csv'}: no column 'subject', but {names[0]!r}: is it who was recorded? Rename it to "
            "'subject', or name it in dataset.options"
        )
    _check_subjects_of_recordings(root / "recordings.csv", cases, recordings, options)
    subjects_known = "subject" in cases
    if not subjects_known:
        cases["subject"] = cases["case"]
    elif (is_unknown := cases["subject"].map(_names_nobody)).any():
        position = int(is_unknown.to_numpy().argmax())
        raise DatasetError(
            f"{root / 'cases.csv'}: row {row_number(cases, position)}, column 'subject': "
            f"{cases['subject'][position]!r} names no subject; name the subject of every case, or leave the column out"
        )
    if subjects_known and (is_pair := cases["subject"].str.contains(ID_SEPARATOR, regex=False)).any():
        position = int(is_pair.to_numpy().argmax())
        raise DatasetError(
            f"{root / 'cases.csv'}: row {row_number(cases, position)}: the subject {cases['subject'][position]!r} "
            f"contains {ID_SEPARATOR!r}, which joins two ids of one person; use another sign"
        )
    if (subjects := cases.groupby("case")["subject"].nunique()).gt(1).any():
        raise DatasetError(f"{root / 'cases.csv'}: case {subjects.idxmax()!r} is listed under two subjects")
    for path, table, key in ((root / "cases.csv", cases, "case"), (root / "recordings.csv", recordings, "recording")):
        if (is_duplicate := table[key].duplicated()).any():
            position = int(is_duplicate.to_numpy().argmax())
            raise DatasetError(
                f"{path}: row {row_number(table, position)}: {key} {table[key][position]!r} is listed twice; ids are "
                "unique"
            )
    if (is_unknown := ~recordings["case"].isin(cases["case"])).any():
        position = int(is_unknown.to_numpy().argmax())
        raise DatasetError(
            f"{root / 'recordings.csv'}: row {row_number(recordings, position)}, column 'case': "
            f"{recordings['case'][position]!r} is not among the cases of cases.csv"
        )
    for column, default in (("site", ""), ("onset_s", None), ("offset_s", None)):
        if column not in recordings:
            recordings[column] = default
    columns = Columns(
        groups=options.groups,
        labels=list(options.labels),
        covariates=options.covariates,
        recording_labels=options.recording_labels,
    )
    paths = {os.path.normpath(path) for path in recordings["path"]}
    # beside listed files only: below the root there may be other data sets
    quality = [
        (path.stem, "unlisted", "dropped", f"recordings.csv does not list {name}")
        for folder in sorted({Path(path).parent for path in paths if is_file(root / path)})
        for path in files_in(root / folder, *SOUNDS)
        if (name := (folder / path.name).as_posix()) not in paths
    ]
    return Listing(cases, recordings, columns, quality, subjects_known=subjects_known)


def _check_subjects_of_recordings(path: Path, cases: pd.DataFrame, recordings: pd.DataFrame, options: Options) -> None:
    """Raise DatasetError where recordings.csv names other persons than cases.csv, which alone is read for them."""
    names = subject_columns(set(recordings) - set(options.recording_labels) - {"subject"})
    if "subject" in recordings and "subject" in cases:
        subject_of = dict(zip(cases["case"], cases["subject"], strict=True))
        expected = recordings["case"].map(subject_of)
        if (differs := expected.notna() & (recordings["subject"] != expected)).any():
            position = int(differs.to_numpy().argmax())
            raise DatasetError(
                f"{path}: row {row_number(recordings, position)}, column 'subject': {recordings['subject'][position]!r}"
                f", but cases.csv has {expected[position]!r} for its case; a case is of one subject"
            )
    elif "subject" in recordings or (names and "subject" not in cases):
        name = "subject" if "subject" in recordings else names[0]
        raise DatasetError(
            f"{path}: the column {name!r} is about persons, and cases.csv has no column 'subject': add it there, for "
            "every case"
        )


def _names_nobody(subject: str) -> bool:
    """Whether a cell says that the subject is not known, or has an error of a spreadsheet (`#REF!`)."""
    letters = "".join(letter for letter in subject.casefold() if letter.isalnum() or letter == ID_SEPARATOR)
    return letters in UNKNOWN or re.fullmatch(r"#\S*[!?]", subject) is not None


def subject_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns whose names say that they name a person, such as `patient_id` and `Subject No`."""
    names = []
    for column in columns:
        words = re.findall("[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", column).casefold())
        plain = "".join(word for word in words if word not in ID_WORDS)
        ends = ("", "id", "ids", "uid", "uuid")
        if any(plain.removesuffix(end).removesuffix("s") in SUBJECT_WORDS for end in ends):
            names.append(column)
    return sorted(names)


def _refuse_misspelt(path: Path, table: pd.DataFrame, names: list[str], other_uses: list[str]) -> None:
    """Raise DatasetError for a column that is nearly a missing one, which would otherwise be left out silently."""
    columns = {column.casefold().strip(): column for column in table if column not in other_uses}
    for name in [name for name in names if name not in table]:
        matches = difflib.get_close_matches(name, columns, 1, 0.9)
        others = [column for column in columns if _without_unit(column) in OTHER_NAMES.get(name, set())]
        matches += [column for column in others if name == "site" or _has_numbers(table[columns[column]])]
        if matches:
            unit = " (in seconds)" if name.endswith("_s") else ""
            raise DatasetError(
                f"{path}: no column {name!r}, but {columns[matches[0]]!r}: is {name!r}{unit} meant? Rename the column; "
                "if it is another label, name it in dataset.options.recording_labels"
            )


def is_other_name(column: str) -> bool:
    """Whether a column of recordings.csv has another usual name of one that is read."""
    return _without_unit(column.casefold()) in set().union(*OTHER_NAMES.values())


def _has_numbers(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells[cells != ""], errors="coerce").notna().all())


def _without_unit(column: str) -> str:
    """A name of a column without signs and a unit: `Start (sec)` and `start_sample` are `start`."""
    words = re.findall("[a-z0-9]+", column)
    return "".join(words[:-1] if len(words) > 1 and words[-1] in UNITS else words)


def _require_columns(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise DatasetError(f"{path}: no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
