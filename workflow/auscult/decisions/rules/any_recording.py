"""The first class that any recording of the case has (Panah et al. 2023)."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.decisions.rule import FittedRule, Recordings, Rule


def decide(recordings: Recordings, p: np.ndarray) -> np.ndarray:
    """Class numbers (n,): the first class that is the most probable one of any recording of the case.

    Each network decides by itself, and most of them decide (in a tie the more probable class): in a mean of more
    networks fewer recordings stand out. p: (n, classes) of the cases; they decide a case without recordings.
    """
    n, classes = p.shape
    votes = np.zeros((n, classes))
    for probabilities in recordings.probabilities:
        first = np.full(n, classes)
        np.minimum.at(first, recordings.case, np.argmax(probabilities, axis=1))
        first = np.where(first < classes, first, np.argmax(p, axis=1))
        votes[np.arange(n), first] += 1
    return np.argmax(votes + 1e-6 * p, axis=1)


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The cases' probabilities as they are, and the decisions."""
    return p, decide(recordings, p)


RULES = (
    Rule(
        "any_recording",
        "The first class that any recording has as its most probable one, by a vote of the networks; a second stage "
        "has no such rows.",
        ("multiclass",),
        apply,
        needs_recordings=True,
    ),
)
