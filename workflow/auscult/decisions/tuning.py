"""Decisions tuned to a metric: a weight per class, found on cases that are not judged."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from auscult.decisions.calibration import splits
from auscult.metrics import formulas

GRID = np.linspace(-4, 4, 33)  # logarithms of a class's weight against the last class's
SMOOTH = 1.0  # grid steps: a broad maximum is believed before a high narrow one
ROUNDS = 2  # over the classes, where they are too many for a whole grid


def tune(p: np.ndarray, labels: np.ndarray, weights: list[float], by: str) -> np.ndarray:
    """Weights (classes,) by which the largest weight × probability scores best; the last class has weight 1.

    p: (n, classes). labels: class numbers (n,). weights: of the true classes in weighted accuracy. by: see `score`.
    With three classes the whole grid is searched, with more one class after the other.
    """
    classes = p.shape[1]
    logs = np.log(np.clip(p, 1e-6, 1))
    found = np.zeros(classes)
    if len(np.unique(labels)) < 2:
        return np.exp(found)
    if classes <= 3:
        grid = np.stack(np.meshgrid(*[GRID] * (classes - 1), indexing="ij"), axis=-1)
        tried = np.concatenate([grid, np.zeros((*grid.shape[:-1], 1))], axis=-1)
        found = tried[_peak(_scores(logs, labels, tried.reshape(-1, classes), weights, by).reshape(grid.shape[:-1]))]
        return np.exp(found)
    for _ in range(ROUNDS):
        for number in range(classes - 1):
            tried = np.repeat(found[None], len(GRID), axis=0)
            tried[:, number] = GRID
            found = tried[_peak(_scores(logs, labels, tried, weights, by))]
    return np.exp(found)


def decide(p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Class numbers (n,) of the largest weight × probability."""
    return np.argmax(np.clip(p, 1e-6, 1) * weights, axis=1)


def cross_fit(
    p: np.ndarray, labels: np.ndarray, groups: np.ndarray, weights: list[float], by: str, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Decisions (n,) of every row by weights that were tuned on the others: no row's own group takes part."""
    out = np.argmax(p, axis=1)
    for rest, held in splits(labels, groups, folds, seed):
        out[held] = decide(p[held], tune(p[rest], labels[rest], weights, by))
    return out


def score(matrix: np.ndarray, weights: list[float], by: str) -> float:
    """Of a confusion matrix: `w_acc`, `uar`, or `both`, their mean."""
    parts = {"w_acc": formulas.weighted_accuracy(matrix, weights), "uar": formulas.uar(matrix)}
    return (parts["w_acc"] + parts["uar"]) / 2 if by == "both" else parts[by]


def _scores(logs: np.ndarray, labels: np.ndarray, tried: np.ndarray, weights: list[float], by: str) -> np.ndarray:
    """Score of every candidate (candidates, classes) of logarithms of weights."""
    scores = np.empty(len(tried))
    for number, candidate in enumerate(tried):
        matrix = formulas.confusion(labels, np.argmax(logs + candidate, axis=1), logs.shape[1])
        scores[number] = score(matrix, weights, by)
    return scores


def _peak(scores: np.ndarray) -> tuple[int, ...]:
    smooth = gaussian_filter(scores, SMOOTH, mode="nearest")
    return np.unravel_index(int(np.argmax(smooth)), scores.shape)
