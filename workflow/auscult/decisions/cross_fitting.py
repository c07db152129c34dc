"""Cross-fitting: what is fitted to some cases is applied to cases of other subjects, fold after fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np

from auscult.config.targets import Target
from auscult.decisions.rule import Rule
from auscult.folds.splitting import splits_without_warnings

FOLDS, SEED = 5, 0
Results = TypeVar("Results")


def cross_fit(
    rule: Rule, p: np.ndarray, truth: np.ndarray, groups: np.ndarray, target: Target, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold probabilities (n, classes) and decisions of labelled cases by a rule that is fitted.

    p, truth: as `Rule.fit` takes them. groups: subjects (n,); no case's own subject takes part in what decides it.
    seed: of the draw of the folds. Where there are too few cases to divide, the rule decides as it is before any
    fitting.
    """
    without_cases = rule.fit(p[:0], truth[:0], target)
    probabilities, decisions = (array.copy() for array in rule.apply(without_cases, p, target, None))

    def fit_and_apply(fit_rows: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rule.apply(rule.fit(p[fit_rows], truth[fit_rows], target), p[rows], target, None)

    for rows, results in out_of_fold(fit_and_apply, _strata(truth), groups, seed):
        probabilities[rows], decisions[rows] = results
    return probabilities, decisions


def out_of_fold(
    fit_and_apply: Callable[[np.ndarray, np.ndarray], Results],
    labels: np.ndarray,
    groups: np.ndarray,
    seed: int = SEED,
) -> Iterator[tuple[np.ndarray, Results]]:
    """Row numbers of every fold, and what `fit_and_apply(rows of the other folds, these rows)` gives for them.

    labels, groups, seed: see `splits`. Nothing where there are too few cases to divide.
    """
    for fit_rows, rows in splits(labels, groups, FOLDS, seed):
        yield rows, fit_and_apply(fit_rows, rows)


def splits(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers (to fit on, out of fold) of stratified folds that split no group.

    labels: class numbers (n,). Fewer folds where groups or the cases of every class are few, none below two.
    """
    return _splits(tuple(labels.tolist()), tuple(groups.tolist()), folds, seed)


@lru_cache(maxsize=64)  # every rule and system is cross-fitted on the same folds
def _splits(labels: tuple[int, ...], groups: tuple[str, ...], folds: int, seed: int) -> list:
    folds = min(folds, len(set(groups)), np.bincount(labels).max(initial=0))
    if folds < 2:
        return []
    from sklearn.model_selection import StratifiedGroupKFold  # slow to load, and the report's job reads this file

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return splits_without_warnings("the folds of cross-fitting", splitter.split, labels, labels, groups)


def _strata(truth: np.ndarray) -> np.ndarray:
    """Class numbers (n,) to stratify by; of several labels a number for every set of them."""
    if truth.ndim == 1:
        return truth
    sets = np.array(["".join(map(str, row)) for row in truth])
    return np.unique(sets, return_inverse=True)[1]
