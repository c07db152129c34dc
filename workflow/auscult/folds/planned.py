"""Which folds a protocol makes, before any case is read: Snakemake needs them to build its graph of jobs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.config.protocols import CV10, M2D3, Fixed, GroupCV, Protocol, Walker
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import is_count, read_table, row_number
from auscult.datasets.walk import is_file

COLUMNS = ("repeat", "fold", "case", "role")
ROLES = ("train", "val", "test", "unused")


class FoldError(Exception):
    """A protocol cannot be applied to this data set; the message names the key to change."""


def folds_of_protocol(protocol: Protocol, lists: Path, case_ids: set[str] | None) -> list[tuple[int, int]]:
    """Return the (repeat, fold) pairs that `assign` will make, without reading the data set.

    `lists` is the folder of the published lists. `case_ids` are the data set's case ids, if known: a published list
    is skipped if the data set has none of its test cases.
    """
    if isinstance(protocol, GroupCV):
        return [(repeat, fold) for repeat in range(protocol.repeats) for fold in range(protocol.folds)]
    if isinstance(protocol, CV10):
        return [(0, fold) for fold in range(10)]
    if isinstance(protocol, Walker):
        return [(repeat, 0) for repeat in range(len(protocol.seeds))]
    if isinstance(protocol, M2D3):
        tests = {number - 1: set(read_list(lists, number).query("role == 'test'")["case"]) for number in protocol.lists}
        return [(repeat, 0) for repeat, ids in tests.items() if case_ids is None or ids & case_ids]
    if isinstance(protocol, Fixed):
        table = read_fixed(protocol)
        return sorted(set(zip(table["repeat"].tolist(), table["fold"].tolist(), strict=True)))
    return [(0, 0)]


def files_of_protocol(protocol: Protocol, lists: Path | str) -> list[str]:
    """Return the files that `assign` reads besides the manifest; `lists` is the folder of the published lists."""
    if isinstance(protocol, M2D3):
        return [str(_list_file(Path(lists), number)) for number in protocol.lists]
    return [protocol.file] if isinstance(protocol, Fixed) else []


def _list_file(lists: Path, number: int) -> Path:
    return lists / f"m2d_{number}.csv"


def read_list(lists: Path, number: int) -> pd.DataFrame:
    """Return a published list: a table `case, role`."""
    return pd.read_csv(_list_file(lists, number), dtype=str, keep_default_na=False)


def read_fixed(protocol: Fixed) -> pd.DataFrame:
    """Return `protocol.file` as a table `repeat, fold, case, role`. Raises FoldError naming row and column."""
    path = Path(protocol.file)
    if not is_file(path):
        raise FoldError(f"protocol.file: there is no file {protocol.file}")
    try:
        table = read_table(path, [])
    except DatasetError as error:
        raise FoldError(f"protocol.file: {error}") from error
    names = {name.casefold(): name for name in table}
    table = table.rename(columns={names[name]: name for name in COLUMNS if name not in table and name in names})
    for column in ("case", "role"):
        if column not in table:
            raise FoldError(f"protocol.file: {protocol.file}: no column {column!r}")
    if table.empty:
        raise FoldError(f"protocol.file: {protocol.file}: no rows below the header")
    is_invalid = ~table["role"].isin(ROLES)
    if is_invalid.any():
        row = int(is_invalid.to_numpy().argmax())
        raise FoldError(
            f"protocol.file: {path}: row {row_number(table, row)}: role {table['role'][row]!r} is not one of {ROLES}"
        )
    for column in ("repeat", "fold"):
        if column not in table:
            if similar_names := [name for name in table if name.casefold().startswith(column)]:
                raise FoldError(
                    f"protocol.file: {protocol.file}: no column {column!r}, but {similar_names[0]!r}: is {column!r} "
                    "meant? Rename the column"
                )
            table[column] = "0"
        is_invalid = ~table[column].map(is_count).astype(bool)
        if is_invalid.any():
            row = int(is_invalid.to_numpy().argmax())
            raise FoldError(
                f"protocol.file: {path}: row {row_number(table, row)}: {column} {table[column][row]!r} is not a number"
            )
        table[column] = table[column].astype(int)
    return table
