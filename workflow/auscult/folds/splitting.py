"""The folds of a splitter of scikit-learn. Without importing it: jobs read this file that may need no splitter."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from auscult.folds.planned import FoldError


def splits_without_warnings(key: str, split: Callable, *arguments) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what `split(*arguments)` yields: row numbers of the other folds and of each fold.

    key: where the study says how many folds there are, for the message. Raises FoldError.

    The warning about rare strata is off, since the audit counts absent classes.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            return list(split(*arguments))
        except ValueError as error:
            raise FoldError(
                f"{key}: {error}; use fewer labels in protocol.stratify, more data, or fewer folds (at least two)"
            ) from error
