"""Read the CSV tables that the workflow writes: text stays as it was written, and only an empty cell is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

TEXT_COLUMNS = [
    *("target", "system", "stage", "fit_on", "decision", "chosen_on", "scored_on", "leak", "measure", "metric"),
    *("task", "network", "always", "by", "group", "feature", "recording", "state", "case", "subject", "role", "roles"),
    "other",
    *("finding", "ids", "label", "prediction", "should_refer", "adapter", "protocol", "trap", "source", "file"),
    *("title", "alt", "caption", "data", "winner", "level", "site", "suggested"),
    *(f"{side}_{column}" for side in "ab" for column in ("system", "stage", "fit_on", "decision")),
]
"""Columns that stay text, whatever is in them: a class may be called `007`, `None` or `NA`."""


def read_table(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Return a table of results, with NaN for an empty cell. text: columns that are text besides TEXT_COLUMNS."""
    types = dict.fromkeys([*TEXT_COLUMNS, *text], str)
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])


def read_rows(path: str | Path) -> pd.DataFrame:
    """Return a table with a row per case, recording or role: as `read_table`, but an empty text is ''."""
    table = read_table(path)
    return table.fillna({column: "" for column in TEXT_COLUMNS if column in table})
