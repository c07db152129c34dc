"""Thresholds of multilabel targets, tuned to macro F1: one for all classes (`tuned_f`) or each (`tuned_f_each`)."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.decisions.rule import FittedRule, Recordings, Rule
from auscult.metrics import formulas

GRID = np.arange(0.02, 0.99, 0.02)


def tune(p: np.ndarray, truth: np.ndarray, is_shared: bool) -> np.ndarray:
    """Thresholds (classes,) that give the largest macro F1: one for all classes (`is_shared`), or the best of each.

    p, truth: (n, classes), truth of 0 and 1. Of equal ones the middle is taken. A class without a positive case keeps
    0.5.
    """
    thresholds = np.full(p.shape[1], 0.5)
    positive = truth.any(axis=0)
    if not positive.any():
        return thresholds
    scores = np.stack([formulas.multilabel_f1(formulas.multilabel_counts(truth, (p >= t).astype(int))) for t in GRID])
    scores = np.nan_to_num(scores)
    if is_shared:
        return np.full(p.shape[1], _best(scores[:, positive].mean(axis=1)))
    for number in np.flatnonzero(positive):
        thresholds[number] = _best(scores[:, number])
    return thresholds


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities as they are, and 1 for every class from its threshold."""
    return p, (p >= parameters["thresholds"]).astype(int)


def _best(scores: np.ndarray) -> float:
    """The middle one of the thresholds with the best score."""
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


RULES = (
    Rule(
        "tuned_f",
        "One threshold for all classes, tuned to macro F1.",
        ("multilabel",),
        apply,
        lambda p, truth, target: {"thresholds": tune(p, truth, is_shared=True).tolist()},
    ),
    Rule(
        "tuned_f_each",
        "A threshold for each class, tuned to its F1.",
        ("multilabel",),
        apply,
        lambda p, truth, target: {"thresholds": tune(p, truth, is_shared=False).tolist()},
    ),
)
