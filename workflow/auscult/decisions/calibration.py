"""Calibration of class probabilities by multinomial logistic regression on their logarithms."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from auscult.folds.protocols import quiet


def fit(p: np.ndarray, labels: np.ndarray) -> LogisticRegression | None:
    """A calibration of probabilities (n, classes) fitted to class numbers (n,); None when there is one class only."""
    if len(np.unique(labels)) < 2:
        return None
    return LogisticRegression(C=1.0, max_iter=1000).fit(_logs(p), labels)


def apply(model: LogisticRegression | None, p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities; a class that the calibration never saw keeps a probability of 0."""
    if model is None or not len(p):
        return p
    out = np.zeros_like(p)
    out[:, model.classes_.astype(int)] = model.predict_proba(_logs(p))
    return out


def cross_fit(p: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Probabilities of every row calibrated by the others: no row's own group takes part in its calibration."""
    out = p.copy()
    for rest, held in splits(labels, groups, folds, seed):
        out[held] = apply(fit(p[rest], labels[rest]), p[held])
    return out


def splits(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified folds that split no group; fewer where groups or the cases of every class are few, none below two."""
    folds = min(folds, len(set(groups)), np.bincount(labels).max(initial=0))
    if folds < 2:
        return []
    return quiet(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split, labels, labels, groups)


def _logs(p: np.ndarray) -> np.ndarray:
    return np.log(np.clip(p, 1e-4, 1.0))
