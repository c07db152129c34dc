"""Features of the second stage: one row per case, named columns, in blocks that a study switches on and off."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from auscult.config.fusion import Fusion
from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.features.covariates import site_names
from auscult.fusion.covariates import case_covariates
from auscult.heads.outputs import output_names
from auscult.inference.aggregate import read_latents
from auscult.inference.columns import largest_column

Components = dict[str, dict[str, dict[str, list]]]
"""What `fit_components` gives, by block of vectors and by task or system."""


@dataclass(frozen=True)
class Inputs:
    """What the second stage of one system (or ensemble) and fold reads.

    Attributes
    ----------
    cases, recordings : tables of `aggregate`, with those of the inner folds under the role `inner`.
    tables : by name, those of `features.TABLES` that the features need.
    networks : model folders by task, for the latents.
    embeddings : by system, mean vectors of its encoder (recordings, values), see `features.frames.mean_frames`; {}
        where the features do not need them.
    """

    cases: pd.DataFrame
    recordings: pd.DataFrame
    manifest: Manifest
    tables: dict[str, pd.DataFrame]
    networks: dict[str, list[Path]]
    embeddings: dict[str, pd.DataFrame] = field(default_factory=dict)


def probability_columns(heads: dict[str, Head]) -> list[str]:
    """Case columns of `aggregate` that hold probabilities of the heads."""
    return [f"p_{name}" for name in output_names(heads)]


def uncertainty_columns(heads: dict[str, Head]) -> list[str]:
    """Case columns of `aggregate` that hold uncertainties of the heads."""
    return [f"variance_{name}" for name in output_names(heads)] + [
        f"{measure}_{name}" for name in heads for measure in ("entropy", "information")
    ]


def stems(columns: list[str]) -> dict[str, str]:
    """Return by column the name to which `_max` and `@<site>` are added: the column's own, if no other feature has it.

    Classes may be called `a` and `a_max`, or `a@AV`; the stem of the column of `a` then has apostrophes at its end.
    """
    names: dict[str, str] = {}
    for column in columns:
        stem = column
        while any(
            other == f"{stem}_max" or other.startswith(f"{stem}@") or (other == stem and other != column)
            for other in (*columns, *names.values())
        ):
            stem += "'"
        names[column] = stem
    return names


def taken_by(columns: list[str], numbers: list[str]) -> Callable[[str], bool]:
    """Return a function: whether a feature that is no covariate has a name. It does not depend on the sites.

    columns: of outputs, see `probability_columns` and `uncertainty_columns`. numbers: of recordings, as statistics.
    """
    names = [*columns, *stems(columns).values(), *numbers]
    fixed_names = {f"{name}{end}" for name in names for end in ("", "_mean", "_min", "_max", "_of_file_mean")}
    prefixes = ("latent_", "embedding_", *(f"{name}@" for name in names))
    return lambda name: name in fixed_names or name.startswith(prefixes)


def by_site(recordings: pd.DataFrame, columns: list[str], sites: list[str]) -> pd.DataFrame:
    """Mean of recording columns per case and site, as `<stem>@<site>`; NaN where a site was not recorded.

    The stem is the column, see `stems`.
    """
    means, stem_of = recordings.groupby(["case", "site"])[columns].mean().unstack("site"), stems(columns)
    means.columns = [f"{stem_of[column]}@{site}" for column, site in means.columns]
    return means.reindex(columns=[f"{stem_of[column]}@{site}" for column in columns for site in sites])


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


def over_recordings(manifest: Manifest, numbers: pd.DataFrame, statistics: list[str]) -> pd.DataFrame:
    """Mean, least or largest number over a case's recordings, `<number>_<mean|min|max>`; NaN without any."""
    table = manifest.recordings[["recording", "case"]].join(numbers, on="recording")
    by_case = table.groupby("case")[list(numbers)]
    columns = [by_case.agg(statistic).add_suffix(f"_{statistic}") for statistic in statistics]
    return pd.concat(columns, axis=1).reindex(manifest.cases["case"])


def over_files(manifest: Manifest, numbers: pd.DataFrame) -> pd.DataFrame:
    """Mean of each number over all recordings that are cut from the same file, `<number>_of_file`, by recording.

    A recording whose file is unknown is alone.
    """
    recordings = manifest.recordings.set_index("recording")
    files = recordings["path"].map(posixpath.normpath).where(recordings["path"] != "", recordings.index)
    return numbers.reindex(recordings.index).groupby(files).transform("mean").add_suffix("_of_file")


