"""The groups of cases that a study's evaluation names, counted at the beginning of a run."""

from __future__ import annotations

import pandas as pd

from auscult.config.targets import Referral
from auscult.datasets.base import Manifest
from auscult.evaluation.subgroups import group_cases


class EvaluationError(Exception):
    """A study's evaluation names a column or value that its data set does not have."""


def count_groups(referrals: dict[str, Referral], subgroups: list[str], manifest: Manifest) -> pd.DataFrame:
    """How many cases every group of a `referral` and of `subgroups` has: `key, column, value, cases`.

    referrals: by target, of those that have one.

    Raises EvaluationError where the label of a referral is no column, or is never one of its `positive`; SubgroupError
    for a grouping that the data set does not have.
    """
    rows = []
    for name, referral in referrals.items():
        where, label = f"targets.{name}.referral", referral.label
        if label not in manifest.cases:
            known = ", ".join(manifest.columns.labels)
            raise EvaluationError(f"{where}.label: the data set has no label column {label!r}; it has {known}")
        counts = manifest.cases[label].value_counts().drop("", errors="ignore")
        if not set(counts.index) & set(referral.positive):
            positive, there = referral.positive, sorted(counts.index)
            raise EvaluationError(f"{where}.positive: {label} is never one of {positive}; it is one of {there}")
        rows += [(where, label, value, count) for value, count in counts.sort_index().items()]
    for by in subgroups:
        groups = group_cases(manifest, by)
        rows += [("evaluation.subgroups", by, value, len(cases)) for value, cases in groups.items()]
    return pd.DataFrame(rows, columns=["key", "column", "value", "cases"])
