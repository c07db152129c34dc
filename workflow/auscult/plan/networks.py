"""Which networks a study has, and which of them score whom.

A "unit" is what gets rows in the tables: a system, or an ensemble, which has no network of its own and is the mean of
its systems' networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from auscult.config.dataset import ExtraTraining
from auscult.config.study import Study
from auscult.config.systems import FrontEndConfig, System
from auscult.plan import paths
from auscult.plan.names import NetworkName, fold_of_set, inner_set, is_inner_set


@dataclass(frozen=True)
class Plan:
    """A study, the folder of its data set, and the folds that its protocol makes."""

    name: str
    study: Study
    dataset: str
    folds: tuple[NetworkName, ...]


@dataclass(frozen=True)
class Network:
    """One network of a study: a system trained for one task on one fold or inner fold."""

    study: str
    system: str
    task: str
    name: NetworkName

    @property
    def folder(self) -> str:
        """Its model folder."""
        return self.file(paths.NETWORK)

    def file(self, pattern: str) -> str:
        """A file of its model folder, by the pattern of `paths`."""
        return pattern.format(study=self.study, system=self.system, task=self.task, network=self.name)


# ---------------------------------------------------------------- folds


def inner_folds(plan: Plan, fold: NetworkName) -> list[NetworkName]:
    """The inner folds of a fold, repeat after repeat; [] in a study without them."""
    inner = plan.study.inner_folds
    count = inner.folds * inner.repeats if inner else 0
    return [NetworkName(fold.repeat, fold.fold, number) for number in range(count)]


def folds_table(plan: Plan, name: NetworkName | str) -> str:
    """The table that says which cases a fold or network, or a set of inner folds, trains on and scores."""
    inner = is_inner_set(name) or NetworkName.parse(name).is_inner if isinstance(name, str) else name.is_inner
    return (paths.INNER_FOLDS if inner else paths.FOLDS).format(study=plan.name)


# ---------------------------------------------------------------- networks


def units(plan: Plan) -> list[str]:
    """Systems and ensembles: what gets rows in the tables."""
    return [*plan.study.systems, *plan.study.ensembles]


def first_system(plan: Plan, unit: str) -> System:
    """A system, or the first one of an ensemble, whose systems have the same tasks, pooling and passes."""
    return plan.study.systems[plan.study.systems_of(unit)[0]]


def trained_on(plan: Plan, system: str, task: str, fold: NetworkName) -> list[Network]:
    """The networks of a system and task on one fold or inner fold: one, or one for each seed."""
    study = plan.study
    seeds = study.inner_folds.seeds if fold.is_inner else study.systems[system].training.seeds
    names = [fold] if seeds == 1 else [fold.with_seed(seed) for seed in range(seeds)]
    return [Network(plan.name, system, task, name) for name in names]


def networks_by_task(plan: Plan, unit: str, folds: list[NetworkName]) -> dict[str, list[Network]]:
    """The networks of a unit on some folds or inner folds, fold after fold, by task."""
    return {
        task: [
            network
            for fold in folds
            for system in plan.study.systems_of(unit)
            for network in trained_on(plan, system, task, fold)
        ]
        for task in first_system(plan, unit).tasks
    }


def all_networks(plan: Plan, system: str) -> list[Network]:
    """Every network of a system, those of inner folds too."""
    folds = [name for fold in plan.folds for name in (fold, *inner_folds(plan, fold))]
    return [network for networks in networks_by_task(plan, system, folds).values() for network in networks]


def every_network(plan: Plan) -> list[Network]:
    """Every network of a study."""
    return [network for system in plan.study.systems for network in all_networks(plan, system)]


def of_fold(plan: Plan, unit: str, fold: str) -> dict[str, list[Network]]:
    """The networks of a unit that are trained on one fold, by task."""
    return networks_by_task(plan, unit, [NetworkName.parse(fold)])


def scoring_test_cases(plan: Plan, unit: str, fold: NetworkName) -> dict[str, list[Network]]:
    """The networks that score the test cases of a fold, by task: with `bag` those of its inner folds too."""
    inner = plan.study.inner_folds
    return networks_by_task(plan, unit, [fold, *(inner_folds(plan, fold) if inner and inner.bag else [])])


def explainable(plan: Plan) -> list[str]:
    """Systems that read recordings, and whose saved weights score them: with `select: test` others do."""
    systems = plan.study.systems.items()
    return [name for name, system in systems if system.training.select != "test" and system.segment.of == "recording"]


LOWEST_SOUND_HZ = 1000


def has_sounds(study: Study) -> bool:
    """Whether the recordings of a study are sounds: electrocardiograms have lower sampling rates."""
    return study.dataset.rate_hz >= LOWEST_SOUND_HZ


def system_to_show(plan: Plan) -> str:
    """The system whose frames and explanations the listening page shows: the first that can be explained, or any."""
    return [*explainable(plan), *plan.study.systems][0]


def to_explain(plan: Plan, system: str) -> list[Network]:
    """The first network of every task and fold of a system."""
    tasks = plan.study.systems[system].tasks
    return [trained_on(plan, system, task, fold)[0] for task in tasks for fold in plan.folds]


# ---------------------------------------------------------------- what a training starts from and learns from


@dataclass(frozen=True)
class Pretrained:
    """The encoder that one pre-training of a study trains on one fold or inner fold; name: None for other data sets."""

    study: str
    pretraining: str
    name: NetworkName | None

    def file(self, pattern: str) -> str:
        """A file of its folder, by the pattern of `paths`."""
        return pattern.format(study=self.study, pretraining=self.pretraining, network=self.name or paths.ALL_FOLDS)


def pretrained(plan: Plan, system: str, name: NetworkName) -> Pretrained | None:
    """The encoder that a system's network starts from: one for all seeds of its fold or inner fold. None without."""
    pretraining = plan.study.systems[system].network.pretraining
    if not pretraining:
        return None
    is_of_fold = plan.study.pretrainings[pretraining].train_on == "fold"
    return Pretrained(plan.name, pretraining, name.with_seed(None) if is_of_fold else None)


