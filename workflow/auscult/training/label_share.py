"""The subjects whose labels a training uses, where it may use only a share of them."""

from __future__ import annotations

import hashlib
import math

import pandas as pd


def drawn(subjects: pd.Series, share: float, seed: int) -> pd.Series:
    """Which of the cases (by their subjects) are used: those of a random `share` of the subjects, at least of one.

    Each subject has a place in a random order that depends on the seed and its own name alone: a smaller share is part
    of a larger one, and another subject changes nobody's place before the cut.
    """
    order = sorted(set(subjects), key=lambda subject: hashlib.sha256(f"{seed} {subject}".encode()).digest())
    count = math.ceil(share * len(order) - 1e-9)  # 0.7 * 10 is a little more than 7
    return subjects.isin(order[:count])
