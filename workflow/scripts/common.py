"""What scripts share: where their words go, and how parameters and tables become the library's objects."""

import re
import sys
from pathlib import Path

import pandas as pd

from auscult.progress import log_to


def begin(snakemake) -> None:
    """Send all output of this job to its log file."""
    log_to(snakemake.log[0])
    plain_errors()


def plain_errors() -> None:
    """An error that the library raises on purpose ends in its words alone, any other in a traceback."""

    def show(kind, error, trace) -> None:
        if kind.__module__.startswith("auscult."):
            print(f"{kind.__name__}: {error}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = show


def folder_of(paths) -> Path:
    """The folder that all of some files lie in."""
    return Path(paths[0]).parent


def fold_of(name: str) -> tuple[int, int]:
    """Repeat and fold of a name such as r0f3 or r0f3s1."""
    return tuple(int(number) for number in re.match(r"r(\d+)f(\d+)", name).groups())


def inner_of(name: str) -> int | None:
    """Number of the inner fold of a name such as r0f3i1 or r0f3i1s0; None for a fold itself."""
    found = re.match(r"r\d+f\d+i(\d+)", name)
    return int(found.group(1)) if found else None


def read_folds(path: str, name: str) -> pd.DataFrame:
    """The table of folds; for a name of an inner fold, the table of inner folds as if that one were the folds."""
    table, inner = read_rows(path), inner_of(name)
    return table if inner is None else table[table["inner"] == inner].drop(columns="inner")


WORDS = ["case", "recording", "site", "subject", "label", "prediction", "fit_on", "chosen_on", "should_refer"]


def read_rows(path: str) -> pd.DataFrame:
    """A table of cases or recordings: ids and labels as they are written, '' when missing, whatever they look like."""
    table = pd.read_csv(path, dtype=dict.fromkeys(WORDS, str), keep_default_na=False, na_values=[""])
    return table.fillna({word: "" for word in WORDS if word in table})


def with_inner(cases: str, recordings: str, inner: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outputs of a fold, cases and recordings, with those of its inner folds (the same two tables, or none)."""
    tables = []
    for path in (cases, recordings):
        mine = [read_rows(other) for other in inner if Path(other).name == Path(path).name]
        tables.append(pd.concat([read_rows(path), *mine], ignore_index=True))
    return tuple(tables)


def read_histories(paths: list[str]) -> pd.DataFrame:
    """history.csv of model folders `…/<system>/<task>/<network>`, with those words as columns."""
    parts = []
    for path in map(Path, paths):
        system, task, network = path.parts[-4:-1]
        parts.append(pd.read_csv(path).assign(system=system, task=task, network=network))
    return pd.concat(parts, ignore_index=True)


def read_importances(paths: list[str]) -> pd.DataFrame:
    """importances.csv of fusions `…/<system>/<fold>/`, with those words as columns; empty without any."""
    parts = [pd.read_csv(path).assign(system=Path(path).parts[-3], fold=Path(path).parts[-2]) for path in paths]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
