"""Write a table as CSV, Markdown, HTML and LaTeX."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.metrics import catalogue
from auscult.provenance import write_text
from auscult.result_tables import TEXT_COLUMNS

NOT_PRINTED = {"parameters", "multiply_adds", "train_s", "epoch_s"}
"""Columns that a table in a paper does not have."""
P_VALUES = {"p_bootstrap", "p_t_test"}
WITH_INTERVAL = {*(metric.key for metric in catalogue.with_interval()), "difference", "aurc", "minus_confidence"}
HEADS = {metric.key: metric.label for metric in catalogue.METRICS}


def write_table(table: pd.DataFrame, path: Path, caption: str) -> None:
    """Write `path` with the suffixes .csv (full precision), .md and .html (three decimals), and .tex (for a paper)."""
    texts = table.map(_short)
    write_text(path.with_suffix(".csv"), table.to_csv(index=False))
    lines = [" | ".join(map(str, row)) for row in [texts.columns, ["---"] * texts.shape[1], *texts.to_numpy()]]
    write_text(path.with_suffix(".md"), f"{caption}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n")
    table_html = texts.to_html(index=False, escape=True, border=0)
    heading = f"<caption>{html.escape(caption)}</caption><thead>"
    write_text(path.with_suffix(".html"), table_html.replace("<thead>", heading))
    write_text(path.with_suffix(".tex"), _latex_table(table, path.name, caption))


def _latex_table(table: pd.DataFrame, name: str, caption: str) -> str:
    """A table for a paper: metrics with their intervals in brackets, no empty columns, none about time and size."""
    rows = table.drop(columns=[column for column in table if column in NOT_PRINTED])
    for column in [column for column in rows if column in WITH_INTERVAL and f"{column}_low" in rows]:
        parts = [rows.pop(f"{column}{end}").map(_short) for end in ("_low", "_high")]
        intervals = [f" ({low} to {high})" if low else "" for low, high in zip(*parts, strict=True)]
        rows[column] = [_short(value) + interval for value, interval in zip(rows[column], intervals, strict=True)]
    for column in [column for column in rows if column in P_VALUES]:
        rows[column] = rows[column].map(p_text)
    texts = rows.map(_short)
    is_empty = (texts == "").all() & (len(texts) > 0)
    texts = texts.loc[:, ~is_empty].replace("", "–")
    alignment = "".join("l" if column in TEXT_COLUMNS else "r" for column in texts)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(caption)}}}",
        rf"\label{{tab:{name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\hline",
        " & ".join(_latex(HEADS.get(column, str(column).replace("_", " "))) for column in texts) + r" \\",
        r"\hline",
        *(" & ".join(map(_latex, row)) + r" \\" for row in texts.to_numpy()),
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def p_text(p: float) -> str:
    """A p value with three digits, `<0.001` for a smaller one; '' where undefined."""
    return "" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _short(cell: Any) -> str:
    if cell is None or cell is pd.NA:
        return ""
    if isinstance(cell, float):
        if np.isnan(cell):
            return ""
        return f"{cell:.0f}" if abs(cell) >= 100 or (cell == round(cell) and abs(cell) > 1) else f"{cell:.3f}"
    return str(cell).replace("|", "/")


LATEX = {character: "\\" + character for character in "&%_#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\~{}",
    "^": r"\^{}",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
}


def _latex(cell: str) -> str:
    return "".join(LATEX.get(character, character) for character in cell)
