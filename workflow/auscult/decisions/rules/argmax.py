"""The most probable class, as most publications decide."""

from __future__ import annotations

import numpy as np

from auscult.config.targets import Target
from auscult.decisions.rule import FittedRule, Recordings, Rule


def apply(
    parameters: FittedRule, p: np.ndarray, target: Target, recordings: Recordings | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities as they are, and the number of the largest of each row; the first of equal ones."""
    return p, np.argmax(p, axis=1)


RULES = (Rule("argmax", "The most probable class.", ("multiclass",), apply),)
