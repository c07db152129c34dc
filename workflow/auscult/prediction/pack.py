"""What a study's winner needs to decide new cases, in a folder of its own: no case of the study's is in it.

study.json, winner.json; networks/<system>/<task>/<network>/; stages/<target>/<fold>.json, where a second stage
decides, and <fold>-latents.json, where it reads latents; pack.json: the networks of every fold, what each fold's
decision learnt, and by which digests the study's own samples and subjects are known again.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.decisions.decide import fit_rule, labelled
from auscult.decisions.predictions import role_of
from auscult.provenance import digest, write_json
from auscult.training.job import FILES


@dataclass(frozen=True)
class Model:
    """A trained network: what it was made by (`inner`: its inner fold, None for the fold itself)."""

    system: str
    task: str
    network: str
    repeat: int
    fold: int
    index: int
    inner: int | None = None


def place_of(model: Model, folder: Path) -> Path:
    """The folder of a network in a pack, or in the room where a pack is applied."""
    return folder / "networks" / model.system / model.task / model.network


@dataclass(frozen=True)
class FoldMade:
    """What a study made in one fold of a system or ensemble.

    `models`: networks with their folders. `cases`, `recordings`, `fused`: tables as
    `decisions.predictions.FoldOutputs` has them. `stages`: the folder of the saved second stages. `fused` and `stages`
    are None without one.
    """

    models: list[tuple[Model, Path]]
    cases: pd.DataFrame
    recordings: pd.DataFrame
    fused: pd.DataFrame | None
    stages: Path | None


@dataclass(frozen=True)
class Packed:
    """A packed winner as `read` gives it.

    winners: by target `system, stage, fit_on, decision`. models: by (system or ensemble, fold). decisions: what
    `decisions.decide.fit_rule` learnt, by (target, fold). covariates: columns of numbers about a case. channels: of the
    recordings. samples, ids: digests of the study's own.
    """

    folder: Path
    study: Study
    winners: dict[str, dict[str, Any]]
    models: dict[tuple[str, str], list[Model]]
    decisions: dict[tuple[str, str], dict[str, Any]]
    covariates: list[str]
    channels: int
    samples: frozenset[str]
    ids: frozenset[str]


def pack(
    study: Study,
    winners: dict[str, dict[str, Any]],
    made: dict[tuple[str, str], FoldMade],
    own: Manifest,
    folder: Path,
) -> None:
    """Write a packed winner into an empty folder.

    winners: winner.json of the study. made: by (system or ensemble, fold). own: the study's manifest, whose labels the
    decisions are fitted to.
    """
    used = {key: one for key, one in made.items() if key[0] in {winner["system"] for winner in winners.values()}}
    for one in used.values():
        for model, source in one.models:
            place = place_of(model, folder)
            place.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(source / name, place / name)
    decisions: dict[str, dict[str, Any]] = {}
    for name, winner in winners.items():
        for (unit, fold), one in used.items():
            if unit != winner["system"]:
                continue
            decisions.setdefault(name, {})[fold] = _learnt(study.targets[name], name, winner, one, own)
            if winner["stage"] != "network":
                place = folder / "stages" / name
                place.mkdir(parents=True, exist_ok=True)
                source = one.stages / f"{name}-{winner['stage']}-{winner['fit_on']}.json"
                shutil.copyfile(source, place / f"{fold}.json")
                latents = one.stages / f"latents-{winner['fit_on']}.json"
                if latents.is_file():
                    shutil.copyfile(latents, place / f"{fold}-latents.json")
    networks: dict[str, dict[str, Any]] = {}
    for (unit, fold), one in used.items():
        networks.setdefault(unit, {})[fold] = [asdict(model) for model, _ in one.models]
    facts = {
        "networks": networks,
        "decisions": decisions,
        "covariates": own.columns.covariates,
        "channels": int(own.recordings["channels"].max()) if study.dataset.channels == "all" else 1,
        **signs(own),
    }
    write_json(folder / "pack.json", facts)
    write_json(folder / "winner.json", winners)
    write_json(folder / "study.json", study.model_dump(mode="json"))


def signs(own: Manifest) -> dict[str, list[str]]:
    """By what a study's own cases are known again: digests of their `samples` and of the `ids` of cases, subjects."""
    ids = {part for subject in own.cases["subject"] for part in subject.split("+")} | set(own.cases["case"])
    return {"samples": sorted(set(own.recordings["sha256"])), "ids": sorted(map(digest, ids))}


def _learnt(target: Target, name: str, winner: dict[str, Any], one: FoldMade, own: Manifest) -> dict[str, Any]:
    """What the winner's decision learns of the fold's own cases."""
    if winner["stage"] == "network":
        mine = one.cases[one.cases["role"] == role_of(one.cases)]
        mine = mine.rename(columns={f"{name}:{c}": c for c in target.classes})
    else:
        keys = {"target": name, "stage": winner["stage"], "fit_on": winner["fit_on"]}
        mine = one.fused[(one.fused[list(keys)] == pd.Series(keys)).all(axis=1)]
        mine = mine[mine["role"] == role_of(mine)].rename(columns={f"p_{c}": c for c in target.classes})
    known, truth = labelled(target, own.cases.set_index("case")[target.label], mine["case"])
    return fit_rule(target, winner["decision"], mine[target.classes].to_numpy(dtype=float)[known], truth)


def read(folder: Path) -> Packed:
    """A packed winner."""
    words = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("study", "winner")}
    facts = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    study = Study.model_validate(words["study"])
    return Packed(
        folder,
        study,
        words["winner"],
        {key: [Model(**one) for one in models] for key, models in _by_pair(facts["networks"]).items()},
        _by_pair(facts["decisions"]),
        facts["covariates"],
        facts["channels"],
        frozenset(facts["samples"]),
        frozenset(facts["ids"]),
    )


def _by_pair(nested: dict[str, dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(name, fold): value for name, folds in nested.items() for fold, value in folds.items()}
