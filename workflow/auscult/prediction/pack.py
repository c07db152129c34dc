"""A packed winner: a folder with all that is needed to predict new cases, without any case of the study.

- study.json, winner.json
- networks/<system>/<task>/<network>/: model folders
- stages/<target>/<fold>/<system>-<stage>-<fit_on>.json: a saved second stage; …-components.json, if it reads
  vectors
- encoders/: files that front ends read
- landmarks/: by which copies of the recordings that the study was trained on are recognised, see `features.copies`
- pack.json: the networks of every fold, the fitted decision rule of every variant of every fold, and digests by which
  samples and subjects of the study are recognised
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest, ids_of
from auscult.datasets.ids import folded
from auscult.decisions.decide import fit_rule
from auscult.decisions.predictions import stage_outputs
from auscult.decisions.rule import FittedRule
from auscult.plan.names import NetworkName
from auscult.provenance import digest, write_json
from auscult.training.model_folder import copy_model


@dataclass(frozen=True)
class Model:
    """A trained network of the study: its system, task and name (see `plan.names.NetworkName`)."""

    system: str
    task: str
    network: str

    @property
    def name(self) -> NetworkName:
        """The network's name, which says on which fold it was trained."""
        return NetworkName.parse(self.network)


def folder_of(model: Model, folder: Path) -> Path:
    """The folder of a network in a pack, or in the working folder of a prediction."""
    return folder / "networks" / model.system / model.task / model.network


@dataclass(frozen=True)
class FoldResults:
    """Results of one fold of a system or ensemble.

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

    winners: by target, see `decisions.winner.winners`. models: by (system or ensemble, fold). decisions: by (target,
    fold) what `decisions.decide.fit_rule` gives for each variant of the fold. covariates: columns of numbers about a
    case. channels: of the recordings. sites: at which the study recorded. leak: what the study's tables state of
    leaks. samples, case_ids, subject_ids: digests of what the study was trained on.
    """

    folder: Path
    study: Study
    winners: dict[str, dict[str, Any]]
    models: dict[tuple[str, str], list[Model]]
    decisions: dict[tuple[str, str], list[FittedRule]]
    covariates: list[str]
    channels: int
    sites: list[str]
    leak: str
    samples: frozenset[str]
    case_ids: frozenset[str]
    subject_ids: frozenset[str]


def pack(
    study: Study,
    winners: dict[str, dict[str, Any]],
    results: dict[tuple[str, str], FoldResults],
    own: Manifest,
    others: dict[str, Manifest],
    landmarks: list[Path],
    leak: str,
    folder: Path,
) -> None:
    """Write a packed winner into an empty folder.

    winners: winner.json of the study. results: by (system or ensemble, fold). own: the study's manifest, whose labels
    the decisions are fitted to. others: those of other data sets that it was trained on, by name. landmarks: of the
    recordings of each data set, and of those that weights from files were trained on. leak: what the tables state.
    """
    variants = {(name, fold): of_fold for name, winner in winners.items() for fold, of_fold in winner["folds"].items()}
    pairs = {(variant["system"], fold) for (_, fold), of_fold in variants.items() for variant in of_fold}
    results = {key: fold_results for key, fold_results in results.items() if key in pairs}
    for fold_results in results.values():
        for model, source in fold_results.models:
            copy_model(source, folder_of(model, folder))
    decisions: dict[str, dict[str, list[FittedRule]]] = {}
    for (name, fold), of_fold in variants.items():
        of_variants = [
            _fit_decision(study, name, variant, results[variant["system"], fold], own) for variant in of_fold
        ]
        decisions.setdefault(name, {})[fold] = of_variants
        for variant in of_fold:
            if variant["stage"] != "network":
                _copy_stage(
                    results[variant["system"], fold].stages, name, variant, stage_file(folder, name, fold, variant)
                )
    networks: dict[str, dict[str, Any]] = {}
    for (unit, fold), fold_results in results.items():
        networks.setdefault(unit, {})[fold] = [asdict(model) for model, _ in fold_results.models]
    facts = {
        "networks": networks,
        "decisions": decisions,
        "covariates": own.columns.covariates,
        "channels": int(own.recordings["channels"].max()) if study.dataset.channels == "all" else 1,
        "sites": sorted(set(own.recordings["site"]) - {""}),
        "leak": leak,
        **digests_of_known(
            own, others, {other.name for other in study.other_datasets() if study.dataset.has_ids_of(other)}
        ),
    }
    (folder / "landmarks").mkdir()
    for number, file in enumerate(landmarks):
        shutil.copyfile(file, folder / f"landmarks/{number}.npz")
    write_json(folder / "pack.json", facts)
    write_json(folder / "winner.json", winners)
    write_json(folder / "study.json", _with_encoders(study, folder))


