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


def over_recordings(manifest: Manifest, descriptors: pd.DataFrame) -> pd.DataFrame:
    """Mean and maximum over a case's recordings, `<descriptor>_mean` and `<descriptor>_max`; NaN without any."""
    table = manifest.recordings[["recording", "case"]].join(descriptors, on="recording")
    parts = [table.groupby("case")[list(descriptors)].agg(how).add_suffix(f"_{how}") for how in ("mean", "max")]
    return pd.concat(parts, axis=1).reindex(manifest.cases["case"])


def case_features(
    settings: Fusion,
    manifest: Manifest,
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    probabilities: list[str],
    uncertainties: list[str],
    tables: dict[str, pd.DataFrame],
) -> pd.DataFrame:
    """All blocks but the latents for the cases of `cases` (a table of `aggregate`), by case. No label is read."""
    index = cases.set_index("case")
    blocks = [pd.DataFrame(index=index.index)]
    if "probabilities" in settings.features:
        blocks += [index[probabilities], by_site(recordings, probabilities, site_names(manifest))]
    if "uncertainty" in settings.features:
        blocks.append(index[uncertainties])
    if "covariates" in settings.features:
        blocks.append(covariates(manifest))
    if "statistics" in settings.features:
        blocks.append(statistics_by_site(manifest, tables["statistics"], settings.missing_site))
    if "descriptors" in settings.features:
        blocks.append(over_recordings(manifest, tables["descriptors"]))
    return pd.concat([block.reindex(index.index) for block in blocks], axis=1).astype(np.float32)


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
