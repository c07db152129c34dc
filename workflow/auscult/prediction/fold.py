"""One fold of a packed winner on new cases: networks, second stages and decision rules, as in the study itself."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.decisions.decide import Outputs, apply_rule, outputs_of
from auscult.decisions.vote import positions, vote
from auscult.fusion.features import Inputs
from auscult.fusion.fuse import apply_saved
from auscult.inference.aggregate import aggregate, each_alone
from auscult.inference.score import score
from auscult.prediction.inputs import CODE, NewRecordings
from auscult.prediction.pack import Packed, folder_of, stage_file
from auscult.training.job import Job, Resources
from auscult.training.model_folder import copy_model

ROLE = "test"  # of every new case


def score_fold(
    packed: Packed,
    unit: str,
    fold: str,
    new: NewRecordings,
    tables: dict[str, pd.DataFrame],
    embeddings: dict[str, pd.DataFrame],
    resources: Resources,
) -> Inputs:
    """Outputs of the networks of one fold of a system or ensemble for all new cases.

    tables, embeddings: of numbers about the recordings, and vectors of encoders, for the second stage.
    """
    study, models = packed.study, packed.models[unit, fold]
    system = study.systems[models[0].system]  # those of an ensemble have the same tasks and pooling
    ids = new.manifest.cases["case"]
    name = models[0].name
    roles = pd.DataFrame({"repeat": name.repeat, "fold": name.fold, "case": ids, "role": ROLE})
    networks = {task: [] for task in system.tasks}
    for model in models:
        folder = folder_of(model, new.work)
        copy_model(folder_of(model, packed.folder), folder)
        own_system, task = study.systems[model.system], study.tasks[model.task]
        job = Job(folder, own_system, task, model.name)
        score(job, [ROLE], new.manifest, roles, new.frames(own_system), CODE, resources)
        networks[model.task].append(folder)
    cases, recordings = aggregate(
        {task: study.tasks[task] for task in system.tasks},
        study.targets_of(system),
        system.inference.pool,
        each_alone(networks, [ROLE]),
        roles,
        study.weighed(unit),
    )
    return Inputs(cases, recordings, new.manifest, tables, networks, embeddings)


def decide_fold(
    packed: Packed, name: str, fold: str, outputs: dict[tuple[str, str], Inputs]
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions of all new cases, in the manifest's order: the fold's variants vote.

    name: of the target. outputs: see `score_fold`, by (system or ensemble, fold).
    """
    study, winner, target = packed.study, packed.winners[name], packed.study.targets[name]
    voters = []
    for variant, parameters in zip(winner["folds"][fold], packed.decisions[name, fold], strict=True):
        inputs = outputs[variant["system"], fold]
        if variant["stage"] == "network":
            of_stage = outputs_of(inputs.cases, target.classes, name, inputs.recordings)
        else:
            heads = study.heads_of(study.systems[packed.models[variant["system"], fold][0].system])
            file = stage_file(packed.folder, name, fold, variant)
            p = apply_saved(study.fusion, heads, name, target, inputs, variant["stage"], file)
            of_stage = Outputs(inputs.cases["case"].to_numpy(), p)
        p, decisions, calibrated = apply_rule(target, variant["decision"], parameters, of_stage)
        if winner["stage"] != "chosen":  # a single variant gives what its row in the tables has
            calibrated = p
        order = positions(of_stage.ids, inputs.manifest.cases["case"])
        voters.append((calibrated[order], decisions[order]))
    p, decisions, _ = vote(target, voters)
    return p, decisions
