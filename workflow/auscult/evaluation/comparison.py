"""Is one variant better than another? Paired differences on the same judged cases, and over the folds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT
from auscult.evaluation import scoring
from auscult.metrics import intervals

COLUMNS = [
    *("target", *(f"a_{word}" for word in VARIANT), *(f"b_{word}" for word in VARIANT), "metric", "n"),
    *("difference", "difference_low", "difference_high", "p_bootstrap", "p_t_test", "folds", "leak"),
]


class ComparisonError(Exception):
    """Systems of two studies that were not judged alike."""


def comparison(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """Differences a − b of weighted accuracy, UAR and AUROC, a row per target, pair and metric.

    Pairs are the variants that differ in one thing (the system, the stage with what it was fitted on, or the decision),
    and the row `chosen` against every other. The interval and `p_bootstrap` come from a paired bootstrap over subjects
    of all judged cases, `p_t_test` from the corrected resampled t-test over the folds (empty with fewer than two).
    Nothing is corrected for the number of pairs.
    """
    rows = []
    for name, part in predictions.groupby("target", sort=False):
        target = study.targets[name]
        variants = {key: scoring.scored(one) for key, one in part.groupby(VARIANT, sort=False)}
        if all(one.empty for one in variants.values()):
            continue
        drawn = {key: scoring.resampled(study, target, one) for key, one in variants.items()}
        pooled = {key: scoring.score(target, one) for key, one in variants.items()}
        by_fold = {key: _by_fold(target, one) for key, one in variants.items()}
        ratio = _train_test_ratio(next(iter(variants.values())))
        for a, b in combinations(variants, 2):
            if b[0] == "chosen":
                a, b = b, a
            if a[0] != "chosen" and _apart(a, b) != 1:
                continue
            for metric in drawn[a]:
                found = intervals.paired_difference(
                    drawn[a][metric], drawn[b][metric], pooled[a][metric] - pooled[b][metric]
                )
                differences = by_fold[a][metric] - by_fold[b][metric]
                tested = intervals.corrected_t_test(differences, ratio)
                marks = [scoring.variant_mark(leak, key[2]) for key in (a, b)]
                cells = [name, *a, *b, metric, len(variants[a]), *found, tested.p, len(differences)]
                rows.append([*cells, max(marks, key=len)])
    return pd.DataFrame(rows, columns=COLUMNS)


def joined(
    studies: dict[str, Study], predictions: dict[str, pd.DataFrame], folds: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Predictions of several studies as one table, systems as `<study>/<system>`.

    Raises ComparisonError, naming what differs, unless data set, folds and targets are the same. Every study keeps its
    row `chosen`.
    """
    names = list(studies)
    first = names[0]
    for name in names[1:]:
        one, other = studies[first], studies[name]
        if one.dataset.model_dump(exclude={"root"}) != other.dataset.model_dump(exclude={"root"}):
            raise ComparisonError(f"studies {first} and {name} read different data sets; their scores do not compare")
        if not _same_roles(folds[first], folds[name]):
            raise ComparisonError(
                f"studies {first} and {name} judge different cases in a fold; give both the same `protocol`"
            )
        if set(one.targets) != set(other.targets):
            raise ComparisonError(
                f"studies {first} and {name} have different targets: {sorted(one.targets)} and {sorted(other.targets)}"
            )
        for key, target in one.targets.items():
            for word in ("label", "kind", "classes", "weights"):
                if getattr(target, word) != getattr(other.targets[key], word):
                    raise ComparisonError(
                        f"studies {first} and {name}: targets.{key}.{word} differ: {getattr(target, word)} and "
                        f"{getattr(other.targets[key], word)}"
                    )
    parts = [table.assign(system=name + "/" + table["system"]) for name, table in predictions.items()]
    return pd.concat(parts, ignore_index=True)


def _same_roles(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two tables of folds judge the same cases in every fold."""
    keys = ["repeat", "fold", "case"]
    a, b = (table.loc[table["role"] == "test", keys].sort_values(keys).reset_index(drop=True) for table in (a, b))
    return a.equals(b)


def _apart(a: tuple, b: tuple) -> int:
    """In how many things two variants differ; the stage and what it was fitted on are one."""
    return (a[0] != b[0]) + (a[1:3] != b[1:3]) + (a[3] != b[3])


def _by_fold(target, part: pd.DataFrame) -> pd.DataFrame:
    """Scores of every repeat and fold."""
    return pd.DataFrame({key: scoring.score(target, one) for key, one in part.groupby(["repeat", "fold"])}).T


def _train_test_ratio(part: pd.DataFrame) -> float:
    """Cases that a fold does not judge for each that it does, on average over the folds."""
    repeat = part[part["repeat"] == part["repeat"].iloc[0]]
    judged = repeat.groupby("fold").size().mean()
    return float(max((len(repeat) - judged) / judged, np.finfo(float).tiny))