def datasets_of(plan: Plan, pretraining: str) -> list[str]:
    """Folders of the data sets that a pre-training is trained on."""
    others = plan.study.pretrainings[pretraining].other_datasets()
    return [paths.dataset_folder(dataset, None) for dataset in others] or [plan.dataset]


def extras_of(plan: Plan, task: str) -> list[ExtraTraining]:
    """The other data sets with labels for a task, whose cases its networks are trained on too."""
    heads = plan.study.tasks[task].heads
    return [extra for extra in plan.study.extra_training if set(extra.heads) & set(heads)]


def learnt_datasets(plan: Plan) -> list[str]:
    """Folders of all data sets, other than the study's, that anything of it is trained on, each once."""
    return list(dict.fromkeys([*extra_folders(plan), *pretraining_datasets(plan)]))


def extra_folders(plan: Plan) -> list[str]:
    """Folders of the data sets whose cases join the training cases, each once."""
    return list(dict.fromkeys(paths.dataset_folder(extra.dataset, None) for extra in plan.study.extra_training))


def pretraining_datasets(plan: Plan) -> list[str]:
    """Folders of the data sets, other than the study's, that its pre-trainings are trained on."""
    folders = {
        folder: None
        for encoder in every_pretrained(plan)
        if encoder.name is None
        for folder in datasets_of(plan, encoder.pretraining)
    }
    return list(folders)


def frame_caches(plan: Plan) -> list[tuple[str, FrontEndConfig]]:
    """(folder of a data set, front end) of all frames that networks of a study read."""
    folders = [plan.dataset, *extra_folders(plan)]
    pairs = [(folder, system.front_end) for folder in folders for system in plan.study.systems.values()]
    pairs += [
        (folder, pretraining.front_end)
        for name, pretraining in plan.study.pretrainings.items()
        for folder in datasets_of(plan, name)
    ]
    return pairs


def every_pretrained(plan: Plan) -> list[Pretrained]:
    """Every encoder that a network of the study starts from, each once."""
    encoders = {pretrained(plan, network.system, network.name): None for network in every_network(plan)}
    return [encoder for encoder in encoders if encoder]


def initial_weights(plan: Plan, system: str, name: NetworkName) -> list[str]:
    """The file that a network's training starts from: one of the study's configuration, or of a pre-training."""
    encoder = pretrained(plan, system, name)
    if encoder:
        return [encoder.file(paths.PRETRAINED_WEIGHTS)]
    return [file for file in [plan.study.systems[system].network.weights] if file]


def teacher(plan: Plan, system: str, task: str, name: NetworkName) -> Network | None:
    """The network that a system's network learns from: of the same fold or inner fold. None without a teacher.

    Seeds are paired in order, and begin anew where the teacher has fewer.
    """
    settings = plan.study.systems[system].training.teacher
    if not settings:
        return None
    teachers = trained_on(plan, settings.system, task, name.with_seed(None))
    return teachers[(name.seed or 0) % len(teachers)]


# ---------------------------------------------------------------- which network scores which cases


