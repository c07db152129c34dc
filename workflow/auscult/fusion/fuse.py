"""Fit the second stage of one system (or ensemble) and fold, and apply it to cases that it was not fitted on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.config.fusion import Fusion
from auscult.config.systems import Head
from auscult.config.targets import TargetClasses
from auscult.fusion.features import (
    REDUCED,
    Components,
    Inputs,
    case_features,
    fill_absent_sites,
    fit_reduction,
    probability_columns,
    reduced_block,
)
from auscult.fusion.learners import importances, load, predict, save
from auscult.fusion.stacking import Stacked, blend, stack
from auscult.heads.outputs import class_columns
from auscult.heads.uncertainty import entropy
from auscult.progress import note
from auscult.provenance import write_json

ROLE = {"inner_folds": "inner", "validation": "val", "train": "train"}
KEY = ["target", "stage", "fit_on"]


@dataclass(frozen=True)
class Fused:
    """Tables of the second stage.

    Attributes
    ----------
    probabilities : `target, stage, fit_on, role, case, p_<class>…, uncertainty`.
    importances : `target, stage, fit_on, feature, gain, shap`, over the cases that no model was fitted to.
    trials : `target, stage, fit_on, trial, value, …` of the tuning.
    """

    probabilities: pd.DataFrame
    importances: pd.DataFrame
    trials: pd.DataFrame


@dataclass(frozen=True)
class _Features:
    """Features of the cases of each role, in blocks, and the cases that have a row in them."""

    blocks: dict[str, dict[str, pd.DataFrame]]
    cases: dict[str, pd.Series]
    fit_role: str

    @property
    def other_roles(self) -> list[str]:
        return [role for role in self.blocks if role != self.fit_role]

    def other_blocks(self) -> dict[str, pd.DataFrame]:
        """Blocks of all roles that the learner is not fitted on, one below the other."""
        names = self.blocks[self.fit_role]
        return {name: pd.concat([self.blocks[role][name] for role in self.other_roles]) for name in names}


def fuse(
    settings: Fusion,
    heads: dict[str, Head],
    targets: dict[str, TargetClasses],
    inputs: Inputs,
    models: Path,
    trials_file: Path,
    threads: int,
) -> Fused:
    """Fit and apply every learner for every multiclass target, on each kind of cases that `fit_on` names.

    targets: those to predict. Of a target whose heads are not among `heads` there is no `blend`.

    Only the labels of the cases that a learner is fitted on are read. These cases get cross-fitted probabilities, but
    under `fit_on: train` they get none and nothing is tuned on them.

    Models are written to `models` as `<target>-<stage>-<fit_on>.json` (for the stage `blend` XGBoost's model), the
    components of vectors as `components-<fit_on>.json`. trials_file: the trials of tuning, so that an interrupted
    search continues.
    """
    models.mkdir(parents=True, exist_ok=True)
    by_case = inputs.manifest.cases.set_index("case")
    tables, weights, trials = [], [], [pd.DataFrame(columns=[*KEY, "trial", "value"])]
    for fit_on in settings.fit_on:
        features = _features(settings, heads, inputs, fit_on, models)
        cases, other_blocks = features.cases[features.fit_role], features.other_blocks()
        cross_fitted = fit_on != "train"
        for name, target in targets.items():
            if target.kind != "multiclass":
                continue
            for learner in settings.learners:
                key = {"target": name, "stage": learner, "fit_on": fit_on}
                own, others = (
                    _read_by(learner, heads, blocks) for blocks in (features.blocks[features.fit_role], other_blocks)
                )
                result = stack(
                    target,
                    own,
                    by_case.loc[cases, target.label],
                    by_case.loc[cases, "subject"],
                    others,
                    {"xgboost": settings.booster, "logistic": settings.logistic, "logits": settings.logits}[learner],
                    threads,
                    cross_fitted,
                    settings.tuning if cross_fitted and learner != "logits" else None,
                    trials_file,
                )
                note(f"{', '.join(key.values())}: {len(cases)} cases, {len(result.learner.columns)} features")
                by_role = _by_role(result, features, cross_fitted)
                tables += [_table(key, target.classes, role, features.cases[role], p) for role, p in by_role.items()]
                weights.append(importances(result.learner, pd.concat(others.values(), axis=1)).assign(**key))
                trials.append(result.trials.assign(**key))
                save(result.learner, models / f"{'-'.join(key.values())}.json")
                if settings.blend and learner == "xgboost" and set(target.heads) <= set(heads):
                    key = {**key, "stage": "blend"}
                    for role, p in by_role.items():
                        p_blend = blend(_network_probabilities(inputs, name, target, role, features.cases[role]), p)
                        tables.append(_table(key, target.classes, role, features.cases[role], p_blend))
                    save(result.learner, models / f"{'-'.join(key.values())}.json")
    return Fused(pd.concat(tables), pd.concat(weights)[[*KEY, "feature", "gain", "shap"]], pd.concat(trials))


def apply_saved(
    settings: Fusion, heads: dict[str, Head], name: str, target: TargetClasses, inputs: Inputs, stage: str, file: Path
) -> np.ndarray:
    """Probabilities (cases, classes) by a second stage that was saved in `file`, for the test cases of `inputs`.

    name: of the target. `<file without .json>-components.json` beside the file has the components of the vectors that
    the stage reads. Classes and features are those that it was fitted with; a site that no case has counts as not
    recorded.
    """
    components = file.with_name(f"{file.stem}-components.json")
    components = json.loads(components.read_text(encoding="utf-8")) if components.is_file() else {}
    learner = load(file)
    blocks = _blocks(settings, heads, inputs, "test", components)
    x = pd.concat(blocks.values(), axis=1).reindex(columns=learner.columns)
    p = predict(learner, fill_absent_sites(x, settings, list(inputs.tables.get("statistics", []))), target)
    return blend(_network_probabilities(inputs, name, target, "test", x.index), p) if stage == "blend" else p


def _features(settings: Fusion, heads: dict[str, Head], inputs: Inputs, fit_on: str, models: Path) -> _Features:
    """Features of the cases that a learner is fitted on and of those that it scores; writes the vectors' components."""
    fit_role = ROLE[fit_on]
    # latents of different networks share no axes: those of inner folds cannot stand beside the fold's own
    of_vectors = [
        each for each in settings.features if each in REDUCED and (each, fit_on) != ("latents", "inner_folds")
    ]
    components = fit_reduction(settings, inputs, of_vectors, fit_role)
    if components:
        write_json(models / f"components-{fit_on}.json", components)
    roles = ["test"] if fit_on == "inner_folds" else [role for role in ("val", "test") if role != fit_role]
    blocks = {role: _blocks(settings, heads, inputs, role, components) for role in (fit_role, *roles)}
    return _Features(blocks, {role: _ids(inputs, role) for role in blocks}, fit_role)


def _blocks(
    settings: Fusion, heads: dict[str, Head], inputs: Inputs, role: str, components: Components
) -> dict[str, pd.DataFrame]:
    """Blocks of features for the cases of a role. components: of the blocks of vectors that are read."""
    blocks = case_features(settings, heads, inputs, role)
    for name in components:  # a case without recordings has no vectors: NaN
        blocks[name] = reduced_block(components, inputs, name, role).reindex(_ids(inputs, role))
    return {name: blocks[name] for name in settings.features if name in blocks}


def _read_by(learner: str, heads: dict[str, Head], blocks: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The features that a learner reads: `logits` the case's own probabilities, the others all."""
    if learner != "logits":
        return blocks
    return {"probabilities": blocks["probabilities"][probability_columns(heads)]}


def _ids(inputs: Inputs, role: str) -> pd.Series:
    return inputs.cases.loc[inputs.cases["role"] == role, "case"]


def _network_probabilities(
    inputs: Inputs, name: str, target: TargetClasses, role: str, ids: Sequence[str]
) -> np.ndarray:
    """Class probabilities (cases, classes) of the networks for some cases of a role."""
    by_case = inputs.cases[inputs.cases["role"] == role].set_index("case")
    return by_case.loc[ids, class_columns(target.classes, name)].to_numpy()


def _by_role(result: Stacked, features: _Features, cross_fitted: bool) -> dict[str, np.ndarray]:
    """Probabilities (cases, classes) of each role; of the fitted cases only where they are cross-fitted."""
    roles = features.other_roles
    ends = np.cumsum([len(features.cases[role]) for role in roles])[:-1]
    by_role = dict(zip(roles, np.split(result.others, ends), strict=True))
    return by_role | ({features.fit_role: result.own} if cross_fitted else {})


def _table(key: dict[str, str], classes: list[str], role: str, cases: pd.Series, p: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({**key, "role": role, "case": cases.to_numpy()})
    table[class_columns(classes)] = p
    return table.assign(uncertainty=entropy(p, "multiclass"))
