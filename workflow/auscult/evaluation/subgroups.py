"""Score the row `chosen` by groups of cases, such as sites or age groups."""

from __future__ import annotations

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.evaluation import scoring
from auscult.fusion.covariates import case_covariates, own_name
from auscult.metrics import catalogue

MOST_VALUES = 6  # a number with more distinct values is divided into thirds


class SubgroupError(Exception):
    """A study names a grouping that its data set does not have."""


def subgroups(study: Study, manifest: Manifest, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """Return a row per target, grouping and group: `target, by, group, n`, scores with intervals, recalls, `leak`.

    A grouping is an entry of `evaluation.subgroups`: a label, group or attribute column (cases without a value are left
    out); a covariate (if it has more than 6 values, in thirds of all cases); or `site` (the cases with a recording from
    a site, so that a case may be in several groups). Raises SubgroupError for any other entry.
    """
    keys = {f"{metric.key}{end}" for metric in catalogue.metrics_of("subgroups") for end in ("", "_low", "_high")}
    rows = []
    for by in study.evaluation.subgroups:
        groups = group_cases(manifest, by)
        for name, target in study.targets.items():
            rows_chosen = predictions[(predictions["target"] == name) & (predictions["system"] == "chosen")]
            for group, cases in groups.items():
                part = scoring.labelled_rows(rows_chosen[rows_chosen["case"].isin(cases)])
                if part.empty:
                    continue
                scores = scoring.with_intervals(study, target, part)
                prefixes = {key: (catalogue.class_of(key) or ("", ""))[0] for key in scores}
                scores = {k: v for k, v in scores.items() if k in keys or prefixes[k] == "recall_"}
                rows.append({"target": name, "by": by, "group": group, "n": len(part), **scores, "leak": leak})
    return pd.DataFrame(rows, columns=None if rows else ["target", "by", "group", "n"])


def group_cases(manifest: Manifest, by: str) -> dict[str, set[str]]:
    """Return the cases of every group of a grouping. Raises SubgroupError if the data set does not have it."""
    cases = manifest.cases.set_index("case")
    if by == "site" and by in cases:
        raise SubgroupError(
            "evaluation.subgroups: 'site' is a column of cases.csv and of recordings.csv; rename that of cases.csv"
        )
    if by == "site":
        with_site = manifest.recordings[manifest.recordings["site"] != ""]
        return {site: set(site_cases) for site, site_cases in with_site.groupby("site")["case"]}
    columns = [*manifest.columns.labels, *manifest.columns.groups, *manifest.columns.attributes]
    if by in columns:
        values = cases[by].astype(str)
    else:
        numbers = case_covariates(manifest)
        by = own_name(manifest, by) if by in manifest.columns.covariates else by
        if by not in numbers:
            groupings = ["site", *columns, *numbers]
            raise SubgroupError(f"evaluation.subgroups: {by!r} is not one of {', '.join(groupings)}")
        column = numbers[by].dropna()
        if column.nunique() <= MOST_VALUES:
            values = column.map("{:g}".format)
        else:
            ends = column.quantile([1 / 3, 2 / 3])
            low, high = (f"{end:.4g}" for end in ends)
            names = [f"up to {low}", f"above {low}, up to {high}", f"above {high}"]
            values = column.map(lambda number: names[int((number > ends).sum())])
            return {name: set(values.index[values == name]) for name in names if (values == name).any()}
    return {group: set(members.index) for group, members in values[values != ""].groupby(values)}
