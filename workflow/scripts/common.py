"""Functions that scripts share: logging, and turning parameters and tables into the library's objects."""

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from auscult.plan.names import NetworkName, inner_set
from auscult.progress import log_to
from auscult.provenance import PLANNED, require_code
from auscult.result_tables import read_rows, read_table


def begin(snakemake) -> None:
    """Send all output of this job to its log file. Stop if its code is no longer that of its parameters."""
    log_to(snakemake.log[0])
    plain_errors()
    if "code" in snakemake.params.keys():  # noqa: SIM118 (no mapping)
        require_code(snakemake.params.code, float(os.environ[PLANNED]))


def plain_errors() -> None:
    """Print errors that the library raises on purpose without a traceback."""

    def show(kind, error, trace) -> None:
        if kind.__module__.startswith("auscult."):
            print(f"{kind.__name__}: {error}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = show


def folder_of(paths) -> Path:
    """The folder that all of some files lie in."""
    return Path(paths[0]).parent


def folders_of(paths) -> list[Path]:
    """The folders that some files lie in, each once, in order."""
    return list(dict.fromkeys(Path(path).parent for path in paths))


def part(kind: Any, values: Any) -> Any:
    """A parameter as what it is a dump of: a model of the configuration, or a dictionary of models."""
    return TypeAdapter(kind).validate_python(values)


def rows_of_fold(path: str, name: NetworkName) -> pd.DataFrame:
    """The rows of one fold, or of one inner fold where `path` is the table of inner folds."""
    table = read_rows(path)
    is_of_fold = (table["repeat"] == name.repeat) & (table["fold"] == name.fold)
    if name.is_inner:
        is_of_fold &= table["inner"] == name.inner
    return table.loc[is_of_fold, ["repeat", "fold", "case", "role"]]


def fold_outputs(inputs) -> dict[tuple[str, str], tuple[pd.DataFrame, pd.DataFrame]]:
    """Tables of cases and of recordings by (unit, fold), with those of the fold's inner folds as role `inner`.

    inputs: of a rule that names them `cases`, `recordings` and `inner`; paths end in `<unit>/<fold>/<table>.csv`.
    """
    cases, recordings = ([paths] if isinstance(paths, str) else paths for paths in (inputs.cases, inputs.recordings))
    files = {Path(path).parts[-3:]: path for path in [*cases, *recordings, *inputs.inner]}
    outputs = {}
    for unit, fold, _ in (Path(path).parts[-3:] for path in cases):
        outputs[unit, fold] = tuple(
            pd.concat(
                [read_rows(files[key]) for name in (fold, inner_set(fold)) if (key := (unit, name, table)) in files],
                ignore_index=True,
            )
            for table in ("cases.csv", "recordings.csv")
        )
    return outputs


def read_audits(paths: list[str]) -> pd.DataFrame:
    """The findings of all audits of a study; `repeat` and `fold` are text."""
    return pd.concat([read_table(path, ["repeat", "fold"]) for path in paths]).fillna("")


def by_fold(paths: list[str]) -> dict[tuple[str, str], Path]:
    """Files `…/<unit>/<fold>/<file>` by (unit, fold)."""
    return {Path(path).parts[-3:-1]: Path(path) for path in paths}


def by_system(paths: list[str]) -> dict[str, pd.DataFrame]:
    """The test rows of tables `…/<system>/<fold>/recordings.csv`, of all folds of a system together."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        table = read_rows(path)
        tables.setdefault(Path(path).parts[-3], []).append(table[table["role"] == "test"])
    return {system: pd.concat(parts, ignore_index=True) for system, parts in tables.items()}


def read_histories(paths: list[str]) -> pd.DataFrame:
    """history.csv of model folders `…/<system>/<task>/<network>`, with these three as columns."""
    tables = []
    for path in map(Path, paths):
        system, task, network = path.parts[-4:-1]
        tables.append(pd.read_csv(path).assign(system=system, task=task, network=network))
    return pd.concat(tables, ignore_index=True)


def read_importances(paths: list[str]) -> pd.DataFrame:
    """importances.csv of fusions `…/<system>/<fold>/`, with these two as columns; empty without any."""
    tables = [read_rows(path).assign(system=Path(path).parts[-3], fold=Path(path).parts[-2]) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
