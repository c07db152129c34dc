"""A weight per class, tuned to a metric: `tuned_w_acc`, `tuned_uar`, and `tuned_both`, the mean of the two."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from auscult.config.targets import Target
from auscult.decisions.inner_score import score
from auscult.decisions.rule import FittedRule, Recordings, Rule

GRID = np.linspace(-4, 4, 33)  # logarithms of a class's weight against the last class's
SMOOTH = 1.0  # grid steps: a broad maximum is believed before a high narrow one
BLOCK_SIZE = 4_000_000  # numbers in a temporary array; limits memory and does not change results
ROUNDS = 2  # over the classes, where they are too many for a whole grid


def tune(p: np.ndarray, labels: np.ndarray, true_weights: list[float], metric: str) -> np.ndarray:
    """Weights (classes,) by which the largest weight x probability scores best; the last class has weight 1.

    p: (n, classes). labels: class numbers (n,). true_weights: of the true classes in weighted accuracy. metric: see
    `decisions.inner_score.score`. With three classes the whole grid is searched, with more one class after the other.
    """
    classes = p.shape[1]
    logs = np.log(np.clip(p, 1e-6, 1))
    best = np.zeros(classes)
    if len(np.unique(labels)) < 2:
        return np.exp(best)
    if classes <= 3:
        grid = np.stack(np.meshgrid(*[GRID] * (classes - 1), indexing="ij"), axis=-1)
        candidates = np.concatenate([grid, np.zeros((*grid.shape[:-1], 1))], axis=-1)
        scores = _scores(logs, labels, candidates.reshape(-1, classes), true_weights, metric)
        return np.exp(candidates[_peak(scores.reshape(grid.shape[:-1]))])
    for _ in range(ROUNDS):
        for number in range(classes - 1):
            candidates = np.repeat(best[None], len(GRID), axis=0)
            candidates[:, number] = GRID
            best = candidates[_peak(_scores(logs, labels, candidates, true_weights, metric))]
    return np.exp(best)


def decide(p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Class numbers (n,) of the largest weight x probability."""
    return np.argmax(np.clip(p, 1e-6, 1) * weights, axis=1)


def fit(p: np.ndarray, truth: np.ndarray, target: Target, metric: str) -> FittedRule:
    """Tuned `weights`."""
    return {"weights": tune(p, truth, target.class_weights(), metric).tolist()}


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities as they are, and the decisions."""
    return p, decide(p, np.array(parameters["weights"]))


def _scores(
    logs: np.ndarray, labels: np.ndarray, candidates: np.ndarray, true_weights: list[float], metric: str
) -> np.ndarray:
    """Score of every candidate (candidates, classes) of logarithms of weights."""
    classes = logs.shape[1]
    blocks = np.array_split(candidates, -(-len(candidates) * logs.size // BLOCK_SIZE))
    scores = []
    for block in blocks:
        decisions = np.argmax(logs + block[:, None], axis=2)
        cells = (np.arange(len(block))[:, None] * classes + labels) * classes + decisions
        matrices = np.bincount(cells.ravel(), minlength=len(block) * classes**2).reshape(-1, classes, classes)
        scores.append(score(matrices, true_weights, metric))
    return np.concatenate(scores)


def _peak(scores: np.ndarray) -> tuple[int, ...]:
    """Place of the largest score after smoothing."""
    smooth = gaussian_filter(scores, SMOOTH, mode="nearest")
    return np.unravel_index(int(np.argmax(smooth)), scores.shape)


NAMES = {"w_acc": "weighted accuracy", "uar": "UAR", "both": "the mean of weighted accuracy and UAR"}
RULES = tuple(
    Rule(
        f"tuned_{metric}",
        f"The largest weight x probability, with a weight per class tuned to {name}.",
        ("multiclass",),
        apply,
        partial(fit, metric=metric),
    )
    for metric, name in NAMES.items()
)
