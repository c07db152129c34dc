"""Rules from probabilities to a decision. Each gives class numbers (n,), or 0/1 per class for a multilabel target."""

from __future__ import annotations

import numpy as np


def reference(p: np.ndarray) -> np.ndarray:
    """0.5, the first class first: a class is taken when it holds at least half of what the earlier ones left.

    Of binary heads asked in order this is the published Present-then-Unknown rule.
    """
    left = np.ones(len(p))
    decided = np.full(len(p), p.shape[1] - 1)
    open_ = np.ones(len(p), dtype=bool)
    for number in range(p.shape[1] - 1):
        take = open_ & (p[:, number] >= 0.5 * left) & (left > 0)
        decided[take] = number
        open_ &= ~take
        left = left - p[:, number]
    return decided


def reference_multilabel(p: np.ndarray) -> np.ndarray:
    """Every class at 0.5."""
    return (p >= 0.5).astype(int)


def cost(p: np.ndarray, weights: list[float]) -> np.ndarray:
    """The class with the largest weight × calibrated probability, which maximises expected weighted accuracy."""
    return np.argmax(p * np.asarray(weights), axis=1)


def any_recording(p: np.ndarray, owner: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """The first class that is the most probable one of any recording of the case (Panah et al. 2023).

    `p` (recordings, classes), `owner` (recordings,) the case's number; `fallback` (cases, classes) decides a case
    without recordings.
    """
    decided = np.argmax(fallback, axis=1)
    best = np.full(len(fallback), p.shape[1])
    np.minimum.at(best, owner, np.argmax(p, axis=1))
    return np.where(best < p.shape[1], best, decided)
