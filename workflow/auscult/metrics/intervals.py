"""How sure a metric is: bootstrap over subjects, paired differences of two systems, a t-test over folds.

A bootstrap draw is a row of multiplicities: how often each scored case counts. Subjects are drawn, not cases,
since the cases of one person (and the same case in several repeats) are not independent. Metrics take these
rows as case weights (auscult.metrics.formulas), so that all draws are scored in one call:

    draws = subject_draws(subjects, draws=2000, seed=0)
    bootstrap(lambda weights: uar(confusion(labels, predictions, 3, weights)), draws)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

# Smaller differences of metrics come from the order of floating-point sums and count as none.
ROUNDING = 1e-12


class Estimate(NamedTuple):
    """A value and the ends of its interval; arrays (...) if the statistic has axes of its own."""

    value: float | NDArray
    low: float | NDArray
    high: float | NDArray


class Difference(NamedTuple):
    """Difference a - b of two systems, the ends of its interval, and the two-sided p of no difference."""

    difference: float
    low: float
    high: float
    p: float


class TTest(NamedTuple):
    """Mean difference over folds, its t statistic and the two-sided p."""

    mean: float
    t: float
    p: float


def subject_draws(subjects: Sequence[str] | NDArray, draws: int = 2000, seed: int = 0) -> NDArray[np.float32]:
    """Multiplicities (draws, n) of the cases in bootstrap samples of subjects.

    subjects: (n,) strings, the subject of each row to be scored, as often as it has rows. In each draw, as
    many subjects as there are, are drawn with replacement; all rows of a subject get the same multiplicity.
    Sorted subjects are drawn, so that the order of the rows changes nothing, and two systems scored on the
    same subjects get the same draws. Raises ValueError without rows or draws, or if a subject is not a
    non-empty string.
    """
    subjects = list(subjects)
    if not subjects or draws < 1:
        raise ValueError("a bootstrap needs at least one row and one draw")
    unknown = [subject for subject in subjects if not isinstance(subject, str) or not subject]
    if unknown:
        raise ValueError(f"subjects must be non-empty strings, not {unknown[0]!r}")
    names, rows = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    drawn = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    drawn += np.arange(draws)[:, None] * len(names)
    counts = np.bincount(drawn.ravel(), minlength=draws * len(names)).reshape(draws, len(names))
    return counts.astype(np.float32)[:, rows]


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float | NDArray, float | NDArray]:
    """Percentile interval (low, high) over the first axis of `values`, (draws, ...) → (...).

    Undefined (NaN) draws are ignored; (NaN, NaN) where all are. level: 0 … 1, both exclusive.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    values = np.asarray(values, dtype=float)
    columns = values.reshape(len(values), int(np.prod(values.shape[1:])))
    ends = np.full((2, columns.shape[1]), np.nan)
    for k, column in enumerate(columns.T):
        defined = column[~np.isnan(column)]
        if defined.size:
            ends[:, k] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    low, high = ends.reshape(2, *values.shape[1:])
    return (low, high) if values.ndim > 1 else (float(low), float(high))


def bootstrap(statistic: Callable[[NDArray], ArrayLike], draws: NDArray, level: float = 0.95) -> Estimate:
    """A statistic of the rows as they are, and its percentile interval over the draws.

    statistic: maps weights (m, n) to values (m, ...). draws: (draws, n) of `subject_draws`.
    """
    value = np.asarray(statistic(np.ones((1, draws.shape[1]), dtype=draws.dtype)))[0]
    low, high = interval(statistic(draws), level)
    return Estimate(value if value.ndim else float(value), low, high)


def paired_difference(
    values_a: ArrayLike, values_b: ArrayLike, observed: float | None = None, level: float = 0.95
) -> Difference:
    """Difference a - b of one metric of two systems, scored under the same draws.

    values_a, values_b: (draws,), from the same rows of `subject_draws`. observed: the difference without
    resampling; the mean over the draws stands in for it. Draws in which either is NaN are left out; interval
    and p are NaN if none is left.

    p inverts the percentile interval: with B draws of the difference d, p = min(1, 2 min(1 + #(d ≤ 0),
    1 + #(d ≥ 0)) / (B + 1)). It is 1 for equal systems and never below 2 / (B + 1).
    """
    values_a, values_b = np.asarray(values_a, dtype=float), np.asarray(values_b, dtype=float)
    if values_a.ndim != 1 or values_a.shape != values_b.shape:
        raise ValueError(f"the same draws are needed of both systems: {values_a.shape} and {values_b.shape}")
    drawn = values_a - values_b
    drawn = drawn[~np.isnan(drawn)]
    drawn[np.abs(drawn) < ROUNDING] = 0.0
    if drawn.size == 0:
        return Difference(np.nan if observed is None else float(observed), np.nan, np.nan, np.nan)
    rarer = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p = min(1.0, float(2 * (1 + rarer) / (drawn.size + 1)))
    return Difference(float(drawn.mean() if observed is None else observed), *interval(drawn, level), p)


def corrected_t_test(differences_per_fold: ArrayLike, train_test_ratio: float) -> TTest:
    """Corrected resampled t-test (Nadeau and Bengio, Machine Learning 2003) of a difference over J folds.

    differences_per_fold: (J,), a - b in each fold, of all repeats; NaN folds are left out. train_test_ratio:
    training cases per test case (9 in 10-fold cross-validation). t = mean / sqrt((1 / J + 1 / ratio) s²), s²
    with J - 1, and p two-sided from J - 1 degrees of freedom. Folds share training cases, which the plain
    t-test (1 / J alone) ignores. t and p are NaN with fewer than two folds or if all differences are equal.
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
    return TTest(mean, float(t), float(2 * stats.t.sf(abs(t), folds - 1)))
