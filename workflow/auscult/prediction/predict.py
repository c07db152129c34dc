"""One prediction: a packed winner of every target, all its folds, on all new cases."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.decisions.decide import Outputs, apply_rule, outputs_of
from auscult.features import TABLES
from auscult.prediction.apply import by_task, fused, ingest, outputs, prepare
from auscult.prediction.pack import Packed
from auscult.prediction.vote import repeated_cases, vote, with_problems
from auscult.progress import note


def apply_winner(
    packed: Packed, root: Path, form: str | None, work: Path, threads: int
) -> tuple[pd.DataFrame, Manifest]:
    """Predictions of all new cases, and the new recordings' manifest.

    Parameters
    ----------
    root : folder of the new recordings.
    form : adapter that reads them; None: that of the study's data set.
    work : an empty folder.

    The table has a row per target and case: see `vote.vote` and `vote.with_problems`.
    """
    study, winners = packed.study, packed.winners
    dataset = study.dataset.model_copy(update={"root": str(root), "shards": 1})
    new = ingest(dataset, form or dataset.adapter, packed.covariates, threads)
    repeated = repeated_cases(new, packed.samples, packed.ids)
    if len(repeated):
        first = repeated["case"].iloc[0]
        note(f"warning: {len(repeated)} of {len(new.cases)} cases are among the study's own, as {first!r}")
    used = sorted({model.system for models in packed.models.values() for model in models})
    staged = any(winner["stage"] != "network" for winner in winners.values())
    blocks = {block.removeprefix("pooled_") for block in study.fusion.features} if staged else set()
    tables = [name for name in TABLES if name in blocks]
    prepare(dataset, [study.systems[name] for name in used], tables, new, work, threads)
    scored = {
        key: outputs(packed, key[0], models, dataset, new, work, threads) for key, models in packed.models.items()
    }
    parts = []
    for name, winner in winners.items():
        target, by_fold = study.targets[name], []
        for (unit, fold), (cases, recordings) in scored.items():
            if unit != winner["system"]:
                continue
            order = pd.Index(cases["case"]).get_indexer(new.cases["case"])
            if winner["stage"] == "network":
                case_outputs = outputs_of(cases.iloc[order], target.classes, name, recordings)
            else:
                stand_in = study.systems[packed.models[unit, fold][0].system]
                model = packed.folder / "stages" / name / f"{fold}.json"
                stage, folders = winner["stage"], by_task(packed.models[unit, fold], work)
                p = fused(study, stand_in, name, stage, model, folders, cases, recordings, new, dataset, work)
                case_outputs = Outputs(new.cases["case"].to_numpy(), p[order])
            by_fold.append(apply_rule(target, winner["decision"], packed.decisions[name, fold], case_outputs))
        table = vote(target, by_fold, new.cases["case"].tolist())
        parts.append(with_problems(table, new, repeated).assign(target=name))
    whole = pd.concat(parts, ignore_index=True)
    return whole[["target", *[column for column in whole if column != "target"]]], new
