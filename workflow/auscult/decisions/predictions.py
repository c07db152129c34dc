"""predictions.csv: every variant's decision on every test case, and the row `chosen`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.decisions.decide import Decisions, Outputs, decide, outputs_of
from auscult.decisions.winner import VARIANT, choose, chosen_rows
from auscult.heads.labels import decode, has_any
from auscult.heads.outputs import class_columns, output_names
from auscult.heads.uncertainty import entropy

SCORED_ON = {"inner": "inner", "val": "stopping"}
"""Role of the cases that fit and score the rules, and its name in the tables."""


@dataclass(frozen=True)
class FoldOutputs:
    """Tables of one system and fold: `cases` and `recordings` of `aggregate`, `fused` of `fuse` (or None).

    Outputs of inner folds' networks for the cases that these were not trained on are in them as role `inner`.
    """

    system: str
    repeat: int
    fold: int
    cases: pd.DataFrame
    recordings: pd.DataFrame
    fused: pd.DataFrame | None


@dataclass(frozen=True)
class StageOutputs:
    """Outputs of one stage on one fold for one target: of the fold's `own` cases, which have `role`, and of `test`."""

    stage: str
    fit_on: str
    role: str
    own: Outputs
    test: Outputs


def predict(study: Study, manifest: Manifest, outputs: list[FoldOutputs]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decide every fold; returns predictions and the scores of the variants on its own cases.

    Predictions: the columns of docs/architecture.md. `information` and `variance` sum the mutual information and
    the variance of the passes over the target's heads (empty for a second stage), `chosen_on` says which cases chose
    the rule (`none`: nothing was chosen; `inner`: all cases that the fold does not test, scored by networks of inner
    folds; `stopping`: validation cases, which also stopped the network; `twice` after it: they tuned the second stage
    too; `test`: the test cases chose the epoch, a leak) and `should_refer` is the truth of the Challenge cost.
    Scores: `target, system, stage, fit_on, decision, repeat, fold, scored_on, score, standard_error, chosen`.
    """
    cases = manifest.cases.set_index("case")
    tables, calibrated, scores = [], [], []
    for fold in outputs:
        system = study.systems[fold.system]
        test_cases = fold.cases[fold.cases["role"] == "test"].set_index("case")
        for name, target in study.targets.items():
            for stage in stage_outputs(name, target, fold.cases, fold.recordings, fold.fused):
                scored_on = "test" if system.training.select == "test" else SCORED_ON[stage.role]
                labels = cases.loc[stage.own.ids, target.label]
                results = decide(target, stage.own, stage.test, labels, cases["subject"], study.evaluation.choose_by)
                for rule, result in results.items():
                    variant = dict(zip(VARIANT, [fold.system, stage.stage, stage.fit_on, rule], strict=True))
                    key = {"target": name, **variant, "repeat": fold.repeat, "fold": fold.fold}
                    of_rule = {"score": result.inner_score, "standard_error": result.standard_error}
                    scores.append({**key, "scored_on": scored_on, **of_rule})
                    chosen_on = _chosen_on(study, stage, scored_on, result)
                    table = _rows(key, target, stage.test, result, cases, chosen_on)
                    passes = test_cases if stage.stage == "network" else None
                    tables.append(_with_passes(table, passes, target, study.heads_of(system)))
                    calibrated.append(pd.DataFrame(result.calibrated, columns=class_columns(target.classes)))
    predictions, scores = pd.concat(tables, ignore_index=True), pd.DataFrame(scores)
    scores["chosen"] = choose(scores, study.evaluation.choose_by)
    rows_chosen = chosen_rows(study.targets, predictions, pd.concat(calibrated, ignore_index=True), scores)
    return pd.concat([predictions, rows_chosen], ignore_index=True), scores


def stage_outputs(
    name: str, target: Target, cases: pd.DataFrame, recordings: pd.DataFrame, fused: pd.DataFrame | None
) -> Iterator[StageOutputs]:
    """Outputs for the target `name` of the networks, if they serve it, and of each second stage.

    Tables: as `FoldOutputs` has them.
    """
    if set(class_columns(target.classes, name)) <= set(cases):
        role = _role(cases)
        own, test = (
            outputs_of(cases[cases["role"] == key], target.classes, name, recordings[recordings["role"] == key])
            for key in (role, "test")
        )
        yield StageOutputs("network", "none", role, own, test)
    if fused is not None:
        for (stage, fit_on), table in fused[fused["target"] == name].groupby(["stage", "fit_on"], sort=False):
            role = _role(table)
            own, test = (outputs_of(table[table["role"] == key], target.classes) for key in (role, "test"))
            yield StageOutputs(stage, fit_on, role, own, test)


def _role(table: pd.DataFrame) -> str:
    """The role of the cases that fit and score the rules: `inner` where there is one, else `val`."""
    return "inner" if (table["role"] == "inner").any() else "val"


def _chosen_on(study: Study, outputs: StageOutputs, scored_on: str, result: Decisions) -> str:
    """Which cases chose a variant; `twice` where they chose the settings of its learner, and then scored it."""
    if scored_on == "test":
        return scored_on
    if outputs.stage != "network" and outputs.fit_on != "train":
        return f"{scored_on} twice" if study.fusion.tuning else scored_on
    return scored_on if result.is_fitted else "none"


def _with_passes(table: pd.DataFrame, passes: pd.DataFrame | None, target: Target, heads: dict[str, Head]):
    """The table with `information` and `variance` of the stochastic passes; empty for a second stage, without any.

    passes: the case table of `aggregate`, by case.
    """
    if passes is None:
        return table.assign(information=float("nan"), variance=float("nan"))
    outputs = output_names({name: heads[name] for name in target.heads})
    for column, terms in {
        "information": [f"information_{name}" for name in target.heads],
        "variance": [f"variance_{name}" for name in outputs],
    }.items():
        table[column] = passes[terms].sum(axis=1, skipna=False)[table["case"]].to_numpy()
    return table


def _rows(
    key: dict[str, Any], target: Target, outputs: Outputs, result: Decisions, cases: pd.DataFrame, chosen_on: str
) -> pd.DataFrame:
    """Rows of predictions.csv of one variant and fold. cases: the manifest's, by case."""
    ids = outputs.ids
    table = pd.DataFrame({**key, "case": ids})
    table["subject"] = cases.loc[ids, "subject"].to_numpy()
    table["label"] = cases.loc[ids, target.label].to_numpy()
    table["prediction"] = decode(result.decisions, target.classes)
    table[class_columns(target.classes)] = result.probabilities
    table["uncertainty"] = entropy(result.probabilities, target.kind)
    table["chosen_on"] = chosen_on
    table["should_refer"] = should_refer(target, cases.loc[ids])
    return table


def should_refer(target: Target, cases: pd.DataFrame) -> NDArray | str:
    """Whether each case should be referred, `1` or `0`; '' where that is not known, or the target refers no case."""
    if not target.referral or target.referral.label not in cases:
        return ""
    truth = cases[target.referral.label]
    is_positive = has_any(truth, target.referral.positive)
    return np.where(truth == "", "", np.where(is_positive, "1", "0"))
