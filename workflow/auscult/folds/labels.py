"""Check that cases and recordings have one label where a multiclass target or head takes one."""

from __future__ import annotations

import pandas as pd

from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.folds.planned import FoldError


def check_single_labels(
    targets: dict[str, TargetClasses], tasks: dict[str, Task], cases: pd.DataFrame, recordings: pd.DataFrame
) -> None:
    """Raise FoldError if a cell has several labels, joined by `|`, and a target or head of this column is multiclass.

    cases, recordings: of the manifest.
    """
    columns = [(f"targets.{name}", target.kind, target.label) for name, target in targets.items()]
    of_recordings = []
    for task_name, task in tasks.items():
        for name, head in task.heads.items():
            key = f"tasks.{task_name}.heads.{name}"
            columns.append((key, head.kind, head.label))
            if head.train_on:
                of_recordings.append((f"{key}.train_on", head.kind, head.train_on.column))
    for table, key_column, uses in ((cases, "case", columns), (recordings, "recording", of_recordings)):
        for key, kind, column in uses:
            if kind != "multiclass" or column not in table:
                continue
            is_joined = table[column].str.contains("|", regex=False)
            if is_joined.any():
                row = table[is_joined].iloc[0]
                raise FoldError(
                    f"{key_column}s.csv: {key_column} {row[key_column]!r}, column {column!r}: {row[column]!r} has "
                    f"several labels, and {key} is {kind} and takes one; leave one label in the cell, or set kind: "
                    "multilabel"
                )
