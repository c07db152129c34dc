"""Compare variants: paired differences of their scores on the same test cases, and over the folds."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT
from auscult.evaluation import scoring
from auscult.metrics import intervals

COLUMNS = [
    *("target", *(f"a_{column}" for column in VARIANT), *(f"b_{column}" for column in VARIANT), "metric", "n"),
    *("difference", "difference_low", "difference_high", "p_bootstrap", "p_t_test", "folds", "leak"),
]


class ComparisonError(Exception):
    """Two studies whose systems have different data, test cases or targets."""


def comparison(study: Study, predictions: pd.DataFrame, leak: str, folds: pd.DataFrame) -> pd.DataFrame:
    """Return the differences a − b of all metrics with intervals, a row per target, pair and metric.

    Pairs are the variants that differ in one respect (the system, the stage with `fit_on`, or the decision), and the
    row `chosen` with every other. The interval and `p_bootstrap` come from a paired bootstrap over subjects of all test
    cases, `p_t_test` from the corrected resampled t-test over the folds (empty with fewer than two folds). Neither is
    corrected for the number of pairs. A fold without the metric does not count. folds: folds.csv, for the numbers of
    training and test cases.
    """
    rows, ratio = [], train_test_ratio(folds)
    for name, part in predictions.groupby("target", sort=False):
        target = study.targets[name]
        variants = {key: scoring.labelled_rows(variant) for key, variant in part.groupby(VARIANT, sort=False)}
        if all(variant.empty for variant in variants.values()):
            continue
        # rankings of the row chosen are within folds: so are those that it is compared with
        of_draws, of_all_cases = (
            {
                (key, within_folds): function(variant, within_folds)
                for key, variant in variants.items()
                for within_folds in (False, True)
            }
            for function in (partial(scoring.bootstrap_scores, study, target), partial(scoring.score, target))
        )
        by_fold = {key: _by_fold(target, variant) for key, variant in variants.items()}
        marks = {key: scoring.variant_marks(leak, variant) for key, variant in variants.items()}
        for a, b in combinations(variants, 2):
            if b[1] == "chosen" and a[1] != "chosen":
                a, b = b, a
            if a[1] != "chosen" and _count_differences(a, b) != 1:
                continue
            within_folds = a[1] == "chosen"
            of_a, of_b = of_draws[a, within_folds], of_draws[b, within_folds]
            for metric in of_a:
                difference = of_all_cases[a, within_folds][metric] - of_all_cases[b, within_folds][metric]
                pooled_difference = intervals.paired_difference(of_a[metric], of_b[metric], difference)
                differences = by_fold[a][metric] - by_fold[b][metric]
                t_test = intervals.corrected_t_test(differences, ratio)
                cells = [name, *a, *b, metric, len(variants[a]), *pooled_difference, t_test.p, differences.count()]
                rows.append([*cells, "; ".join(dict.fromkeys([*marks[a], *marks[b]]))])
    return pd.DataFrame(rows, columns=COLUMNS)


def join_studies(
    studies: dict[str, Study], predictions: dict[str, pd.DataFrame], folds: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return predictions of several studies as one table, with systems named `<study>/<system>`.

    Each study has its own row `chosen`. Raises ComparisonError, naming the difference, unless all studies have the same
    data set, the same test cases in every fold, and the same targets.
    """
    first, *others = studies
    for name in others:
        a, b = studies[first], studies[name]
        if a.dataset.model_dump(exclude={"root"}) != b.dataset.model_dump(exclude={"root"}):
            raise ComparisonError(
                f"studies {first} and {name} read different data sets; their scores cannot be compared"
            )
        if not _same_test_cases(folds[first], folds[name]):
            raise ComparisonError(
                f"studies {first} and {name} have different test cases in a fold; give both the same `protocol`"
            )
        if set(a.targets) != set(b.targets):
            raise ComparisonError(
                f"studies {first} and {name} have different targets: {sorted(a.targets)} and {sorted(b.targets)}"
            )
        for key, target in a.targets.items():
            for field in ("label", "kind", "classes", "weights", "normal", "referral"):
                values = getattr(target, field), getattr(b.targets[key], field)
                if values[0] != values[1]:
                    raise ComparisonError(
                        f"studies {first} and {name}: targets.{key}.{field} differ: {values[0]} and {values[1]}"
                    )
    parts = [table.assign(system=name + "/" + table["system"]) for name, table in predictions.items()]
    return pd.concat(parts, ignore_index=True)


def _same_test_cases(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two tables of folds have the same test cases in every fold."""
    keys = ["repeat", "fold", "case"]
    a, b = (table.loc[table["role"] == "test", keys].sort_values(keys).reset_index(drop=True) for table in (a, b))
    return a.equals(b)


def _count_differences(a: tuple, b: tuple) -> int:
    """Number of respects in which two variants differ; the stage and its `fit_on` count as one."""
    return (a[0] != b[0]) + (a[1:3] != b[1:3]) + (a[3] != b[3])


def _by_fold(target, part: pd.DataFrame) -> pd.DataFrame:
    """Scores of every repeat and fold."""
    return pd.DataFrame({key: scoring.score(target, rows) for key, rows in part.groupby(["repeat", "fold"])}).T


def train_test_ratio(folds: pd.DataFrame) -> float:
    """Number of training cases per test case, on average over all repeats and folds; validation cases are neither."""
    counts = folds.groupby(["repeat", "fold"])["role"].value_counts().unstack(fill_value=0)
    return float((counts["train"] / counts["test"]).mean())
