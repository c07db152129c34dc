"""Covariates of a case: facts about the person, and counts and durations of the recordings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.datasets.base import Manifest

# covariate: unit, source
DOCUMENTED = {
    "bmi": ("kg/m²", "weight / height²"),
    "body_surface_area": ("m²", "Mosteller: sqrt(height in cm × weight in kg / 3600)"),
    "seconds": ("s", "recorded seconds, all recordings"),
    "recordings": ("count", "recordings"),
    "sites": ("count", "different sites"),
    "seconds_per_recording": ("s", "mean"),
    "repeats": ("count", "recordings beyond the first of a site"),
}


def covariates(manifest: Manifest) -> pd.DataFrame:
    """Return a table of cases × covariates (float64, NaN if missing), indexed by case.

    The columns are the numeric covariates of the manifest; body mass index and surface area, if the manifest has
    `height_cm` and `weight_kg`; and from the recordings: seconds, counts of recordings and sites, whether each site
    was recorded, mean seconds and repeats. For CirCor these are 18. Labels, groups and ids are never among them.
    """
    cases = manifest.cases.set_index("case")
    table = cases[manifest.columns.covariates].astype(np.float64).copy()
    if {"height_cm", "weight_kg"} <= set(table):
        height = table["height_cm"].where(table["height_cm"] > 0)  # 0 means unknown in some releases
        weight = table["weight_kg"].where(table["weight_kg"] > 0)
        table["bmi"] = weight / (height / 100) ** 2
        table["body_surface_area"] = np.sqrt(height * weight / 3600)
    recordings = manifest.recordings.assign(seconds=manifest.recordings["frames"] / manifest.recordings["rate_hz"])
    by_case = recordings.groupby("case")
    recording_facts = pd.DataFrame(
        {
            "seconds": by_case["seconds"].sum(),
            "recordings": by_case.size(),
            "sites": recordings[recordings["site"] != ""].groupby("case")["site"].nunique(),
        }
    ).reindex(table.index, fill_value=0)
    table = table.join(recording_facts.astype(np.float64))
    for site in site_names(manifest):
        cases_of_site = recordings.loc[recordings["site"] == site, "case"].unique()
        table[f"site_{site}"] = table.index.isin(cases_of_site).astype(np.float64)
    table["seconds_per_recording"] = table["seconds"] / table["recordings"].replace(0, np.nan)
    table["repeats"] = table["recordings"] - table["sites"]
    return table.sort_index()


def site_names(manifest: Manifest) -> list[str]:
    """Return the sites of the data set, sorted; [] if the recordings have no sites."""
    return sorted(set(manifest.recordings["site"]) - {""})
