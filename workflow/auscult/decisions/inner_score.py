"""Scores by which rules are tuned and variants compared, never on test cases."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.metrics import formulas


def score(matrix: np.ndarray, weights: list[float], metric: str) -> np.ndarray:
    """Of confusion matrices (…, classes, classes): `w_acc`, `uar`, or `both`, their mean. weights: of true classes."""
    scores = {"w_acc": formulas.weighted_accuracy(matrix, weights), "uar": formulas.uar(matrix)}
    return (scores["w_acc"] + scores["uar"]) / 2 if metric == "both" else scores[metric]


def inner_score(
    target: Target,
    truth: np.ndarray,
    decisions: np.ndarray,
    p: np.ndarray,
    metric: str,
    draws: np.ndarray | None = None,
) -> np.ndarray:
    """Score by which variants are compared (`evaluation.choose_by`), or one in every draw (draws,); NaN without cases.

    truth, decisions: class numbers (n,), or 0 and 1 (n, classes) for a multilabel target. p: (n, classes). draws: see
    `metrics.intervals.subject_draws`.
    """
    if not len(truth):
        return np.full(() if draws is None else len(draws), np.nan)
    if metric == "auroc":
        return formulas.macro_auroc(truth, p, draws)
    if target.kind == "multilabel":
        counts = formulas.multilabel_counts(truth, decisions, draws)
        return formulas.macro_f1(counts) if metric == "f" else formulas.macro(formulas.uar(counts))
    matrix = formulas.confusion(truth, decisions, len(target.classes), draws)
    return formulas.f_measure(matrix) if metric == "f" else score(matrix, target.class_weights(), metric)


def standard_error(scores_of_draws: np.ndarray) -> float:
    """Standard error of a score, from its values in bootstrap draws; NaN where fewer than two are defined."""
    finite_scores = np.atleast_1d(scores_of_draws)
    finite_scores = finite_scores[~np.isnan(finite_scores)]
    return float(finite_scores.std(ddof=1)) if len(finite_scores) > 1 else float("nan")
