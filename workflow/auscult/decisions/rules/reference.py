"""The published decision: one half, the first class first; of a multilabel target one half for every class."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.decisions.rule import FittedRule, Recordings, Rule


def decide(p: np.ndarray) -> np.ndarray:
    """Class numbers (n,): the first class that has at least half of the probability that the earlier ones leave.

    For a chain of binary heads this is the published Present-then-Unknown rule.
    """
    remainder = np.ones(len(p))
    decisions = np.full(len(p), p.shape[1] - 1)
    is_open = np.ones(len(p), dtype=bool)
    for number in range(p.shape[1] - 1):
        take = is_open & (p[:, number] >= 0.5 * remainder) & (remainder > 0)
        decisions[take] = number
        is_open &= ~take
        remainder = remainder - p[:, number]
    return decisions


def decide_multilabel(p: np.ndarray) -> np.ndarray:
    """0 or 1 for every class (n, classes): 1 from a probability of one half."""
    return (p >= 0.5).astype(int)


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities as they are, and the decisions."""
    return p, decide_multilabel(p) if target.kind == "multilabel" else decide(p)


RULES = (
    Rule(
        "reference",
        "0.5, the first class first; of a multilabel target 0.5 for every class.",
        ("multiclass", "multilabel"),
        apply,
    ),
)
