"""Combine what several variants or folds decide about the same cases: the mean of probabilities, and a vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from auscult.config.targets import Target


def vote(target: Target, voters: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probabilities (n, classes), decisions, and the share of voters that decide so (n,).

    voters: probabilities and decisions of each, see `rule.Rule.apply`. A case gets the class of most voters (in a tie
    the more probable one); for a multilabel target every class that more than half of them predict (of exactly half,
    if its mean probability is above 0.5).
    """
    p = np.mean([probabilities for probabilities, _ in voters], axis=0)
    if target.kind == "multilabel":
        shares = np.mean([decisions for _, decisions in voters], axis=0)
        decisions = ((shares + 1e-6 * (p - 0.5)) > 0.5).astype(int)
        agreement = np.mean([(of_voter == decisions).all(axis=1) for _, of_voter in voters], axis=0)
        return p, decisions, agreement
    votes = np.mean([np.eye(len(target.classes))[decisions] for _, decisions in voters], axis=0)
    decisions = np.argmax(votes + 1e-6 * p, axis=1)
    return p, decisions, votes[np.arange(len(decisions)), decisions]


def positions(cases: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Row numbers of the cases `order` among some cases. Raises ValueError for one that is not there."""
    rows, order = pd.Index(cases).get_indexer(order), np.asarray(order, dtype=object)
    if (rows < 0).any():
        raise ValueError(f"the case {str(order[int(np.argmin(rows))])!r} is missing among the outputs of a variant")
    return rows
