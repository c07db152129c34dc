"""Words, numbers, cells and tables of the report: dictionaries that the template's macro lays out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from auscult.metrics import catalogue

# Head of a column, and its meaning in one line, by column or the beginning of a column that each class has.
METRICS = {metric.key: (metric.label, metric.explanation) for metric in catalogue.METRICS} | {
    metric.key: (metric.label, metric.meaning) for metric in catalogue.class_metrics()
}


def with_interval(row: dict, metric: str) -> str:
    """`0.777 (0.73–0.82)`, or the value alone."""
    low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
    known = pd.notna(low) and pd.notna(high) and low is not None and high is not None
    return number(row[metric]) + (f" ({low:.2f}–{high:.2f})" if known else "")


def number(value: Any) -> str:
    """Whole numbers as they are, others with three decimals, undefined ones empty."""
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, (int, np.integer)) or abs(value) >= 100 or (value == round(value) and abs(value) > 1):
        return f"{value:.0f}"
    return f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def table(heads: list, rows: list[list], groups: list[tuple[str, int]] = (), kinds: list[str] | None = None) -> dict:
    """heads: labels, or (label, explanation); groups: (label, span) above them; kinds: a class for each row."""
    heads = [head if isinstance(head, tuple) else (head, "") for head in heads]
    cells = [[one if isinstance(one, dict) else cell(one) for one in row] for row in rows]
    return {"heads": heads, "groups": groups, "rows": list(zip(kinds or [""] * len(rows), cells, strict=True))}


def cell(value: Any, text: str | None = None, badges: list[tuple[str, str]] = ()) -> dict[str, Any]:
    """A text or number, what it is sorted by, and marks (kind, text)."""
    words = isinstance(value, str)
    sort = value if words else "" if value is None or pd.isna(value) else float(value)
    shown = text if text is not None else value if words else number(value)
    return {"text": shown, "sort": sort, "number": not words, "badges": badges}
