"""Targets of a network: the labels of cases or recordings as columns of numbers, NaN where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.systems import Head
from auscult.heads.labels import class_sets, has_any


def case_targets(heads: dict[str, Head], cases: pd.DataFrame) -> np.ndarray:
    """(cases, outputs) float32 from the cases' own labels."""
    columns = [encode(cases[head.label], head.kind, head.positive, head.classes) for head in heads.values()]
    return np.concatenate(columns, axis=1)


def recording_targets(heads: dict[str, Head], cases: pd.DataFrame, recordings: pd.DataFrame) -> np.ndarray:
    """(recordings, outputs) float32: the recording's own label where the head says so, else its case's."""
    by_case = cases.set_index("case")
    columns = []
    for head in heads.values():
        if head.train_on:
            labels, positive = recordings[head.train_on.column], head.train_on.positive
        else:
            labels, positive = recordings["case"].map(by_case[head.label]), head.positive
        columns.append(encode(labels, head.kind, positive, head.classes))
    return np.concatenate(columns, axis=1)


def encode(labels: pd.Series, kind: str, positive: list[str], classes: list[str]) -> np.ndarray:
    """Label strings to (n, 1) for a binary head, else (n, classes); a row of NaN for an empty label."""
    missing = (labels == "").to_numpy()
    if kind == "binary":
        values = has_any(labels, positive).astype(np.float32)[:, None]
    else:
        values = class_sets(labels, classes).astype(np.float32)
    values[missing] = np.nan
    return values
