"""Score rows of predictions.csv with all metrics: as they are, and in every draw of a bootstrap over subjects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.decisions.winner import CHOSEN
from auscult.heads.labels import encode
from auscult.heads.outputs import class_columns
from auscult.metrics import catalogue, formulas, intervals
from auscult.metrics.catalogue import Scored

MIN_SUBJECTS = 5
"""Subjects, below which no metric has an interval; metrics of all classes need as many with cases of each class."""


def labelled_rows(part: pd.DataFrame) -> pd.DataFrame:
    """The rows with a label, sorted so that no result depends on the order of a table."""
    return part[part["label"] != ""].sort_values(["repeat", "fold", "case"])


def count_text(rows: pd.DataFrame) -> str:
    """The number of test cases with a label, and of their predictions where the folds are repeated."""
    rows = labelled_rows(rows)
    cases = rows["case"].nunique()
    return f"{cases} test cases" + (f" ({len(rows)} predictions in repeated folds)" if len(rows) > cases else "")


def of_one_decision(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one target by one decision: `reference`, or the first where the target does not have it."""
    has_reference = (rows["decision"] == "reference").any()
    return (
        rows if rows.empty else rows[rows["decision"] == ("reference" if has_reference else rows["decision"].iloc[0])]
    )


def networks_alone(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks without a second stage, by one decision, see `of_one_decision`."""
    return rows if rows.empty else of_one_decision(rows[rows["stage"] == "network"])


def variant_mark(leak: str, rows: pd.DataFrame) -> str:
    """The cell of the column `leak` of a variant. leak: of the folds. rows: the variant's predictions."""
    return "; ".join(variant_marks(leak, rows))


def variant_marks(leak: str, rows: pd.DataFrame) -> list[str]:
    """The marks of `variant_mark`, one by one."""
    marks = [leak]
    if (rows["fit_on"] == "train").any():
        marks.append("fitted on the network's training cases")
    if (rows["chosen_on"] == "test").any():
        marks.append("epoch chosen on the test cases")
    return [mark for mark in marks if mark]


def score(target: Target, part: pd.DataFrame, within_folds: bool | None = None) -> dict[str, float]:
    """All metrics of labelled predictions by column; undefined ones are NaN.

    within_folds: whether rankings compare cases of the same fold only; by default those of the row `chosen` do, since
    its folds have different variants.
    """
    return catalogue.values(_arrays(target, part, within_folds=within_folds), target.classes)


def bootstrap_scores(
    study: Study, target: Target, part: pd.DataFrame, within_folds: bool | None = None
) -> dict[str, np.ndarray]:
    """The metrics that have intervals, of labelled predictions, in every bootstrap draw of subjects: (draws,) each.

    Two variants of the same cases get the same draws. A draw that lacks a class has no UAR, F and AUROC; of a class
    with cases of fewer than `MIN_SUBJECTS` subjects no draw has, because the draws say too little about it. With fewer
    subjects in all, no metric has a value in any draw.
    within_folds: see `score`.
    """
    subjects = part["subject"].to_numpy(dtype=str)
    draws = intervals.subject_draws(subjects, study.evaluation.draws, study.evaluation.seed)
    arrays = _arrays(target, part, draws, within_folds)
    fewest = arrays.fewest(subjects)
    all_subjects = len(np.unique(subjects))
    values = {}
    for metric in catalogue.with_interval():
        if (value := metric.value(arrays)) is not None:
            is_enough = fewest.get(metric.sides, all_subjects) >= MIN_SUBJECTS
            values[metric.key] = value if is_enough else np.full(len(draws), np.nan)
    return values


def with_intervals(study: Study, target: Target, part: pd.DataFrame) -> dict[str, float]:
    """All metrics of labelled predictions by column; a metric with an interval is followed by `_low` and `_high`."""
    of_draws = bootstrap_scores(study, target, part) if len(part) else {}
    kinds = {metric.key: metric.interval for metric in catalogue.with_interval()}
    arrays, row = _arrays(target, part), {}
    for key, value in catalogue.values(arrays, target.classes).items():
        row[key] = value
        if key in kinds:
            low, high = float("nan"), float("nan")
            if key in of_draws and kinds[key] == "basic":
                low, high = calibration_interval(arrays, of_draws[key])
            elif key in of_draws:
                low, high = intervals.interval(of_draws[key])
            row |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    return row


def calibration_interval(arrays: Scored, of_draws: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the calibration error `ece`. of_draws: of bootstrap draws (draws,).

    It sums absolute gaps, which resampling makes larger: the percentile interval is reflected about the value. It
    begins at 0 if the value is not above the 95 % quantile of what a calibrated model would show.
    """
    value = float(formulas.ece(arrays.truth, arrays.probabilities))
    low, high = intervals.interval(of_draws)
    if np.isnan(low):
        return low, high
    low, high = float(np.clip(2 * value - high, 0, value)), max(2 * value - low, value)
    return (0.0 if value <= np.quantile(arrays.ece_by_chance, 0.95) else low), high


def _arrays(
    target: Target, part: pd.DataFrame, draws: np.ndarray | None = None, within_folds: bool | None = None
) -> Scored:
    """Rows of predictions as the metrics take them. within_folds: see `score`."""
    if within_folds is None:
        within_folds = bool((part["stage"] == CHOSEN[1]).any())
    is_referred = is_abnormal = None
    if target.referral:
        outcome = part["should_refer"].astype(str)
        with_outcome = part[outcome != ""]
        is_referred = with_outcome["prediction"].isin(target.referral.classes).to_numpy()
        is_abnormal = with_outcome["should_refer"].astype(int).to_numpy(dtype=bool)
    return Scored(
        encode(part["label"], target.classes, target.kind),
        encode(part["prediction"], target.classes, target.kind),
        part[class_columns(target.classes)].to_numpy(dtype=float),
        target.class_weights(),
        target.kind == "multilabel",
        target.classes.index(target.normal) if target.normal else None,
        is_referred,
        is_abnormal,
        draws,
        part.groupby(["repeat", "fold"]).ngroup().to_numpy() if within_folds else None,
        part.groupby("case").ngroup().to_numpy(),
    )
