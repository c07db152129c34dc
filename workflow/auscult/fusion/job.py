"""One fusion job: a system's outputs on one fold in, probabilities of the second stage and its models out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.fusion.features import (
    case_features,
    fit_latents,
    latent_block,
    probability_columns,
    uncertainty_columns,
)
from auscult.fusion.learners import importances, save
from auscult.fusion.stacking import blend, stack
from auscult.heads.outputs import class_columns
from auscult.heads.uncertainty import entropy
from auscult.inference.aggregate import read_latents
from auscult.progress import note
from auscult.provenance import write_json

ROLE = {"inner_folds": "inner", "validation": "val", "train": "train"}


def fuse(
    study: Study,
    system_name: str,
    folders: dict[str, list[Path]],
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    manifest: Manifest,
    tables_of_recordings: dict[str, pd.DataFrame],
    models: Path,
    store: Path,
    threads: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Fit and apply every learner for every multiclass target.

    `cases`, `recordings`: tables of `aggregate`, with those of the inner folds under the role `inner`. Labels of the
    cases that the learner is fitted on are read, no others; these cases are scored cross-fitted, and under `fit_on:
    train` not at all, nor is anything tuned on them.

    tables_of_recordings: those of `features.TABLES` that the study's fusion reads. store: the file that keeps the
    trials of tuning.

    Returns probabilities (`target, stage, fit_on, role, case, p_<class>…, uncertainty`), importances (`target, stage,
    fit_on, feature, gain, shap`, over the cases that are scored but not fitted on) and trials (`target, stage, fit_on,
    trial, value, …`); models go to `models` as `<target>-<stage>-<fit_on>.json`; that of the stage `blend` is
    XGBoost's. Components of latents go there as `latents-<fit_on>.json`.
    """
    system, settings = study.systems[system_name], study.fusion
    by_case = manifest.cases.set_index("case")
    models.mkdir(parents=True, exist_ok=True)
    tables, weights, searches = [], [], [pd.DataFrame(columns=["target", "stage", "fit_on", "trial", "value"])]
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
        index = {role: cases.loc[cases["role"] == role, "case"] for role in x}
        # latents of different networks share no axes: those of inner folds cannot stand beside the fold's own
        if "latents" in settings.features and fit_on != "inner_folds":
            components, blocks = _latents(index, fit_role, folders, settings.latents)
            write_json(models / f"latents-{fit_on}.json", components)
            for role, block in blocks.items():
                x[role]["latents"] = block
        rest = {name: pd.concat([x[role][name] for role in others]) for name in x[fit_role]}
        for name, target in study.targets_of(system).items():
            if target.kind != "multiclass":
                continue
            for learner in settings.learners:
                stage = learner
                stacked = stack(
                    target,
                    x[fit_role],
                    by_case.loc[index[fit_role], target.label],
                    by_case.loc[index[fit_role], "subject"],
                    rest,
                    settings.booster if learner == "xgboost" else settings.logistic,
                    threads,
                    cross_fitted,
                    settings.tuning if cross_fitted else None,
                    store,
                )
                used = len(stacked.fitted.columns)
                note(f"{name}, {stage}, fit_on {fit_on}: {len(index[fit_role])} cases, {used} features")
                ends = np.cumsum([len(index[role]) for role in others])[:-1]
                parts = dict(zip(others, np.split(stacked.outside, ends), strict=True))
                if cross_fitted:
                    parts[fit_role] = stacked.inside
                key = {"target": name, "stage": stage, "fit_on": fit_on}
                tables += [_table(key, target.classes, role, index[role], p) for role, p in parts.items()]
                weights.append(importances(stacked.fitted, pd.concat(rest.values(), axis=1)).assign(**key))
                searches.append(stacked.trials.assign(**key))
                save(stacked.fitted, models / f"{name}-{stage}-{fit_on}.json")
                if settings.blend and learner == "xgboost":
                    key = {**key, "stage": "blend"}
                    for role, p in parts.items():
                        network = cases.loc[cases["role"] == role, class_columns(target.classes, name)]
                        p = blend(network.to_numpy(), p)
                        tables.append(_table(key, target.classes, role, index[role], p))
                    save(stacked.fitted, models / f"{name}-blend-{fit_on}.json")
    first = ["target", "stage", "fit_on"]
    weights, searches = pd.concat(weights), pd.concat(searches)
    return pd.concat(tables), weights[[*first, "feature", "gain", "shap"]], searches


def _table(key: dict[str, str], classes: list[str], role: str, index: pd.Series, p: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({**key, "role": role, "case": index.to_numpy()})
    table[class_columns(classes)] = p
    return table.assign(uncertainty=entropy(p, "multiclass"))


def _latents(
    index: dict[str, pd.Series], fit_role: str, folders: dict[str, list[Path]], count: int
) -> tuple[dict[str, dict[str, list]], dict[str, pd.DataFrame]]:
    """Principal components of each task's latents, fitted on the fit role; and the latents on them by role.

    Cases without recordings have NaN.
    """
    components = {task: fit_latents(read_latents(members, fit_role), count) for task, members in folders.items()}
    return components, {role: latent_block(components, folders, role).reindex(index[role]) for role in index}
