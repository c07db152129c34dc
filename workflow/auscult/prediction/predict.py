"""Predict new recordings with a packed winner: all folds decide for every target and case, and vote."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.features import TABLES
from auscult.features.copies import load_index
from auscult.prediction.fold import decide_fold, score_fold
from auscult.prediction.inputs import ingest, prepare
from auscult.prediction.pack import Packed
from auscult.prediction.vote import repeated_cases, vote_table, with_problems
from auscult.progress import note
from auscult.training.job import Resources


def apply_winner(
    packed: Packed, root: Path, form: str | None, work: Path, resources: Resources
) -> tuple[pd.DataFrame, Manifest, set[str]]:
    """Predictions of all new cases, the new recordings' manifest, and the cases that the study knows.

    Parameters
    ----------
    root : folder of the new recordings.
    form : adapter that reads them; None: that of the study's data set.
    work : an empty folder for caches and outputs.
    resources : of the networks; its CPU threads are also the number of processes that read recordings.

    The table has a row per target and case: see `vote.vote_table` and `vote.with_problems`.
    """
    study, threads = packed.study, resources.threads
    dataset = study.dataset.model_copy(update={"root": str(root), "shards": 1})
    manifest = ingest(dataset, form or dataset.adapter, packed.covariates, packed.channels, packed.sites, threads)
    names = sorted({model.system for models in packed.models.values() for model in models})
    tables = _tables(packed)
    new = prepare(dataset, manifest, [study.systems[name] for name in names], tables, work, threads)
    indexes = [load_index(file) for file in sorted((packed.folder / "landmarks").glob("*.npz"))]
    copies = new.copies_of(indexes, threads)
    known_cases = repeated_cases(manifest, packed.samples, packed.case_ids, packed.subject_ids, copies)
    if len(known_cases):
        first = known_cases["case"].iloc[0]
        note(f"warning: {len(known_cases)} of {len(manifest.cases)} cases are among the study's own, as {first!r}")
    numbers = new.numbers(tables)
    units = {unit for unit, _ in packed.models}
    embeddings = {unit: new.embeddings(study, unit) if _has_second_stage(packed) else {} for unit in units}
    outputs = {
        (unit, fold): score_fold(packed, unit, fold, new, numbers, embeddings[unit], resources)
        for unit, fold in packed.models
    }
    predictions = []
    for name, winner in packed.winners.items():
        by_fold = [decide_fold(packed, name, fold, outputs) for fold in winner["folds"]]
        table = vote_table(study.targets[name], by_fold, manifest.cases["case"].tolist())
        predictions.append(with_problems(table, manifest, known_cases).assign(target=name))
    predictions = pd.concat(predictions, ignore_index=True)
    first = ["target", *[column for column in predictions if column != "target"]]
    return predictions[first], manifest, set(known_cases["case"])


def _tables(packed: Packed) -> list[str]:
    """The tables of numbers about recordings that the winners' second stages read."""
    return packed.study.fusion.tables_of(TABLES) if _has_second_stage(packed) else []


def _has_second_stage(packed: Packed) -> bool:
    """Whether a winner's variants have a second stage."""
    folds = [variants for winner in packed.winners.values() for variants in winner["folds"].values()]
    return any(variant["stage"] != "network" for variants in folds for variant in variants)