def scored_roles(plan: Plan, unit: str, name: str) -> list[str]:
    """Roles whose cases the networks of a unit on a fold, inner fold or set of inner folds score.

    `outer_test`, of an inner fold's network in a study with `bag`: the test cases of the fold around it.
    """
    if is_inner_set(name):
        return ["inner"]
    if NetworkName.parse(name).is_inner:
        return ["test", "outer_test"] if plan.study.inner_folds.bag else ["test"]
    return ["train", "val", "test"] if _fuses_training_cases(plan, unit) else ["val", "test"]


def _fuses_training_cases(plan: Plan, unit: str) -> bool:
    """Whether a second stage of the unit, or of one that it is in, is fitted on training cases."""
    study = plan.study
    if not study.fusion or "train" not in study.fusion.fit_on:
        return False
    return any(unit == fused_unit or unit in study.systems_of(fused_unit) for fused_unit in study.fusion.systems)


def scorers(plan: Plan, unit: str, name: str) -> dict[str, dict[str, list[tuple[str, list[Network]]]]]:
    """What scores the cases of a fold, or of the set of its inner folds, by role and task.

    A scorer is a group of outputs.h5 and the networks that together score every case of the role once: one network for
    the cases of a fold, the networks of all inner folds of one division for the set of inner folds.
    """
    if is_inner_set(name):
        return {"inner": {task: _divisions(plan, unit, task, name) for task in first_system(plan, unit).tasks}}
    fold = NetworkName.parse(name)
    return {
        role: {
            task: [("outer_test" if network.name.is_inner else role, [network]) for network in networks]
            for task, networks in (
                scoring_test_cases(plan, unit, fold) if role == "test" else networks_by_task(plan, unit, [fold])
            ).items()
        }
        for role in scored_roles(plan, unit, name)
    }


def _divisions(plan: Plan, unit: str, task: str, name: str) -> list[tuple[str, list[Network]]]:
    """The scorers of a set of inner folds: for each division, system and seed the networks of its inner folds."""
    folds, size = inner_folds(plan, fold_of_set(name)), plan.study.inner_folds.folds
    scorers_of_divisions = []
    for start in range(0, len(folds), size):
        for system in plan.study.systems_of(unit):
            by_fold = [trained_on(plan, system, task, fold) for fold in folds[start : start + size]]
            scorers_of_divisions += [("test", list(networks)) for networks in zip(*by_fold, strict=True)]
    return scorers_of_divisions


def scorer_files(plan: Plan, unit: str, name: str) -> list[str]:
    """Files that `scorers` are read from, each once."""
    networks = {
        network: None
        for by_task in scorers(plan, unit, name).values()
        for task_scorers in by_task.values()
        for _, scorer_networks in task_scorers
        for network in scorer_networks
    }
    return [network.file(pattern) for network in networks for pattern in (paths.OUTPUTS, paths.TRAINING)]


# ---------------------------------------------------------------- what the evaluation reads


def unit_folds(plan: Plan) -> list[tuple[str, str]]:
    """(unit, fold) pairs of a study."""
    return [(unit, str(fold)) for unit in units(plan) for fold in plan.folds]


def labelled_recordings(plan: Plan) -> list[tuple[str, str]]:
    """(system, fold) pairs of the systems with a binary head that learns labels of recordings.

    Not of systems that read cases, whose recordings all have the case's probability, nor of those whose epoch is chosen
    by the test labels.
    """
    systems = [
        name
        for name in explainable(plan)
        for heads in [plan.study.heads_of(plan.study.systems[name])]
        if any(head.train_on and head.kind == "binary" for head in heads.values())
    ]
    return [pair for pair in unit_folds(plan) if pair[0] in systems]


def fused_folds(plan: Plan) -> list[tuple[str, str]]:
    """(unit, fold) pairs that have a second stage."""
    fusion = plan.study.fusion
    return [pair for pair in unit_folds(plan) if fusion and pair[0] in fusion.systems]


def files_of(plan: Plan, pattern: str, pairs: list[tuple[str, str]]) -> list[str]:
    """A file for each (unit, fold) pair."""
    return [pattern.format(study=plan.name, system=unit, fold=fold) for unit, fold in pairs]


def inner_outputs(plan: Plan, pairs: list[tuple[str, str]]) -> list[str]:
    """Case and recording tables of the inner folds of (unit, fold) pairs; [] in a study without inner folds."""
    pairs = [(unit, inner_set(fold)) for unit, fold in pairs] if plan.study.inner_folds else []
    return [path for pair in pairs for p in OUTPUT_TABLES for path in files_of(plan, p, [pair])]


OUTPUT_TABLES = (paths.CASE_OUTPUTS, paths.RECORDING_OUTPUTS)
