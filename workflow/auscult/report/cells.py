"""Format numbers, cells and tables of the report, as dictionaries that the template's macro `grid` takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from auscult.metrics import catalogue

# (label, explanation) of each metric by column; for metrics with a column per class, by the prefix of their columns
METRICS = {metric.key: (metric.label, metric.explanation) for metric in catalogue.METRICS} | {
    metric.key: (metric.label, metric.meaning) for metric in catalogue.class_metrics()
}


def with_interval(row: dict, metric: str) -> str:
    """A value with its interval, `0.777 (0.73–0.82)`; the value alone where there is no interval."""
    low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
    return number(row[metric]) + (f" ({low:.2f}–{high:.2f})" if pd.notna(low) and pd.notna(high) else "")


def number(value: Any) -> str:
    """Integers and numbers from 100 on without decimals, others with three; an empty text where undefined."""
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, (int, np.integer)) or abs(value) >= 100 or (value == round(value) and abs(value) > 1):
        return f"{value:.0f}"
    return f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `3 min 20 s` or `2 h 5 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def table(heads: list, rows: list[list], groups: list[tuple[str, int]] = (), kinds: list[str] | None = None) -> dict:
    """A table for the macro `grid`.

    heads: labels, or (label, explanation) pairs. groups: (label, number of columns) of the line above the heads.
    kinds: a CSS class for each row.
    """
    heads = [head if isinstance(head, tuple) else (head, "") for head in heads]
    cells = [[value if isinstance(value, dict) else cell(value) for value in row] for row in rows]
    return {"heads": heads, "groups": groups, "rows": list(zip(kinds or [""] * len(rows), cells, strict=True))}


def cell(value: Any, text: str | None = None, badges: list[tuple[str, str]] = ()) -> dict[str, Any]:
    """A table cell: its text (by default that of `value`), the value that sorts it, and badges (CSS class, text)."""
    is_text = isinstance(value, str)
    sort = value if is_text else "" if value is None or pd.isna(value) else float(value)
    text = text if text is not None else value if is_text else number(value)
    return {"text": text, "sort": sort, "number": not is_text, "badges": badges}
