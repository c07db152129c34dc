"""Your own data: audio files in a folder with two tables, cases.csv and recordings.csv.

cases.csv has a row per case: `case`, the label columns, and, if known, `subject`, group and covariate columns.
recordings.csv has a row per recording: `recording`, `case`, `path` (relative to the folder), and, if needed, `site`,
`onset_s` and `offset_s` (an interval of the file) and label columns of the recording.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from auscult.config.base import ClassName
from auscult.datasets.base import (
    HEADER_COLUMNS,
    RECORDING_COLUMNS,
    Columns,
    DatasetError,
    Listing,
    read_table,
    row_number,
)

UNKNOWN = {"", "na", "n/a", "nan", "none", "null", "unknown", "?", "-"}
"""Cells, in lower case, that do not name a subject."""


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
    """Return the files that `ingest` reads."""
    files = (path for path in root.rglob("*") if path.is_file())
    return [path for path in files if not any(part[0] == "." for part in path.relative_to(root).parts)]


def ingest(root: Path, options: Options) -> Listing:
    """Read the two tables. Raises DatasetError, which names file, row and column."""
    cases = read_table(root / "cases.csv", options.covariates)
    recordings = read_table(root / "recordings.csv", ["onset_s", "offset_s"])
    case_columns = ["case", *options.labels, *options.groups, *options.covariates]
    _require_columns(root / "cases.csv", cases, case_columns)
    _require_columns(root / "recordings.csv", recordings, ["recording", "case", "path", *options.recording_labels])
    for column, allowed in options.labels.items():
        for position, cell in enumerate(cases[column]):
            for value in cell.split("|") if cell and allowed else []:
                if value not in allowed:
                    raise DatasetError(
                        f"{root / 'cases.csv'}: row {row_number(cases, position)}, column {column!r}: {value!r} is "
                        f"not one of {', '.join(allowed)} (dataset.options.labels)"
                    )
    subjects_known = "subject" in cases
    if not subjects_known:
        cases["subject"] = cases["case"]
    elif (is_unknown := cases["subject"].str.casefold().isin(UNKNOWN)).any():
        position = int(is_unknown.to_numpy().argmax())
        raise DatasetError(
            f"{root / 'cases.csv'}: row {row_number(cases, position)}, column 'subject': "
            f"{cases['subject'][position]!r} names no subject; name the subject of every case, or leave the column out"
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
    for column, default in (("site", ""), ("onset_s", None), ("offset_s", None)):
        if column not in recordings:
            recordings[column] = default
    columns = Columns(
        groups=options.groups,
        labels=list(options.labels),
        covariates=options.covariates,
        recording_labels=options.recording_labels,
    )
    return Listing(cases, recordings, columns, subjects_known=subjects_known)


def _require_columns(path: Path, table, columns: list[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise DatasetError(f"{path}: no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
