"""Facts of a study that the report states besides its tables: counts, folds, trainings, versions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.folds.audit import mark
from auscult.provenance import commit
from auscult.training.model_folder import read_trainings


def class_counts(study: Study, manifest: Manifest) -> pd.DataFrame:
    """Number of cases of every class of every target: `target, class, n`; class `(no label)` for unlabelled cases."""
    rows = []
    for name, target in study.targets.items():
        cells = manifest.cases[target.label]
        for class_name in target.classes:
            rows.append((name, class_name, sum(class_name in cell.split("|") for cell in cells)))
        if (cells == "").any():
            rows.append((name, "(no label)", int((cells == "").sum())))
    return pd.DataFrame(rows, columns=["target", "class", "n"])


def facts(
    study: Study, manifest: Manifest, folds: str, findings: pd.DataFrame, winner: str, models: list[Path]
) -> dict[str, Any]:
    """Return the `facts` of `page.render`.

    folds, winner: paths of folds.csv and winner.json. findings: of the audits. models: folders of trained networks.
    """
    pairs = pd.read_csv(folds, usecols=["repeat", "fold"]).drop_duplicates()
    return {
        "commit": commit(),
        "digest": manifest.digest(),
        "versions": _versions(models),
        "folds": int(pairs["fold"].nunique()),
        "repeats": int(pairs["repeat"].nunique()),
        "counts": {
            "cases": len(manifest.cases),
            "subjects": int(manifest.cases["subject"].nunique()),
            "recordings": len(manifest.recordings),
        },
        "leak": mark(study.protocol, findings),
        "winner": json.loads(Path(winner).read_text(encoding="utf-8")),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "trainings": read_trainings(models).to_dict("records"),
    }


def outside_training(study: Study) -> list[str]:
    """What networks learn from besides the training cases of the folds, as parts of a sentence."""
    sources = [f"labelled cases of {extra.dataset.name}" for extra in study.extra_training]
    for name, system in study.systems.items():
        if system.network.weights:
            sources.append(f"{name} starts from the weights {system.network.weights}")
        if system.front_end.name == "encoder":
            sources.append(f"{name} reads vectors of the encoder {system.front_end.settings['file']}")
        if system.network.pretraining:
            datasets = study.pretrainings[system.network.pretraining].other_datasets()
            sources += [f"{name} is pre-trained on {dataset.name}" for dataset in datasets]
    return sources


def _versions(models: list[Path]) -> dict[str, str]:
    """Return the versions, devices and precisions with which networks were trained; several are joined by `and`."""
    values: dict[str, set[str]] = {}
    for folder in models:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        computed_with = {**manifest["versions"], "device": manifest["device"].split(":")[0]}
        for key, value in {**computed_with, "precision": manifest["precision"]}.items():
            values.setdefault(key, set()).add(value)
    return {key: " and ".join(sorted(texts)) for key, texts in values.items()}
