"""Score rows of predictions.csv with all metrics: as they are, and in every draw of a bootstrap over subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.heads.labels import encode
from auscult.heads.outputs import class_columns
from auscult.metrics import catalogue, intervals
from auscult.metrics.catalogue import Scored


def labelled_rows(part: pd.DataFrame) -> pd.DataFrame:
    """The rows with a label, sorted so that no result depends on the order of a table."""
    return part[part["label"] != ""].sort_values(["repeat", "fold", "case"])


def variant_mark(leak: str, rows: pd.DataFrame) -> str:
    """The cell of the column `leak` of a variant. leak: of the folds. rows: the variant's predictions."""
    marks = [leak]
    if (rows["fit_on"] == "train").any():
        marks.append("fitted on the network's training cases")
    if (rows["chosen_on"] == "test").any():
        marks.append("epoch chosen on the test cases")
    return "; ".join(mark for mark in marks if mark)


def score(target: Target, part: pd.DataFrame) -> dict[str, float]:
    """All metrics of labelled predictions by column; undefined ones are NaN."""
    return catalogue.values(_arrays(target, part), target.classes)


def bootstrap_scores(study: Study, target: Target, part: pd.DataFrame) -> dict[str, np.ndarray]:
    """The metrics that have intervals, of labelled predictions, in every bootstrap draw of subjects: (draws,) each.

    Two variants of the same cases get the same draws.
    """
    draws = intervals.subject_draws(part["subject"].to_numpy(dtype=str), study.evaluation.draws, study.evaluation.seed)
    arrays = _arrays(target, part, draws)
    values = {metric.key: metric.value(arrays) for metric in catalogue.with_interval()}
    return {key: value for key, value in values.items() if value is not None}


def with_intervals(study: Study, target: Target, part: pd.DataFrame) -> dict[str, float]:
    """All metrics of labelled predictions by column; a metric with an interval is followed by `_low` and `_high`.

    A `basic` interval is the percentile interval reflected about the value. The metric `ece` has one: it sums absolute
    gaps, which resampling makes larger. It begins at 0 if the value is not above the 95 % quantile of what a calibrated
    model would show.
    """
    of_draws = bootstrap_scores(study, target, part) if len(part) else {}
    kinds = {metric.key: metric.interval for metric in catalogue.with_interval()}
    arrays, row = _arrays(target, part), {}
    for key, value in catalogue.values(arrays, target.classes).items():
        row[key] = value
        if key in kinds:
            low, high = intervals.interval(of_draws[key]) if key in of_draws else (float("nan"), float("nan"))
            if kinds[key] == "basic":
                low, high = np.clip(2 * value - high, 0, value), np.maximum(2 * value - low, value)
                low = 0.0 if value <= np.quantile(arrays.ece_by_chance, 0.95) else low
            row |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    return row


def _arrays(target: Target, part: pd.DataFrame, draws: np.ndarray | None = None) -> Scored:
    """Rows of predictions as the metrics take them."""
    referred = abnormal = None
    if target.referral:
        outcome = part["should_refer"].astype(str)
        known = part[outcome != ""]
        referred = known["prediction"].isin(target.referral.classes).to_numpy()
        abnormal = known["should_refer"].astype(int).to_numpy(dtype=bool)
    return Scored(
        encode(part["label"], target.classes, target.kind),
        encode(part["prediction"], target.classes, target.kind),
        part[class_columns(target.classes)].to_numpy(dtype=float),
        target.class_weights(),
        target.kind == "multilabel",
        target.classes.index(target.normal) if target.normal else None,
        referred,
        abnormal,
        draws,
    )