def case_features(settings: Fusion, heads: dict[str, Head], inputs: Inputs, role: str) -> dict[str, pd.DataFrame]:
    """Blocks of features, all but latents and embeddings, for the cases of a role. No label is read.

    Probabilities: of the case, the largest over its recordings (see `largest_column`), and by site. Uncertainties: of
    the case and by site.
    """
    manifest, tables = inputs.manifest, inputs.tables
    probabilities, uncertainties = probability_columns(heads), uncertainty_columns(heads)
    largest = [largest_column(name) for name in output_names(heads)]
    index = inputs.cases[inputs.cases["role"] == role].set_index("case")
    is_taken = taken_by([*probabilities, *uncertainties], [name for table in tables.values() for name in table])
    recordings, sites = inputs.recordings[inputs.recordings["role"] == role], site_names(manifest)
    blocks = {
        "probabilities": lambda: [
            index[probabilities],
            index[largest].set_axis([f"{stem}_max" for stem in stems(probabilities).values()], axis=1),
            by_site(recordings, probabilities, sites),
        ],
        "uncertainty": lambda: [index[uncertainties], by_site(recordings, uncertainties, sites)],
        "covariates": lambda: [case_covariates(manifest, is_taken)],
        "statistics": lambda: [statistics_by_site(manifest, tables["statistics"], settings.missing_site)],
        "pooled_statistics": lambda: [
            over_recordings(manifest, tables["statistics"].drop(columns="present"), ["mean", "min", "max"])
        ],
        "descriptors": lambda: [over_recordings(manifest, tables["descriptors"], ["mean", "max"])],
        "adventitious": lambda: [over_recordings(manifest, tables["adventitious"], ["mean", "max"])],
        "adventitious_of_file": lambda: [
            over_recordings(manifest, over_files(manifest, tables["adventitious"]), ["mean"])
        ],
    }
    return {
        name: pd.concat([table.reindex(index.index) for table in blocks[name]()], axis=1).astype(np.float32)
        for name in settings.features
        if name in blocks
    }


def fill_absent_sites(x: pd.DataFrame, settings: Fusion, statistics: list[str]) -> pd.DataFrame:
    """Features with the values of a site that none of the cases has, as `case_features` gives them for such a site.

    x: with a column of NaN for every feature that only such a site would have. statistics: their names.
    """
    zeros = statistics if settings.missing_site == "zero" else ["present"]
    columns = [name for name in x if name.startswith(("site_", *(f"{statistic}@" for statistic in zeros)))]
    return x.fillna(dict.fromkeys(columns, 0.0))


def fit_components(vectors: pd.DataFrame, count: int) -> dict[str, list]:
    """Principal components of vectors (cases, dimensions): `mean` (dimensions), `components` (count, dimensions).

    Of fewer cases or dimensions than `count` there are as many components.
    """
    model = PCA(min(count, *vectors.shape), random_state=0).fit(vectors.to_numpy(dtype=np.float64))
    return {"mean": model.mean_.tolist(), "components": model.components_.tolist()}


def reduced(reduction: dict[str, list], vectors: pd.DataFrame, name: str) -> pd.DataFrame:
    """Vectors (cases, dimensions) on fitted components: cases × `<name>_<k>`."""
    components = np.array(reduction["components"])
    values = vectors.to_numpy(dtype=np.float64) if len(vectors) else np.zeros((0, components.shape[1]))
    names = [f"{name}_{k}" for k in range(len(components))]
    return pd.DataFrame((values - reduction["mean"]) @ components.T, vectors.index, names)


def case_vectors(inputs: Inputs, block: str, role: str) -> dict[str, pd.DataFrame]:
    """Vectors of the cases of a role that have recordings, before they are reduced: `latents` or `embeddings`.

    Latents are by task, of the first network of each; embeddings by system, means over a case's recordings.
    """
    if block == "latents":
        return {task: read_latents(folders, role) for task, folders in inputs.networks.items()}
    recordings = inputs.manifest.recordings
    recordings = recordings[recordings["case"].isin(inputs.cases.loc[inputs.cases["role"] == role, "case"])]
    case_of = recordings.set_index("recording")["case"]
    return {system: vectors.loc[case_of.index].groupby(case_of).mean() for system, vectors in inputs.embeddings.items()}


REDUCED = {"latents": "latent", "embeddings": "embedding"}
"""Blocks of vectors, which are reduced to principal components, and the first word of their columns."""


def fit_reduction(settings: Fusion, inputs: Inputs, blocks: list[str], role: str) -> Components:
    """Components of blocks of vectors, fitted to the cases of a role."""
    counts = {"latents": settings.latents, "embeddings": settings.embeddings}
    return {
        block: {
            name: fit_components(vectors, counts[block]) for name, vectors in case_vectors(inputs, block, role).items()
        }
        for block in blocks
    }


def reduced_block(components: Components, inputs: Inputs, block: str, role: str) -> pd.DataFrame:
    """Columns `latent_<task>_<k>` or `embedding_<system>_<k>` of the cases of a role that have recordings."""
    vectors = case_vectors(inputs, block, role)
    columns = [
        reduced(reduction, vectors[name], f"{REDUCED[block]}_{name}") for name, reduction in components[block].items()
    ]
    return pd.concat(columns, axis=1)
