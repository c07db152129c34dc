"""Covariates of cases under names that no other feature has, whatever the columns of cases.csv are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.features.covariates import DOCUMENTED, covariates

OWN = "cases:"  # before the name of a column of cases.csv that another feature has
BODY = {"height_cm", "weight_kg"}
FROM_BODY = {"bmi", "body_surface_area"}  # computed only from both columns of BODY


def own_name(manifest: Manifest, name: str, is_taken: Callable[[str], bool] = lambda name: False) -> str:
    """Return the name in `case_covariates` of the covariate that cases.csv calls `name`.

    It does not depend on the recordings, so that new recordings get the names of the study.
    """
    computed_names = set(DOCUMENTED) - (set() if set(manifest.columns.covariates) >= BODY else FROM_BODY)
    is_ambiguous = name in computed_names or name.startswith(("site_", OWN)) or is_taken(name)
    return f"{OWN}{name}" if is_ambiguous else name


def case_covariates(manifest: Manifest, is_taken: Callable[[str], bool] = lambda name: False) -> pd.DataFrame:
    """Return `features.covariates.covariates`; a column of cases.csv with another feature's name is `cases:<name>`.

    is_taken: whether a feature outside the covariates has a name.
    """
    names = {name: own_name(manifest, name, is_taken) for name in manifest.columns.covariates}
    cases = manifest.cases[["case", *names]].rename(columns=names)
    columns = replace(manifest.columns, covariates=list(names.values()))
    return covariates(replace(manifest, cases=cases, columns=columns))
