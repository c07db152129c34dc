"""Slices: exactly the rows of a manifest that one training or scoring job depends on, and their digest."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.plan.names import NetworkName
from auscult.provenance import digest


def fold_slice(
    manifest: Manifest, folds: pd.DataFrame, name: NetworkName, roles: list[str], heads: dict[str, Head]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the cases of some roles in a network's fold, and of their recordings, sorted by id.

    Cases: `case, role, <labels>`; recordings: `recording, case, site, sha256, rate_hz, channels, <labels>`.
    With `heads` empty there are no labels: what a scoring job may see.
    """
    assignments = folds[(folds["repeat"] == name.repeat) & (folds["fold"] == name.fold) & folds["role"].isin(roles)]
    labels = sorted({head.label for head in heads.values()})
    train_labels = sorted({head.train_on.column for head in heads.values() if head.train_on})
    cases = assignments[["case", "role"]].merge(manifest.cases[["case", *labels]], on="case").sort_values("case")
    recordings = manifest.recordings[["recording", "case", "site", "sha256", "rate_hz", "channels", *train_labels]]
    recordings = recordings[recordings["case"].isin(cases["case"])].sort_values("recording")
    return cases.reset_index(drop=True), recordings.reset_index(drop=True)


def slice_digest(cases: pd.DataFrame, recordings: pd.DataFrame, config: Any, code: str) -> str:
    """SHA-256 of what a job depends on: its cases with their labels, its samples, its configuration, its code."""
    return digest([cases.to_dict("split"), recordings.to_dict("split"), config, code])
