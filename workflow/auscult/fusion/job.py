"""One fusion job: a system's outputs on one fold in, probabilities of the second stage and its boosters out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.fusion.features import (
    case_features,
    probability_columns,
    reduce_latents,
    uncertainty_columns,
)
from auscult.fusion.stacking import importances, stack
from auscult.inference.aggregate import read_latents
from auscult.inference.uncertainty import entropy
from auscult.progress import note

ROLE = {"inner_folds": "inner", "validation": "val", "train": "train"}


def fuse(
    study: Study,
    system_name: str,
    folders: dict[str, list[Path]],
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    manifest: Manifest,
    tables_of_recordings: dict[str, pd.DataFrame],
    boosters: Path,
    threads: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit and apply the boosters of every multiclass target.

    `cases`, `recordings`: tables of `aggregate`, with those of the inner folds under the role `inner`. Labels of the
    cases that the booster is fitted on are read, no others; these cases are scored cross-fitted, and under `fit_on:
    train` not at all.

    tables_of_recordings: `statistics`, `descriptors`, as far as the study's fusion reads them.

    Returns probabilities (`target, fit_on, role, case, p_<class>…, uncertainty`) and importances (`target, fit_on,
    feature, gain`); boosters go to `boosters` as `<target>-<fit_on>.json`.
    """
    system, settings = study.systems[system_name], study.fusion
    subjects = manifest.cases.set_index("case")["subject"]
    boosters.mkdir(parents=True, exist_ok=True)
    tables, gains = [], []
    for fit_on in settings.fit_on:
        fit_role = ROLE[fit_on]
        others = ["test"] if fit_on == "inner_folds" else [role for role in ("val", "test") if role != fit_role]
        cross_fitted = fit_on != "train"
        x = {
            role: case_features(
                settings,
                manifest,
                cases[cases["role"] == role],
                recordings[recordings["role"] == role],
                probability_columns(study, system),
                uncertainty_columns(study, system),
                tables_of_recordings,
            )
            for role in (fit_role, *others)
        }
        # latents of different networks share no axes: those of inner folds cannot stand beside the fold's own
        if "latents" in settings.features and fit_on != "inner_folds":
            x = _with_latents(x, fit_role, folders, settings.latents)
        fit_rows, other_rows = x[fit_role], pd.concat([x[role] for role in others])
        for name, target in study.targets_of(system).items():
            if target.kind != "multiclass":
                continue
            labels = manifest.cases.set_index("case").loc[fit_rows.index, target.label]
            inside, outside, fitted = stack(
                target,
                fit_rows,
                labels,
                subjects[fit_rows.index],
                other_rows,
                settings.booster,
                threads,
                cross_fitted=cross_fitted,
            )
            note(f"{name}, fit_on {fit_on}: {len(fit_rows)} cases, {fit_rows.shape[1]} features")
            parts = [(role, x[role].index, outside[other_rows.index.get_indexer(x[role].index)]) for role in others]
            if cross_fitted:
                parts.append((fit_role, fit_rows.index, inside))
            for role, index, p in parts:
                tables.append(_table(name, target.classes, fit_on, role, index, p))
            gains.append(importances(fitted, list(fit_rows)).assign(target=name, fit_on=fit_on))
            if fitted.booster is not None:
                fitted.booster.save_model(boosters / f"{name}-{fit_on}.json")
    return pd.concat(tables), pd.concat(gains)[["target", "fit_on", "feature", "gain"]]


def _table(name: str, classes: list[str], fit_on: str, role: str, index: pd.Index, p: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"target": name, "fit_on": fit_on, "role": role, "case": index})
    table[[f"p_{c}" for c in classes]] = p
    return table.assign(uncertainty=entropy(p, "multiclass"))


def _with_latents(
    x: dict[str, pd.DataFrame], fit_role: str, folders: dict[str, list[Path]], count: int
) -> dict[str, pd.DataFrame]:
    """Add the principal components of each network's latents, fitted on the fit role."""
    for task, members in folders.items():
        latents = {role: read_latents(members, role) for role in x}
        for role in x:
            fitted, applied = reduce_latents(latents[fit_role], latents[role], count, task)
            part = fitted if role == fit_role else applied
            x = {**x, role: x[role].join(part)}
    return x
