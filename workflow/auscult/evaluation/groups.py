"""Count the cases of the groups that a study's evaluation names, so that a wrong name stops a run at its beginning."""

from __future__ import annotations

import pandas as pd

from auscult.config.targets import Referral
from auscult.datasets.base import Manifest
from auscult.evaluation.subgroups import group_cases


class EvaluationError(Exception):
    """A study's evaluation names a column or value that its data set does not have."""


def count_groups(referrals: dict[str, Referral], subgroups: list[str], manifest: Manifest) -> pd.DataFrame:
    """Return the number of cases in every group of the keys `referral` and `subgroups`: `key, column, value, cases`.

    referrals: by target, of the targets that have one.

    Raises EvaluationError if the label of a referral is not a column, or none of its `positive` values occurs in that
    column; SubgroupError for a grouping that the data set does not have.
    """
    rows = []
    for name, referral in referrals.items():
        key, label = f"targets.{name}.referral", referral.label
        if label not in manifest.cases:
            labels = ", ".join(manifest.columns.labels)
            raise EvaluationError(f"{key}.label: the data set has no label column {label!r}; it has {labels}")
        counts = manifest.cases[label].str.split("|").explode().value_counts().drop("", errors="ignore")
        if not set(counts.index) & set(referral.positive):
            positive, values = referral.positive, sorted(counts.index)
            raise EvaluationError(f"{key}.positive: {label} is never one of {positive}; it is one of {values}")
        rows += [(key, label, value, count) for value, count in counts.sort_index().items()]
    for by in subgroups:
        groups = group_cases(manifest, by)
        rows += [("evaluation.subgroups", by, value, len(cases)) for value, cases in groups.items()]
    return pd.DataFrame(rows, columns=["key", "column", "value", "cases"])