def _with_encoders(study: Study, folder: Path) -> dict[str, Any]:
    """Copy the files that front ends read into a pack; return the study with their places there."""
    values = study.model_dump(mode="json")
    for settings in _settings_with_file(values):
        source = Path(settings["file"])
        settings["file"] = f"encoders/{settings['sha256']}{source.suffix}"
        (folder / "encoders").mkdir(exist_ok=True)
        shutil.copyfile(source, folder / settings["file"])
    return values


def _settings_with_file(study: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of all front ends of a study that read a file."""
    settings = [system["front_end"]["settings"] for system in study["systems"].values()]
    return [each for each in settings if each.get("file")]


def stage_file(folder: Path, target: str, fold: str, variant: dict[str, Any]) -> Path:
    """The file of a saved second stage in a pack."""
    return folder / "stages" / target / fold / f"{variant['system']}-{variant['stage']}-{variant['fit_on']}.json"


def _copy_stage(stages: Path, target: str, variant: dict[str, Any], file: Path) -> None:
    """Copy a second stage of the study, and the components of its vectors, into a pack."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(stages / f"{target}-{variant['stage']}-{variant['fit_on']}.json", file)
    components = stages / f"components-{variant['fit_on']}.json"
    if components.is_file():
        shutil.copyfile(components, file.with_name(f"{file.stem}-components.json"))


def digests_of_known(own: Manifest, others: dict[str, Manifest], same_ids: set[str]) -> dict[str, list[str]]:
    """Digests by which what a study knows is recognised: of `samples`, `case_ids` and `subject_ids`.

    Ids count in any writing. In some data sets a case has the number of another subject: both are kept apart.

    others: data sets that it was trained on besides its own. same_ids: those of them whose ids mean the same.
    """
    with_ids = [own, *(manifest for name, manifest in others.items() if name in same_ids)]
    cases = {name for manifest in with_ids for name in manifest.cases["case"]}
    subjects = {name for manifest in with_ids for subject in manifest.cases["subject"] for name in ids_of(subject)}
    samples = set().union(*(manifest.recordings["sha256"] for manifest in [own, *others.values()]))
    ids = {
        key: sorted({digest(folded(name)) for name in names})
        for key, names in (("case_ids", cases), ("subject_ids", subjects))
    }
    return {"samples": sorted(samples), **ids}


def _fit_decision(study: Study, target: str, variant: dict[str, Any], fold: FoldResults, own: Manifest) -> FittedRule:
    """Fit a variant's decision rule to one fold's own cases, as the study did."""
    settings = study.targets[target]
    labels = own.cases.set_index("case")[settings.label]
    for outputs in stage_outputs(target, settings, fold.cases, fold.recordings, fold.fused):
        if (outputs.stage, outputs.fit_on) == (variant["stage"], variant["fit_on"]):
            return fit_rule(settings, variant["decision"], outputs.own, labels)
    raise ValueError(f"{target}: no fold has the stage {variant['stage']} fitted on {variant['fit_on']}")


def read(folder: Path) -> Packed:
    """A packed winner from its folder."""
    study, winners, facts = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("study", "winner", "pack")
    )
    for settings in _settings_with_file(study):
        settings["file"] = str(folder / settings["file"])
    return Packed(
        folder,
        Study.model_validate(study),
        winners,
        {key: [Model(**fields) for fields in models] for key, models in _by_pair(facts["networks"]).items()},
        _by_pair(facts["decisions"]),
        facts["covariates"],
        facts["channels"],
        facts["sites"],
        facts["leak"],
        frozenset(facts["samples"]),
        frozenset(facts["case_ids"]),
        frozenset(facts["subject_ids"]),
    )


def _by_pair(by_name: dict[str, dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(name, fold): value for name, folds in by_name.items() for fold, value in folds.items()}
