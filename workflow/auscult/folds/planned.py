"""Which folds a protocol makes, known before any case is read: what Snakemake needs to draw its graph."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.config.protocols import CV10, M2D3, Fixed, GroupCV, Protocol, Walker

ROLES = ("train", "val", "test", "unused")


class FoldError(Exception):
    """A protocol cannot be applied to this data set; the message names the key to change."""


def planned(protocol: Protocol, lists: Path, present: set[str] | None) -> list[tuple[int, int]]:
    """(repeat, fold) pairs that `assign` will make, known without reading the data.

    `present`: case ids of the data set, if known; a published list none of whose test cases is there is skipped.
    """
    if isinstance(protocol, GroupCV):
        return [(repeat, fold) for repeat in range(protocol.repeats) for fold in range(protocol.folds)]
    if isinstance(protocol, CV10):
        return [(0, fold) for fold in range(10)]
    if isinstance(protocol, Walker):
        return [(repeat, 0) for repeat in range(len(protocol.seeds))]
    if isinstance(protocol, M2D3):
        tests = {number - 1: set(read_list(lists, number).query("role == 'test'")["case"]) for number in protocol.lists}
        return [(repeat, 0) for repeat, ids in tests.items() if present is None or ids & present]
    if isinstance(protocol, Fixed):
        table = read_fixed(protocol)
        return sorted(set(zip(table["repeat"].tolist(), table["fold"].tolist(), strict=True)))
    return [(0, 0)]


def files_of_protocol(protocol: Protocol, lists: Path | str) -> list[str]:
    """Files that `assign` reads besides the manifest; lists: folder of the published lists."""
    if isinstance(protocol, M2D3):
        return [str(_list_file(Path(lists), number)) for number in protocol.lists]
    return [protocol.file] if isinstance(protocol, Fixed) else []


def _list_file(lists: Path, number: int) -> Path:
    return lists / f"m2d_{number}.csv"


def read_list(lists: Path, number: int) -> pd.DataFrame:
    """A published list: `case, role`."""
    return pd.read_csv(_list_file(lists, number), dtype=str)


def read_fixed(protocol: Fixed) -> pd.DataFrame:
    path = Path(protocol.file)
    if not path.is_file():
        raise FoldError(f"protocol.file: there is no file {protocol.file}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FoldError(f"protocol.file: {protocol.file}: not readable as a UTF-8 CSV: {error}") from error
    for column in ("case", "role"):
        if column not in table:
            raise FoldError(f"protocol.file: {protocol.file}: no column {column!r}")
    if table.empty:
        raise FoldError(f"protocol.file: {protocol.file}: no rows below the header")
    wrong = ~table["role"].isin(ROLES)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise FoldError(
            f"protocol.file: {protocol.file}: row {row + 2}: role {table['role'][row]!r} is none of {ROLES}"
        )
    for column in ("repeat", "fold"):
        if column not in table:
            table[column] = "0"
        wrong = ~table[column].str.fullmatch(r"\d+")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise FoldError(
                f"protocol.file: {protocol.file}: row {row + 2}: {column} {table[column][row]!r} is no number"
            )
        table[column] = table[column].astype(int)
    return table
