"""Write a table as CSV, Markdown, HTML and LaTeX, and read tables of results again."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.provenance import write_text

TEXT_COLUMNS = [
    *("target", "system", "stage", "fit_on", "decision", "chosen_on", "scored_on", "leak", "measure", "metric"),
    *("task", "network", "always", "by", "group", "feature", "recording", "state", "case", "subject", "role", "roles"),
    *("finding", "ids", "label", "adapter", "protocol", "trap", "source", "file", "title", "alt", "caption"),
    *("data", "winner", "level", "site", "suggested"),
    *(f"{side}_{column}" for side in "ab" for column in ("system", "stage", "fit_on", "decision")),
]
"""Columns that stay text, whatever is in them: a class may be called `007`, `None` or `NA`."""


def read_table(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Return a CSV of the workflow. Only an empty cell is missing (NaN); names such as `None` and `NA` are text.

    text: columns that are text besides TEXT_COLUMNS.
    """
    types = dict.fromkeys([*TEXT_COLUMNS, *text], str)
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])


def write_table(table: pd.DataFrame, path: Path, caption: str) -> None:
    """Write `path` with the suffixes .csv (full precision), .md, .html and .tex (three decimals and a caption)."""
    texts = table.map(_short)
    write_text(path.with_suffix(".csv"), table.to_csv(index=False))
    lines = [" | ".join(map(str, row)) for row in [texts.columns, ["---"] * texts.shape[1], *texts.to_numpy()]]
    write_text(path.with_suffix(".md"), f"{caption}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n")
    table_html = texts.to_html(index=False, escape=True, border=0)
    heading = f"<caption>{html.escape(caption)}</caption><thead>"
    write_text(path.with_suffix(".html"), table_html.replace("<thead>", heading))
    columns = [_latex(str(c)) for c in texts.columns]
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in texts.to_numpy()]
    begin = [
        r"\begin{tabular}{" + "l" * len(columns) + "}",
        r"\hline",
        " & ".join(columns) + r" \\",
        r"\hline",
    ]
    write_text(
        path.with_suffix(".tex"),
        "\n".join([f"% {caption}", *begin, *body, r"\hline", r"\end{tabular}"]) + "\n",
    )


def _short(cell: Any) -> str:
    if isinstance(cell, float):
        if np.isnan(cell):
            return ""
        return f"{cell:.0f}" if abs(cell) >= 100 or (cell == round(cell) and abs(cell) > 1) else f"{cell:.3f}"
    return str(cell).replace("|", "/")


LATEX = {character: "\\" + character for character in "&%_#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\~{}",
    "^": r"\^{}",
}


def _latex(cell: str) -> str:
    return "".join(LATEX.get(character, character) for character in cell)
