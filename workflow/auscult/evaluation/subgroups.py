"""Scores of the row `chosen` by groups of cases: where does it hold, and where not."""

from __future__ import annotations

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.evaluation import scoring
from auscult.features.covariates import covariates
from auscult.metrics import catalogue

MOST_VALUES = 6  # of a number that is taken as it is; of more, thirds


class SubgroupError(Exception):
    """A study names a grouping that its data set does not have."""


def subgroups(study: Study, manifest: Manifest, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per target, grouping and group: `target, by, group, n`, scores with intervals, recalls, `leak`.

    A grouping is a key of `evaluation.subgroups`: a label, group or attribute column (cases without a value are left
    out), a covariate (a number of many values in thirds of all cases), or `site` (the cases with a recording there, so
    that a case is in several groups). Raises SubgroupError for another word.
    """
    keys = {f"{metric.key}{end}" for metric in catalogue.shown("subgroups") for end in ("", "_low", "_high")}
    rows = []
    for by in study.evaluation.subgroups:
        groups = group_cases(manifest, by)
        for name, target in study.targets.items():
            chosen = predictions[(predictions["target"] == name) & (predictions["system"] == "chosen")]
            for group, cases in groups.items():
                part = scoring.scored(chosen[chosen["case"].isin(cases)])
                if part.empty:
                    continue
                found = scoring.with_intervals(study, target, part)
                kept = {k: v for k, v in found.items() if k in keys or k.startswith("recall_")}
                rows.append({"target": name, "by": by, "group": group, "n": len(part), **kept, "leak": leak})
    return pd.DataFrame(rows, columns=None if rows else ["target", "by", "group", "n"])


def group_cases(manifest: Manifest, by: str) -> dict[str, set[str]]:
    """Cases of every group of one grouping, by the name of the group."""
    cases = manifest.cases.set_index("case")
    if by == "site":
        heard = manifest.recordings[manifest.recordings["site"] != ""]
        return {site: set(part) for site, part in heard.groupby("site")["case"]}
    named = [*manifest.columns.labels, *manifest.columns.groups, *manifest.columns.attributes]
    if by in named:
        values = cases[by].astype(str)
    else:
        numbers = covariates(manifest)
        if by not in numbers:
            known = ["site", *named, *numbers]
            raise SubgroupError(f"evaluation.subgroups: {by!r} is not one of {', '.join(known)}")
        column = numbers[by].dropna()
        if column.nunique() <= MOST_VALUES:
            values = column.map("{:g}".format)
        else:
            ends = column.quantile([1 / 3, 2 / 3])
            low, high = (f"{end:.4g}" for end in ends)
            names = [f"up to {low}", f"{low} to {high}", f"above {high}"]
            values = column.map(lambda number: names[int((number > ends).sum())])
    return {group: set(part.index) for group, part in values[values != ""].groupby(values)}
