"""One prediction: a study's winner of every target, all its folds, on all new cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from auscult.config.dataset import Dataset
from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.decisions.decide import Outputs
from auscult.evaluation.predictions import role_of
from auscult.features import TABLES
from auscult.prediction.apply import Model, fused, ingest, outputs, prepare
from auscult.prediction.vote import known_cases, of_fold, vote, with_problems
from auscult.progress import note


@dataclass(frozen=True)
class FoldMade:
    """What a study made in one fold of a system or ensemble.

    `cases`, `recordings`, `fused`: tables as `evaluation.predictions.FoldOutputs` has them; `stages`: the folder of the
    saved second stages; `fused` and `stages` are None without one.
    """

    models: list[Model]
    cases: pd.DataFrame
    recordings: pd.DataFrame
    fused: pd.DataFrame | None
    stages: Path | None


def apply_winner(
    study: Study,
    winners: dict[str, dict[str, str]],
    made: dict[tuple[str, str], FoldMade],
    dataset: Dataset,
    form: str,
    own: Manifest,
    work: Path,
    threads: int,
) -> tuple[pd.DataFrame, Manifest]:
    """Predictions of all new cases, and the new recordings' manifest.

    Parameters
    ----------
    winners : winner.json of the study: by target `system, stage, fit_on, decision`.
    made : by (system or ensemble, fold).
    dataset : the study's, with the folder of the new recordings as `root`.
    form : adapter that reads them.
    own : the study's manifest, whose labels fit the decisions.
    work : an empty folder.

    The table has a row per target and case: see `vote.vote` and `vote.with_problems`.
    """
    new = ingest(dataset, form, own, threads)
    known = known_cases(new, own)
    if len(known):
        note(f"warning: {len(known)} of {len(new.cases)} cases are among the study's own, as {known['case'].iloc[0]!r}")
    units = {winner["system"] for winner in winners.values()}
    used = {model.system for (unit, _), one in made.items() if unit in units for model in one.models}
    staged = any(winner["stage"] != "network" for winner in winners.values())
    blocks = {block.removeprefix("pooled_") for block in study.fusion.features} if staged else set()
    tables = [name for name in TABLES if name in blocks]
    prepare(dataset, [study.systems[name] for name in sorted(used)], tables, new, work, threads)
    parts = []
    heard: dict[tuple[str, str], tuple[pd.DataFrame, pd.DataFrame]] = {}
    for name, winner in winners.items():
        target, decided = study.targets[name], []
        for (unit, fold), one in made.items():
            if unit != winner["system"]:
                continue
            stand_in = study.systems[one.models[0].system]
            if (unit, fold) not in heard:
                heard[unit, fold] = outputs(study, unit, one.models, dataset, new, work, threads)
            cases, recordings = heard[unit, fold]
            if winner["stage"] == "network":
                both = _of_network(name, target, one, cases, recordings)
            else:
                model = one.stages / f"{name}-{winner['stage']}-{winner['fit_on']}.json"
                fresh = fused(study, stand_in, name, model, cases, recordings, new, dataset, work)
                both = Outputs(_of_stage(name, target, winner, one.fused), fresh)
            decided.append(of_fold(study, target, winner["decision"], both, own))
        table = vote(target, decided, cases["case"].tolist())
        parts.append(with_problems(table, new, known).assign(target=name))
    whole = pd.concat(parts, ignore_index=True)
    return whole[["target", *[column for column in whole if column != "target"]]], new


def _of_network(name: str, target: Target, one: FoldMade, cases: pd.DataFrame, recordings: pd.DataFrame) -> Outputs:
    """The fold's own cases of which decisions are made, and the new ones, by the networks alone."""
    rename = {f"{name}:{c}": c for c in target.classes}
    role = role_of(one.cases)
    own = [table[table["role"] == role].rename(columns=rename) for table in (one.cases, one.recordings)]
    return Outputs(own[0], cases.rename(columns=rename), own[1], recordings.rename(columns=rename))


def _of_stage(name: str, target: Target, winner: dict[str, str], table: pd.DataFrame) -> pd.DataFrame:
    """The fold's own cases by a second stage."""
    mine = table[
        (table["target"] == name) & (table["stage"] == winner["stage"]) & (table["fit_on"] == winner["fit_on"])
    ]
    return mine[mine["role"] == role_of(mine)].rename(columns={f"p_{c}": c for c in target.classes})
