"""Breath phase: one-second stethoscope clips of breathing in or out, as train.csv and train/*.wav.

A clip is named `steth_<date>_<time>_<number>.wav`; it was cut from the recording of that date and time. The persons
are unknown. The day is used as the subject, since clips of one day share room, device and perhaps persons.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_table, row_number
from auscult.datasets.walk import files_in

PHASES = {"I": "inhale", "E": "exhale"}
NAME = re.compile(r"steth_(\d{8})_(\d\d_\d\d_\d\d)_\d+\.wav")


class Options(BaseModel):
    """The adapter has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    return [*root.glob("train.csv"), *files_in(root / "train", ".wav")]


def ingest(root: Path, options: Options) -> Listing:
    """Read the clips of train.csv: a clip is a case, its day is the subject, its recording is the group `source`."""
    path = root / "train.csv"
    table = read_table(path, [])
    if missing := [name for name in ("file_name", "label") if name not in table]:
        raise DatasetError(f"{path}: no column {missing[0]!r}; it has {', '.join(table.columns)}")
    if (is_duplicate := table["file_name"].duplicated()).any():
        position = int(is_duplicate.to_numpy().argmax())
        raise DatasetError(
            f"{path}: row {row_number(table, position)}: {table['file_name'][position]!r} is listed twice; remove one"
        )
    rows = []
    for position, (file, label) in enumerate(zip(table["file_name"], table["label"], strict=True)):
        match = NAME.fullmatch(file)
        if not match:
            raise DatasetError(
                f"{path}: row {row_number(table, position)}, column 'file_name': {file!r} is not "
                "steth_<date>_<time>_<clip>.wav"
            )
        if label not in PHASES:
            raise DatasetError(f"{path}: row {row_number(table, position)}, column 'label': {label!r} is not I or E")
        day, time = match.groups()
        clip = file.removesuffix(".wav")
        rows.append((clip, day, f"{day}_{time}", PHASES[label], f"train/{file}"))
    clips = pd.DataFrame(rows, columns=["case", "subject", "source", "phase", "path"])
    listed_files = set(table["file_name"])
    unlisted_files = [path.name for path in files_in(root / "train", ".wav") if path.name not in listed_files]
    quality = [(Path(name).stem, "unlisted", "dropped", f"train.csv does not list {name}") for name in unlisted_files]
    recordings = clips[["case", "path"]].assign(recording=clips["case"], site="", onset_s=None, offset_s=None)
    columns = Columns(groups=["source"], labels=["phase"])
    return Listing(clips.drop(columns="path"), recordings, columns, quality)
