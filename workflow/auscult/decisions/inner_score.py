"""Scores by which rules are tuned and variants compared, never on test cases."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.metrics import formulas


def score(matrix: np.ndarray, weights: list[float], metric: str) -> float:
    """Of a confusion matrix: `w_acc`, `uar`, or `both`, their mean. weights: of the true classes."""
    scores = {"w_acc": formulas.weighted_accuracy(matrix, weights), "uar": formulas.uar(matrix)}
    return (scores["w_acc"] + scores["uar"]) / 2 if metric == "both" else scores[metric]


def inner_score(target: Target, truth: np.ndarray, decisions: np.ndarray, p: np.ndarray, metric: str) -> float:
    """Score by which variants are compared (`evaluation.choose_by`); NaN without labelled cases.

    truth, decisions: class numbers (n,), or 0 and 1 (n, classes) for a multilabel target. p: (n, classes).
    """
    if not len(truth):
        return float("nan")
    if metric == "auroc":
        return float(formulas.macro_auroc(truth, p))
    if target.kind == "multilabel":
        counts = formulas.multilabel_counts(truth, decisions)
        return float(formulas.macro_f1(counts) if metric == "f" else np.nanmean(formulas.uar(counts)))
    matrix = formulas.confusion(truth, decisions, len(target.classes))
    if metric == "f":
        return float(formulas.f_measure(matrix))
    return float(score(matrix, target.class_weights(), metric))
