"""Thresholds of multilabel targets, found on cases that are not judged."""

from __future__ import annotations

import numpy as np

from auscult.decisions.calibration import splits
from auscult.metrics import formulas

GRID = np.arange(0.02, 0.99, 0.02)


def tune(p: np.ndarray, truth: np.ndarray, one: bool) -> np.ndarray:
    """Thresholds (classes,) that give the largest macro F1: `one` for all classes, or the best of each.

    p, truth: (n, classes), truth of 0 and 1. Of equal ones the middle is taken. A class without a positive case keeps
    0.5.
    """
    scores = np.stack([formulas.multilabel_f1(formulas.multilabel_counts(truth, (p >= t).astype(int))) for t in GRID])
    scores = np.nan_to_num(scores)
    found = np.full(p.shape[1], 0.5)
    positive = truth.any(axis=0)
    if one and positive.any():
        return np.full(p.shape[1], _best(scores[:, positive].mean(axis=1)))
    for number in np.flatnonzero(positive):
        found[number] = _best(scores[:, number])
    return found


def cross_fit(
    p: np.ndarray, truth: np.ndarray, groups: np.ndarray, one: bool, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Decisions (n, classes) of every row by thresholds tuned on the others: no row's own group takes part."""
    out = (p >= 0.5).astype(int)
    strata = np.array(["".join(map(str, row)) for row in truth])
    for rest, held in splits(np.unique(strata, return_inverse=True)[1], groups, folds, seed):
        out[held] = p[held] >= tune(p[rest], truth[rest], one)
    return out


def _best(scores: np.ndarray) -> float:
    """The middle one of the thresholds with the best score."""
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])
