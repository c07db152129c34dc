"""What a decision rule is: from class probabilities of cases to decisions, perhaps fitted to labelled cases first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from auscult.config.targets import Target

FittedRule = dict[str, Any]
"""The parameters that a rule was fitted to, in values that JSON can write; {} of a rule that is not fitted."""


@dataclass(frozen=True)
class Recordings:
    """Recordings of n cases, as every network sees them.

    `probabilities`: (networks, recordings, classes). `case`: (recordings,), the row number of each case. A case may
    have none.
    """

    probabilities: np.ndarray
    case: np.ndarray


@dataclass(frozen=True)
class Rule:
    """A decision rule, by the name that studies use.

    Attributes
    ----------
    description : one line for the reference of the configuration.
    kinds : kinds of target that it serves, `multiclass` or `multilabel`.
    apply : (fitted, probabilities (n, classes), target, recordings) to probabilities (n, classes), calibrated if the
        rule calibrates, and decisions: class numbers (n,), or 0 and 1 (n, classes) for a multilabel target.
    fit : (probabilities (n, classes), truth, target) to what `apply` needs; truth is as decisions are. Of no cases it
        gives the rule as it is before any fitting. None: the rule is not fitted.
    calibrates : whether it calibrates the probabilities, and decides as all rules that do. Of these only the best one
        counts in the row `chosen`.
    needs_recordings : whether `apply` reads the recordings; they are None where there are none (a second stage).
    """

    name: str
    description: str
    kinds: tuple[str, ...]
    apply: Callable[[FittedRule, np.ndarray, Target, Recordings | None], tuple[np.ndarray, np.ndarray]]
    fit: Callable[[np.ndarray, np.ndarray, Target], FittedRule] | None = None
    calibrates: bool = False
    needs_recordings: bool = False

    @property
    def is_fitted(self) -> bool:
        """Whether the rule is fitted to labelled cases."""
        return self.fit is not None
