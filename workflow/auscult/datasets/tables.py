"""Tables and texts as users and spreadsheets save them: read with errors that name file, row and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.datasets.errors import DatasetError


def read_table(path: Path, numbers: Iterable[str]) -> pd.DataFrame:
    """Return a CSV as a table of strings ('' for an empty cell), with the columns `numbers` as floats (NaN for one).

    As spreadsheets save tables: rows, and columns without a name, are skipped if they have no content, and blanks
    around a cell are no part of it. `row_number` gives the number of a row in the file.

    Raises DatasetError. It names the file, and the line of a row that does not fit the header, or the row and column
    of a cell that is not a number.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    header: list[str] | None = None
    rows, numbers_of_rows = [], []
    try:
        for number, cells in enumerate(reader, start=1):
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            if header is None:
                header = _without_empty_end(row)
                continue
            if len(row) > len(header):
                row = row[: len(header)] + _without_empty_end(row[len(header) :])
            if len(row) != len(header):
                raise DatasetError(
                    f"{path}: line {reader.line_num}: {len(row)} cells under {len(header)} columns; "
                    "every row needs a cell, maybe an empty one, for each column"
                )
            rows.append(row)
            numbers_of_rows.append(number)
    except csv.Error as error:
        raise DatasetError(f"{path}: line {reader.line_num}: not readable as CSV: {error}") from error
    if not header:
        raise DatasetError(f"{path}: line 1 should name the columns; it is empty")
    if len(header) == 1 and (separators := [sign for sign in (";", "\t") if sign in header[0]]):
        raise DatasetError(f"{path}: line 1: the columns are separated by {separators[0]!r}; save them with commas")
    columns = [number for number, name in enumerate(header) if name or any(row[number] for row in rows)]
    header, rows = [header[number] for number in columns], [[row[number] for number in columns] for row in rows]
    if duplicates := [name for name in header if header.count(name) > 1]:
        raise DatasetError(f"{path}: line 1: the column {duplicates[0]!r} is named twice")
    table = pd.DataFrame(rows, columns=header, dtype=str)
    table.attrs["row_numbers"] = numbers_of_rows
    for column in numbers:
        if column in table:
            values = pd.to_numeric(table[column].replace("", None), errors="coerce")
            is_invalid = ~np.isfinite(values) & (table[column] != "")
            if is_invalid.any():
                row = int(is_invalid.to_numpy().argmax())
                raise DatasetError(
                    f"{path}: row {row_number(table, row)}, column {column!r}: {table[column].iloc[row]!r} is not a "
                    "number; leave the cell empty if there is none"
                )
            table[column] = values
    return table


def row_number(table: pd.DataFrame, position: int) -> int:
    """Return the number of a row of `read_table` in its file, as a spreadsheet shows it: the header is row 1."""
    return table.attrs["row_numbers"][position]


def is_count(text: str) -> bool:
    """Whether a text is a whole number of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) <= 9


def _without_empty_end(cells: list[str]) -> list[str]:
    count = max((number for number, cell in enumerate(cells, start=1) if cell), default=0)
    return cells[:count]


def read_text(path: Path) -> str:
    """Return the text of a file with any line ends. Raises DatasetError if it is missing, not UTF-8 or not a text."""
    if not path.is_file():
        raise DatasetError(f"{path}: the file is not there")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line}: not UTF-8 (byte {raw[error.start]:#04x}); save it as UTF-8"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DatasetError(f"{path}: line {line}: a null byte, which text files do not have; the file is damaged")
    return text
