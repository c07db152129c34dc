"""Sound files in folders that are named by their class, and the two tables that make a data set of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.datasets.walk import SOUNDS, files_below
from auscult.provenance import write_text

LABEL = "label"


def class_folders(root: Path) -> dict[str, list[Path]]:
    """Return the sound files below each folder of `root`, sorted; {} unless at least two folders have some."""
    files_of_class: dict[str, list[Path]] = {}
    for path in sorted(files_below(root)):
        parts = path.relative_to(root).parts
        if len(parts) > 1 and path.suffix.lower() in SOUNDS:
            files_of_class.setdefault(parts[0], []).append(path)
    return files_of_class if len(files_of_class) > 1 else {}


def write_tables(root: Path, files: dict[str, list[Path]]) -> list[Path]:
    """Write cases.csv and recordings.csv: a case per file, labelled by its folder. Subjects are not known.

    The id of a case is the path of its file without the suffix. Raises FileExistsError where a table is there.
    """
    paths = [path for of_class in files.values() for path in of_class]
    names = [path.relative_to(root).with_suffix("").as_posix().replace("/", "__") for path in paths]
    if len(set(names)) < len(names):  # a.wav beside a.flac
        names = [path.relative_to(root).as_posix().replace("/", "__") for path in paths]
    labels = [name for name, of_class in files.items() for _ in of_class]
    tables = {
        "cases.csv": pd.DataFrame({"case": names, LABEL: labels}),
        "recordings.csv": pd.DataFrame(
            {"recording": names, "case": names, "path": [path.relative_to(root).as_posix() for path in paths]}
        ),
    }
    for name in tables:
        if (root / name).exists():
            raise FileExistsError(root / name)
    for name, table in tables.items():
        write_text(root / name, table.to_csv(index=False))
    return [root / name for name in tables]
