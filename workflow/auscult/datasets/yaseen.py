"""The heart sounds of Yaseen, Son and Kwon (Applied Sciences 8, 2344, 2018): 200 WAV files of each of five classes.

The archives of the release are unpacked into one folder per class, whose name is the class (`AS`) or begins with it
(`AS_New_...`). A case is one recording. The release does not name subjects, so every recording is its own, and the
column `leak` of every table contains `subjects unknown`; parts of one longer recording may be in training and test.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.walk import files_in

DIAGNOSES = {
    "N": "normal",
    "AS": "aortic stenosis",
    "MR": "mitral regurgitation",
    "MS": "mitral stenosis",
    "MVP": "mitral valve prolapse",
}
NAMES = {*DIAGNOSES, "NORMAL"}


class Options(BaseModel):
    """The adapter has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _folders(root: Path) -> list[tuple[str, Path]]:
    """Return (class, folder) of the folders whose names begin with a class."""
    folders = [(re.split("[^a-z]", path.name, flags=re.IGNORECASE)[0].upper(), path) for path in sorted(root.iterdir())]
    return [("N" if name == "NORMAL" else name, path) for name, path in folders if name in NAMES and path.is_dir()]


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads; none of a folder that has at most one of the classes."""
    folders = _folders(root)
    if len({name for name, _ in folders}) < 2:
        return []
    return [path for _, folder in folders for path in files_in(folder, ".wav")]


def ingest(root: Path, options: Options) -> Listing:
    """Read the recordings of each folder. Labels: `diagnosis`, and `abnormal` (abnormal or normal)."""
    rows, folder_of = [], {}
    folders = {path for _, path in _folders(root)}
    others = [path for path in sorted(root.iterdir()) if path not in folders and files_in(path, ".wav")]
    if folders and others:
        raise DatasetError(
            f"{others[0]}: has WAV files, but its name does not begin with a class ({', '.join(DIAGNOSES)}); rename "
            "it, or move it away"
        )
    for name, folder in _folders(root):
        for path in files_in(folder, ".wav"):
            if path.stem in folder_of:
                raise DatasetError(
                    f"{path}: {folder_of[path.stem]} has a recording of this name too, so that its class is not clear; "
                    "remove or rename one"
                )
            folder_of[path.stem] = folder.name
            abnormal = "normal" if name == "N" else "abnormal"
            rows.append((path.stem, path.stem, DIAGNOSES[name], abnormal, f"{folder.name}/{path.name}"))
    table = pd.DataFrame(rows, columns=["case", "subject", "diagnosis", "abnormal", "path"])
    recordings = table[["case", "path"]].assign(recording=table["case"], site="", onset_s=None, offset_s=None)
    return Listing(
        table.drop(columns="path"), recordings, Columns(labels=["diagnosis", "abnormal"]), subjects_known=False
    )
