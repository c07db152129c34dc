"""Calibration of class probabilities, by multinomial logistic regression on their logarithms or by one temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from auscult.folds.protocols import quiet

Model = dict[str, Any] | None
"""`temperature`; or, for every class that was seen, its number (`classes`), its `coefficients` and `intercepts`."""


def fit(p: np.ndarray, labels: np.ndarray, kind: str = "regression") -> Model:
    """A calibration of probabilities (n, classes) fitted to class numbers (n,); None when there is one class only.

    `kind`: `regression`; or `temperature`, which divides the logarithms by one number and so moves no class before
    another (Guo et al. 2017): the one between 1/20 and 20 with the least log loss. JSON takes the result.
    """
    if len(np.unique(labels)) < 2:
        return None
    logs = _logs(p)
    if kind == "regression":
        model = LogisticRegression(C=1.0, max_iter=1000).fit(logs, labels)
        weights, shifts = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn keeps the second class's alone
            weights, shifts = np.vstack([0 * weights, weights]), np.append(0.0, shifts)
        known = {"classes": model.classes_, "coefficients": weights, "intercepts": shifts}
        return {key: value.tolist() for key, value in known.items()}

    def loss(log_t: float) -> float:
        q = softmax(logs / np.exp(log_t), axis=1)
        return -float(np.mean(np.log(q[np.arange(len(q)), labels] + 1e-300)))

    found = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x
    return {"temperature": float(np.exp(found))}


def apply(model: Model, p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities; a class that the calibration never saw keeps a probability of 0."""
    if model is None or not len(p):
        return p
    if "temperature" in model:
        return softmax(_logs(p) / model["temperature"], axis=1)
    out = np.zeros_like(p)
    out[:, model["classes"]] = softmax(_logs(p) @ np.array(model["coefficients"]).T + model["intercepts"], axis=1)
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
