"""What each job reads: the parts of a study's configuration that its result depends on, as plain values.

They are the parameters of the rules, so that a change of the configuration reruns the jobs that read what changed and
no other. A script turns each part into the model of `auscult.config` that it is a dump of.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from auscult.config.protocols import group_of
from auscult.config.targets import Target
from auscult.plan.networks import (
    Plan,
    every_pretrained,
    extras_of,
    first_system,
    scored_roles,
    scorers,
    scoring_test_cases,
    units,
)

# ---------------------------------------------------------------- folds


def folds(plan: Plan) -> dict[str, Any]:
    """What gives every case a role."""
    study = plan.study
    return {
        "protocol": study.protocol.model_dump(),
        "targets": _classes(study.targets),
        "tasks": {name: task.model_dump() for name, task in study.tasks.items()},
    }


def inner_folds(plan: Plan) -> dict[str, Any]:
    """What divides the cases of a fold once more."""
    return {
        "protocol": plan.study.protocol.model_dump(),
        "targets": _classes(plan.study.targets),
        "tasks": {name: task.model_dump() for name, task in plan.study.tasks.items()},
        "inner_folds": plan.study.inner_folds.model_dump(exclude={"seeds", "bag"}),
    }


def audit(plan: Plan) -> dict[str, Any]:
    """What the audit counts, and whether it may stop the study."""
    return {
        "protocol": plan.study.protocol.model_dump(),
        "targets": _classes(plan.study.targets),
        "leak": plan.study.leak.model_dump(),
        "dataset": plan.study.dataset.name,
        "adapter": plan.study.dataset.adapter,
        "same_ids": [other.name for other in plan.study.other_datasets() if plan.study.dataset.has_ids_of(other)],
        "rate_hz": plan.study.dataset.rate_hz,
        "weights": trained_files(plan),
    }


def pretraining_audit(plan: Plan) -> dict[str, Any]:
    """What the audit of pre-trainings compares, and whether it may stop the study."""
    return {name: audit(plan)[name] for name in ("protocol", "leak", "dataset")}


def trained_files(plan: Plan) -> list[list[str]]:
    """[system, file] of weights and encoders that others trained: a system's own, or those of its teacher."""
    systems, pairs = plan.study.systems, []
    for name, system in systems.items():
        teacher = system.training.teacher
        for source in [system, *([systems[teacher.system]] if teacher else [])]:
            files = [source.network.weights, source.front_end.settings.get("file")]
            pairs += [[name, file] for file in files if file and [name, file] not in pairs]
    return pairs


def groups(plan: Plan) -> dict[str, Any]:
    """The groups of cases that the evaluation names."""
    targets = plan.study.targets.items()
    return {
        "referrals": {name: target.referral.model_dump() for name, target in targets if target.referral},
        "subgroups": plan.study.evaluation.subgroups,
    }


# ---------------------------------------------------------------- networks


def training(plan: Plan, system: str, task: str) -> dict[str, Any]:
    """What the weights of a network depend on, besides its fold and seed."""
    teacher = plan.study.systems[system].training.teacher
    return {
        **({"teacher": _weights_of(plan, teacher.system, task)} if teacher else {}),
        "system": _weights_of(plan, system, task),
        "task": plan.study.tasks[task].model_dump(),
        "dataset": plan.study.dataset.model_dump(exclude={"root"}),
        "extras": [extra.model_dump(exclude={"dataset": {"root"}}) for extra in extras_of(plan, task)],
    }


def _weights_of(plan: Plan, system: str, task: str) -> dict[str, Any]:
    """A system without what only its scoring reads."""
    values = plan.study.systems[system].model_dump(exclude={"inference": True, "training": {"seeds"}})
    return {**values, "tasks": [task]}


def pretraining(plan: Plan, name: str) -> dict[str, Any]:
    """What the weights of a pre-training depend on, besides its fold."""
    pretraining = plan.study.pretrainings[name]
    datasets = pretraining.other_datasets() or [plan.study.dataset]
    return {
        "pretraining": pretraining.model_dump(exclude={"train_on"}),
        "datasets": [dataset.model_dump(exclude={"root"}) for dataset in datasets],
    }


def scoring(plan: Plan, system: str, task: str, network: str) -> dict[str, Any]:
    """What the outputs of a network depend on: all that its weights do, and how its passes are made."""
    inference = plan.study.systems[system].inference.model_dump(exclude={"pool"})
    values = training(plan, system, task)
    values.pop("teacher", None)
    values.pop("extras")
    return {
        **values,
        "system": {**values["system"], "inference": inference},
        "roles": scored_roles(plan, system, network),
    }


def network_modules(plan: Plan, system: str) -> list[str]:
    """Plug-ins that a job with a system's network loads by name, and what its frames are made by.

    The front end's own module is added by the rules, which know the registry of front ends.
    """
    return [f"auscult.networks.{plan.study.systems[system].network.name}", *FRAMES]


def teacher_modules(plan: Plan, system: str) -> list[str]:
    """Plug-ins that the training of a system loads besides its own: the network of its teacher."""
    teacher = plan.study.systems[system].training.teacher
    return [f"auscult.networks.{plan.study.systems[teacher.system].network.name}"] if teacher else []


