"""PTB-XL, 12-lead ECGs of 10 s (PhysioNet, version 1.0.3), in its published folder structure.

A case is one record, and the subject is the patient. The statements of a record become one label column per set. A
record with no statement of a set has the label `none` there, which is a class, not a missing label.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from auscult.datasets import download
from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_table, row_number
from auscult.datasets.wfdb_record import LEADS

URL = "https://physionet.org/files/ptb-xl/1.0.3/"
SETS = ["superclass", "subclass", "form", "rhythm"]
COVARIATES = ["age_years", "female", "height_cm", "weight_kg"]
HIDDEN_AGE = 300.0  # in the release, an age above 89
OLDEST = 90.0


class Options(BaseModel):
    """Options of the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rate_hz: Literal[100, 500] = Field(default=100, description="Which of the two versions of a record is read.")
    url: str = Field(default=URL, description="Where `snakemake download` fetches the release from.")


def fetch(root: Path, options: Options, log: Callable[[str], None] = print) -> None:
    """Download the release into `root`; raises download.DownloadError."""
    download.fetch_release(options.url, root, log)


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    tables = [root / name for name in ("ptbxl_database.csv", "scp_statements.csv")]
    records = (root / f"records{options.rate_hz}").glob("*/[!.]*")
    return [
        *(path for path in tables if path.is_file()),
        *(path for path in records if path.suffix in {".hea", ".dat"}),
    ]


def ingest(root: Path, options: Options) -> Listing:
    """Read the records that ptbxl_database.csv lists, with their statements, patients and folds."""
    statement_sets = _statements(root / "scp_statements.csv")
    path = root / "ptbxl_database.csv"
    table = read_table(path, ["age", "sex", "height", "weight"])
    file_column = "filename_lr" if options.rate_hz == 100 else "filename_hr"
    required_columns = [
        "ecg_id",
        "patient_id",
        "age",
        "sex",
        "height",
        "weight",
        "scp_codes",
        "strat_fold",
        file_column,
    ]
    if missing := [name for name in required_columns if name not in table]:
        raise DatasetError(f"{path}: no column {missing[0]!r}; it has {', '.join(table.columns)}")
    if (is_no_id := ~table["patient_id"].str.fullmatch(r"[0-9]{1,9}(\.0*)?")).any():
        position = int(is_no_id.to_numpy().argmax())
        raise DatasetError(
            f"{path}: row {row_number(table, position)}, column 'patient_id': {table['patient_id'][position]!r} is not "
            "a whole number; every record needs its patient"
        )
    labels = [
        _labels(cell, statement_sets, path, number)
        for number, cell in zip(table.attrs["row_numbers"], table["scp_codes"], strict=True)
    ]
    cases = pd.DataFrame(
        {
            "case": table["ecg_id"],
            "subject": table["patient_id"].astype(float).astype(int).astype(str),
            "strat_fold": table["strat_fold"],
            **{name: [row[name] for row in labels] for name in SETS},
            "age_years": table["age"].mask(table["age"] == HIDDEN_AGE, OLDEST),
            "female": table["sex"],  # 0 male, 1 female
            "height_cm": table["height"],
            "weight_kg": table["weight"],
        }
    )
    recordings = pd.DataFrame(
        {"recording": cases["case"], "case": cases["case"], "site": "", "path": table[file_column] + ".hea"}
    ).assign(onset_s=None, offset_s=None)
    columns = Columns(attributes=["strat_fold"], labels=SETS, covariates=COVARIATES, channels=LEADS)
    listed_paths = set(recordings["path"])
    quality = [
        (file.stem, "unlisted", "dropped", f"ptbxl_database.csv does not list {name}")
        for file in sorted((root / f"records{options.rate_hz}").glob("*/[!.]*.hea"))
        if (name := file.relative_to(root).as_posix()) not in listed_paths
    ]
    return Listing(cases, recordings, columns, quality)


def _statements(path: Path) -> dict[str, dict[str, str]]:
    """Return, for each set of labels, the label of every statement; '' for one that does not belong to it."""
    table = read_table(path, [])
    code = table.columns[0]
    for name in ("form", "rhythm", "diagnostic_class", "diagnostic_subclass"):
        if name not in table:
            raise DatasetError(f"{path}: no column {name!r}; it has {', '.join(table.columns)}")
    sets: dict[str, dict[str, str]] = {name: {} for name in SETS}
    if (is_duplicate := table[code].duplicated()).any():
        position = int(is_duplicate.to_numpy().argmax())
        raise DatasetError(f"{path}: row {row_number(table, position)}: {table[code][position]!r} is listed twice")
    for row in table.to_dict("records"):
        label_of_set = {"superclass": row["diagnostic_class"], "subclass": row["diagnostic_subclass"]}
        label_of_set |= {name: row[code] if row[name] else "" for name in ("form", "rhythm")}
        for name, label in label_of_set.items():
            sets[name][row[code]] = label
    return sets


def _labels(cell: str, sets: dict[str, dict[str, str]], path: Path, number: int) -> dict[str, str]:
    """Return the labels of one record by set, joined by `|`.

    A statement counts at any likelihood, also at 0 (unknown).
    """
    try:
        codes = ast.literal_eval(cell)
        if not isinstance(codes, dict):
            raise ValueError
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise DatasetError(
            f"{path}: row {number}, column 'scp_codes': {cell!r} is not a dictionary of statements"
        ) from None
    if unknown := [code for code in codes if code not in sets["superclass"]]:
        raise DatasetError(
            f"{path}: row {number}, column 'scp_codes': {unknown[0]!r} is no statement of scp_statements.csv"
        )
    return {name: "|".join(sorted({labels[code] for code in codes} - {""})) or "none" for name, labels in sets.items()}
