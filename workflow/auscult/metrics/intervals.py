"""Intervals of metrics: bootstrap over subjects, paired differences of two systems, a t-test over folds.

A bootstrap draw is a row of multiplicities: how often each case counts. Subjects are drawn, not cases, because
the cases of one person (and the same case in several repeats) are not independent. Metrics take these rows as
case weights (auscult.metrics.formulas), so that one call scores all draws:

    draws = subject_draws(subjects, draws=2000, seed=0)
    bootstrap(lambda weights: uar(confusion(labels, predictions, 3, weights)), draws)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

# Smaller differences between metrics are rounding errors of floating-point sums and count as 0.
ROUNDING = 1e-12


class Estimate(NamedTuple):
    """A value and the ends of its interval; arrays (...) if the statistic returns arrays."""

    value: float | NDArray
    low: float | NDArray
    high: float | NDArray


class Difference(NamedTuple):
    """Difference a - b of two systems, the ends of its interval, and the two-sided p value of no difference."""

    difference: float
    low: float
    high: float
    p: float


class TTest(NamedTuple):
    """Mean difference over folds, its t statistic and the two-sided p value."""

    mean: float
    t: float
    p: float


def subject_draws(subjects: Sequence[str] | NDArray, draws: int = 2000, seed: int = 0) -> NDArray[np.float32]:
    """Return multiplicities (draws, n) of the rows in bootstrap samples of subjects.

    subjects: (n,) strings, the subject of each row. A draw takes as many subjects as there are, with replacement;
    all rows of a subject get the same multiplicity. Subjects are sorted before the draw, so that the order of the
    rows does not matter, and two systems tested on the same subjects get the same draws. Raises ValueError without
    rows or draws, or if a subject is not a non-empty string.
    """
    subjects = list(subjects)
    if not subjects or draws < 1:
        raise ValueError("a bootstrap needs at least one row and one draw")
    invalid = [subject for subject in subjects if not isinstance(subject, str) or not subject]
    if invalid:
        raise ValueError(f"subjects must be non-empty strings, not {invalid[0]!r}")
    names, rows = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    samples = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    samples += np.arange(draws)[:, None] * len(names)
    counts = np.bincount(samples.ravel(), minlength=draws * len(names)).reshape(draws, len(names))
    return counts.astype(np.float32)[:, rows]


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float | NDArray, float | NDArray]:
    """Percentile interval (low, high) over the first axis of `values`, (draws, ...) → (...).

    Undefined (NaN) draws are ignored; (NaN, NaN) where all are undefined. level: 0 … 1, both exclusive.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    values = np.asarray(values, dtype=float)
    columns = values.reshape(len(values), int(np.prod(values.shape[1:])))
    ends = np.full((2, columns.shape[1]), np.nan)
    for k, column in enumerate(columns.T):
        finite_values = column[~np.isnan(column)]
        if finite_values.size:
            ends[:, k] = np.quantile(finite_values, [(1 - level) / 2, (1 + level) / 2])
    low, high = ends.reshape(2, *values.shape[1:])
    return (low, high) if values.ndim > 1 else (float(low), float(high))


def bootstrap(statistic: Callable[[NDArray], ArrayLike], draws: NDArray, level: float = 0.95) -> Estimate:
    """Return a statistic of the rows as they are, and its percentile interval over the draws.

    statistic: maps weights (m, n) to values (m, ...). draws: (draws, n) of `subject_draws`.
    """
    value = np.asarray(statistic(np.ones((1, draws.shape[1]), dtype=draws.dtype)))[0]
    low, high = interval(statistic(draws), level)
    return Estimate(value if value.ndim else float(value), low, high)


def paired_difference(
    values_a: ArrayLike, values_b: ArrayLike, observed: float | None = None, level: float = 0.95
) -> Difference:
    """Return the difference a - b of a metric of two systems with its interval, from the same draws.

    values_a, values_b: (draws,), from the same rows of `subject_draws`. observed: the difference without
    resampling; by default, the mean over the draws. Draws in which either value is NaN are left out; interval
    and p are NaN if no draw is left.

    p inverts the percentile interval: with B draws of the difference d, p = min(1, 2 min(1 + #(d ≤ 0),
    1 + #(d ≥ 0)) / (B + 1)). It is 1 for equal systems and never below 2 / (B + 1).
    """
    values_a, values_b = np.asarray(values_a, dtype=float), np.asarray(values_b, dtype=float)
    if values_a.ndim != 1 or values_a.shape != values_b.shape:
        raise ValueError(f"both systems need the same draws: shapes {values_a.shape} and {values_b.shape}")
    differences = values_a - values_b
    differences = differences[~np.isnan(differences)]
    differences[np.abs(differences) < ROUNDING] = 0.0
    if differences.size == 0:
        return Difference(np.nan if observed is None else float(observed), np.nan, np.nan, np.nan)
    smaller_count = min(np.sum(differences <= 0), np.sum(differences >= 0))
    p = min(1.0, float(2 * (1 + smaller_count) / (differences.size + 1)))
    return Difference(float(differences.mean() if observed is None else observed), *interval(differences, level), p)


def corrected_t_test(differences_per_fold: ArrayLike, train_test_ratio: float) -> TTest:
    """Return the corrected resampled t-test (Nadeau and Bengio, Machine Learning 2003) of a difference over J folds.

    differences_per_fold: (J,), a - b in each fold of all repeats; NaN folds are left out. train_test_ratio:
    training cases per test case (9 in 10-fold cross-validation). t = mean / sqrt((1 / J + 1 / ratio) s²); s²
    divides by J - 1; p is two-sided with J - 1 degrees of freedom. The correction 1 / ratio accounts for training
    cases that folds share. t and p are NaN with fewer than two folds or if all differences are equal.
    """
    if not train_test_ratio > 0:
        raise ValueError(f"train_test_ratio must be positive, not {train_test_ratio}")
    differences = np.asarray(differences_per_fold, dtype=float).ravel()
    differences = differences[~np.isnan(differences)]
    if differences.size == 0:
        return TTest(np.nan, np.nan, np.nan)
    mean = float(differences.mean())
    if np.ptp(differences) < ROUNDING:
        return TTest(mean, np.nan, np.nan)
    folds = differences.size
    t = mean / np.sqrt((1 / folds + 1 / train_test_ratio) * differences.var(ddof=1))
    return TTest(mean, float(t), float(2 * stdtr(folds - 1, -abs(t))))
