"""Features of the second stage: one row per case, named columns, in blocks that a study switches on and off."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from auscult.config.fusion import Fusion
from auscult.datasets.base import Manifest
from auscult.features.covariates import covariates, site_names
from auscult.training.targets import output_names


def probability_columns(study, system) -> list[str]:
    """Case columns of `aggregate` that hold probabilities of the heads."""
    return [f"p_{name}" for name in output_names(study.heads_of(system))]


def uncertainty_columns(study, system) -> list[str]:
    """Case columns of `aggregate` that hold uncertainties of the heads."""
    heads = study.heads_of(system)
    return [f"variance_{name}" for name in output_names(heads)] + [
        f"{measure}_{name}" for name in heads for measure in ("entropy", "information")
    ]


def by_site(recordings: pd.DataFrame, columns: list[str], sites: list[str]) -> pd.DataFrame:
    """Mean of recording columns per case and site, as `<column>@<site>`; NaN where a site was not recorded."""
    means = recordings.groupby(["case", "site"])[columns].mean().unstack("site")
    means.columns = [f"{column}@{site}" for column, site in means.columns]
    return means.reindex(columns=[f"{column}@{site}" for column in columns for site in sites])


def statistics_by_site(manifest: Manifest, statistics: pd.DataFrame, missing: str) -> pd.DataFrame:
    """The 44 statistics of every site, `<statistic>@<site>`; a repeated site gives the last recording's, as published.

    A site that was not recorded is NaN, or zeros with `missing: zero`. Without sites: means over the recordings.
    """
    table = manifest.recordings[["recording", "case", "site"]].join(statistics, on="recording")
    names, sites = list(statistics.columns), site_names(manifest)
    if not sites:
        return table.groupby("case")[names].mean()
    last = table.sort_values("recording").groupby(["case", "site"])[names].last().unstack("site")
    last.columns = [f"{name}@{site}" for name, site in last.columns]
    last = last.reindex(manifest.cases["case"], columns=[f"{name}@{site}" for site in sites for name in names])
    if missing == "zero":
        last = last.fillna(0.0)
    else:
        for site in sites:
            last[f"present@{site}"] = last[f"present@{site}"].fillna(0.0)
    return last


def over_recordings(manifest: Manifest, numbers: pd.DataFrame, how: list[str]) -> pd.DataFrame:
    """Mean, least or largest number over a case's recordings, `<number>_<mean|min|max>`; NaN without any."""
    table = manifest.recordings[["recording", "case"]].join(numbers, on="recording")
    parts = [table.groupby("case")[list(numbers)].agg(one).add_suffix(f"_{one}") for one in how]
    return pd.concat(parts, axis=1).reindex(manifest.cases["case"])


def case_features(
    settings: Fusion,
    manifest: Manifest,
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    probabilities: list[str],
    uncertainties: list[str],
    tables: dict[str, pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """Blocks of features, all but the latents, for the cases of `cases` (a table of `aggregate`). No label is read.

    Probabilities: of the case, the largest over its recordings, and by site. Uncertainties: of the case and by site.
    """
    index, sites = cases.set_index("case"), site_names(manifest)
    make = {
        "probabilities": lambda: [
            index[probabilities],
            recordings.groupby("case")[probabilities].max().add_suffix("_max"),
            by_site(recordings, probabilities, sites),
        ],
        "uncertainty": lambda: [index[uncertainties], by_site(recordings, uncertainties, sites)],
        "covariates": lambda: [covariates(manifest)],
        "statistics": lambda: [statistics_by_site(manifest, tables["statistics"], settings.missing_site)],
        "pooled_statistics": lambda: [
            over_recordings(manifest, tables["statistics"].drop(columns="present"), ["mean", "min", "max"])
        ],
        "descriptors": lambda: [over_recordings(manifest, tables["descriptors"], ["mean", "max"])],
        "adventitious": lambda: [over_recordings(manifest, tables["adventitious"], ["mean", "max"])],
    }
    return {
        name: pd.concat([part.reindex(index.index) for part in make[name]()], axis=1).astype(np.float32)
        for name in settings.features
        if name in make
    }


def reduce_latents(
    fit_on: pd.DataFrame, apply_to: pd.DataFrame, count: int, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Principal components of latents, fitted on `fit_on` alone; names `latent_<name>_<k>`."""
    count = min(count, *fit_on.shape)
    model = PCA(count, random_state=0).fit(fit_on.to_numpy())
    names = [f"latent_{name}_{k}" for k in range(count)]
    return tuple(
        pd.DataFrame(model.transform(part.to_numpy()) if len(part) else np.zeros((0, count)), part.index, names)
        for part in (fit_on, apply_to)
    )