def pretraining_modules(plan: Plan, name: str) -> list[str]:
    """The same for a job that pre-trains."""
    pretraining = plan.study.pretrainings[name]
    modules = f"auscult.networks.{pretraining.network.name}", f"auscult.pretraining.methods.{pretraining.method.name}"
    return [*modules, *FRAMES]


FRAMES = ("auscult.cache.audio", "auscult.features.frames")
"""What makes frames, besides the front end."""


# ---------------------------------------------------------------- outputs


def aggregation(plan: Plan, unit: str, name: str) -> dict[str, Any]:
    """How outputs become probabilities of recordings, cases and classes; `scorers` as [group, model folders]."""
    return {
        **_heads_and_classes(plan, unit),
        "pools": {head: pool.model_dump() for head, pool in first_system(plan, unit).inference.pool.items()},
        "weigh_by_validation": plan.study.weighed(unit),
        "scorers": {
            role: {
                task: [[group, [network.folder for network in networks]] for group, networks in task_scorers]
                for task, task_scorers in by_task.items()
            }
            for role, by_task in scorers(plan, unit, name).items()
        },
    }


def fusion(plan: Plan, unit: str) -> dict[str, Any]:
    """What the second stage of a unit depends on."""
    study = plan.study
    targets = study.targets if study.fusion.every_target else study.targets_of(first_system(plan, unit))
    return {
        **_heads_and_classes(plan, unit),
        "targets": _classes(targets, {"weights"}),
        "fusion": {**study.fusion.model_dump(), "systems": [unit]},
        "encoders": {name: study.systems[name].front_end.model_dump() for name in study.fused_encoders(unit)},
        "dataset": study.dataset.model_dump(exclude={"root"}),
        "group": group_of(study.protocol),
    }


# ---------------------------------------------------------------- evaluation


def whole_study(plan: Plan) -> dict[str, Any]:
    """Everything that a study says but where its data lie, and what other data sets call its labels."""
    study = plan.study.model_dump()
    extras = [extra["dataset"] for extra in study["extra_training"]]
    sources = [each["train_on"] for each in study["pretrainings"].values()]
    of_pretrainings = [source["datasets"] for source in sources if source != "fold"]
    for dataset in [study["dataset"], *extras, *chain.from_iterable(of_pretrainings)]:
        dataset["root"] = ""
    del study["external"]
    return study


def external(plan: Plan, form: str) -> dict[str, Any]:
    """The labels of another data set that an adapter reads, by target."""
    return {name: label.model_dump() for name, label in plan.study.external.get(form, {}).items()}


def evaluation(plan: Plan) -> dict[str, Any]:
    """A study without what its networks are made of: all that is read from their outputs on.

    An ensemble stands among the systems as the first of its own.
    """
    study = whole_study(plan)
    study["systems"] = {unit: first_system(plan, unit).model_dump() for unit in units(plan)}
    del study["ensembles"], study["pretrainings"], study["extra_training"]
    study["description"] = ""
    for system in study["systems"].values():
        for key in ("front_end", "network"):
            system[key] = {"name": system[key]["name"]}
        system["training"] = {key: system["training"][key] for key in ("select", "seeds")}
        for key in ("inference", "segment"):
            del system[key]
    return study


def explanation(plan: Plan, system: str) -> dict[str, Any]:
    """A study with one system alone, whatever it started and learned from, and the targets that it serves."""
    study = whole_study(plan)
    values = study["systems"][system]
    network, training = {**values["network"], "pretraining": None}, {**values["training"], "teacher": None}
    targets = plan.study.targets_of(plan.study.systems[system])
    return {
        **study,
        "description": "",
        "ensembles": {},
        "fusion": None,
        "pretrainings": {},
        "extra_training": [],
        "systems": {system: {**values, "network": network, "training": training}},
        "targets": {name: study["targets"][name] for name in targets},
    }


def tracking(plan: Plan) -> dict[str, Any]:
    """The systems as the tracking store shows them, and all pre-trainings as `pretrainings`."""
    pretrainings = {name: pretraining.model_dump() for name, pretraining in plan.study.pretrainings.items()}
    systems = {name: system.model_dump() for name, system in plan.study.systems.items()}
    return systems | ({"pretrainings": pretrainings} if every_pretrained(plan) else {})


def test_networks(plan: Plan) -> dict[str, list[list[str]]]:
    """[system, task, model folder] of all networks that score test cases, by `unit/fold`."""
    return {
        f"{unit}/{fold}": [
            [network.system, network.task, network.folder]
            for networks in scoring_test_cases(plan, unit, fold).values()
            for network in networks
        ]
        for unit in units(plan)
        for fold in plan.folds
    }


# ---------------------------------------------------------------- parts


def _classes(targets: dict[str, Target], more: set[str] = frozenset()) -> dict[str, Any]:
    """Targets without what only the evaluation reads."""
    fields = {"label", "kind", "classes", "heads", *more}
    return {name: target.model_dump(include=fields) for name, target in targets.items()}


def _heads_and_classes(plan: Plan, unit: str) -> dict[str, Any]:
    """The tasks of a unit, in its order, and the targets that it serves."""
    system = first_system(plan, unit)
    return {
        "tasks": {task: plan.study.tasks[task].model_dump() for task in system.tasks},
        "targets": _classes(plan.study.targets_of(system)),
    }
