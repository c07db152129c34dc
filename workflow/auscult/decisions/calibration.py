"""Calibration of class probabilities, by multinomial logistic regression on their logarithms or by one temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from auscult.folds.protocols import quiet


@dataclass(frozen=True)
class Temperature:
    """Logarithms of probabilities divided by one number (Guo et al. 2017); it moves no class before another."""

    value: float


Model = LogisticRegression | Temperature | None


def fit(p: np.ndarray, labels: np.ndarray, kind: str = "regression") -> Model:
    """A calibration of probabilities (n, classes) fitted to class numbers (n,); None when there is one class only.

    `kind`: `regression`, or `temperature`, which minimises the log loss between 1/20 and 20.
    """
    if len(np.unique(labels)) < 2:
        return None
    logs = _logs(p)
    if kind == "regression":
        return LogisticRegression(C=1.0, max_iter=1000).fit(logs, labels)

    def loss(log_t: float) -> float:
        q = softmax(logs / np.exp(log_t), axis=1)
        return -float(np.mean(np.log(q[np.arange(len(q)), labels] + 1e-300)))

    return Temperature(float(np.exp(minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x)))


def apply(model: Model, p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities; a class that the calibration never saw keeps a probability of 0."""
    if model is None or not len(p):
        return p
    if isinstance(model, Temperature):
        return softmax(_logs(p) / model.value, axis=1)
    out = np.zeros_like(p)
    out[:, model.classes_.astype(int)] = model.predict_proba(_logs(p))
    return out


def cross_fit(
    p: np.ndarray, labels: np.ndarray, groups: np.ndarray, kind: str = "regression", folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Probabilities of every row calibrated by the others: no row's own group takes part in its calibration."""
    out = p.copy()
    for rest, held in splits(labels, groups, folds, seed):
        out[held] = apply(fit(p[rest], labels[rest], kind), p[held])
    return out


def splits(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified folds that split no group; fewer where groups or the cases of every class are few, none below two."""
    folds = min(folds, len(set(groups)), np.bincount(labels).max(initial=0))
    if folds < 2:
        return []
    return quiet(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split, labels, labels, groups)


def _logs(p: np.ndarray) -> np.ndarray:
    return np.log(np.clip(p, 1e-4, 1.0))
