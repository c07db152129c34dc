"""The model of a study file, with the checks across its sections that need no data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Name, Seed, Strict, Unique
from auscult.config.dataset import Dataset, ExtraTraining, OtherLabel
from auscult.config.fusion import Fusion
from auscult.config.protocols import InnerFolds, Leak, Protocol
from auscult.config.systems import Ensemble, Head, Pretraining, System, Task, heads_of
from auscult.config.targets import Target

PRETRAININGS = "pretrainings"
"""Stands for a system where pre-trainings are listed among trainings."""

RESERVED = {
    "chosen": "a row of the tables",
    "winner": "what `snakemake predict` applies",
    PRETRAININGS: "the pre-trainings among the trainings",
}
"""Names that no system may have, and what has them."""


class Evaluation(Strict):
    """Settings of the tables."""

    draws: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        default=2000, description="Number of bootstrap draws of subjects."
    )
    choose_by: Literal["w_acc", "uar", "both", "f", "auroc"] = Field(
        default="w_acc",
        description="Score on inner or validation cases by which each fold chooses its variants for the row `chosen`. "
        "`both`: the mean of weighted accuracy and UAR; `f`: macro F1. A multilabel target has only `f` and `auroc`; "
        "the other values mean the balanced accuracy, averaged over its classes.",
    )
    subgroups: Annotated[list[str], Unique] = Field(
        default=[],
        description="Columns that divide the cases into subgroups, in which the row `chosen` is scored: a label, group "
        "or attribute column of cases.csv, a covariate (one with many values is divided into thirds), or `site` (cases "
        "with a recording there).",
    )
    seed: Seed = 0


class Study(Strict):
    """A study: data set, targets, protocol, tasks, systems and fusion."""

    description: str = Field(description="What the study is for, as text of the report.")
    dataset: Dataset = Field(description="The recordings.")
    targets: dict[Name, Target] = Field(min_length=1, description="The labels that are predicted and scored, by name.")
    protocol: Protocol = Field(description="The method that makes the folds.")
    leak: Leak = Leak()
    inner_folds: InnerFolds | None = Field(
        default=None,
        description="Inner cross-validation: thresholds, calibration and the fusion are fitted to outputs of networks "
        "that were not trained on the cases. Without it they are fitted to the validation cases, which also stopped "
        "the training.",
    )
    tasks: dict[Name, Task] = Field(min_length=1, description="What networks are trained for, by name.")
    extra_training: list[ExtraTraining] = Field(
        default=[], description="Other data sets whose cases networks are trained on beside those of each fold."
    )
    pretrainings: dict[Name, Pretraining] = Field(
        default={}, description="Trainings of encoders that systems start from, by name."
    )
    systems: dict[Name, System] = Field(
        min_length=1, description="Front ends and networks with their settings, by name."
    )
    ensembles: dict[Name, Ensemble] = Field(default={}, description="Named means of several systems.")
    fusion: Fusion | None = Field(default=None, description="The second stage.")
    evaluation: Evaluation = Evaluation()
    external: dict[Name, dict[Name, OtherLabel]] = Field(
        default={},
        description="Labels of other data sets for `snakemake validate`, by adapter and target; without an entry, the "
        "target's column and classes.",
    )

    @model_validator(mode="after")
    def _cross_references(self) -> Study:
        for name, system in self.systems.items():
            for task in system.tasks:
                _require_known(f"systems.{name}.tasks", task, self.tasks)
            heads = [head for task in system.tasks for head in self.tasks[task].heads]
            if duplicates := {head for head in heads if heads.count(head) > 1}:
                raise ValueError(f"systems.{name}.tasks: the head {min(duplicates)!r} is in two of its tasks")
            self._check_columns(name)
            for head in system.inference.pool:
                _require_known(f"systems.{name}.inference.pool", head, heads)
        for name, meaning in RESERVED.items():
            if name in {*self.systems, *self.ensembles}:
                raise ValueError(f"systems: `{name}` is the name of {meaning}; choose another name")
        for name, system in self.systems.items():
            self._check_pretraining(f"systems.{name}", system)
            if system.training.teacher:
                self._check_teacher(f"systems.{name}.training.teacher", name, system)
        for name, pretraining in self.pretrainings.items():
            for number, dataset in enumerate(pretraining.other_datasets()):
                self._check_same_frames(f"pretrainings.{name}.train_on.datasets.{number}", dataset)
        names = [extra.dataset.name for extra in self.extra_training]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"extra_training: the data set {min(twice)!r} is named twice; join its heads in one entry")
        for number, extra in enumerate(self.extra_training):
            self._check_extra_training(f"extra_training.{number}", extra)
        for form, labels in self.external.items():
            for name, label in labels.items():
                _require_known(f"external.{form}", name, self.targets)
                none = ["none"] if self.targets[name].kind == "multilabel" else []
                for word in label.words.values():
                    _require_known(f"external.{form}.{name}.words", word, [*self.targets[name].classes, *none])
        self._check_ensembles()
        trained_on_validation = [name for name, system in self.systems.items() if system.training.select == "last"]
        if trained_on_validation and not self.inner_folds:
            raise ValueError(
                f"systems.{trained_on_validation[0]}.training.select: with `last` the network is trained on the "
                "validation cases too; thresholds, calibration and the row chosen need inner_folds, for instance "
                "{folds: 3}"
            )
        for name, system in self.systems.items():
            if system.training.labels < 1 and (self.inner_folds or (self.fusion and "train" in self.fusion.fit_on)):
                raise ValueError(
                    f"systems.{name}.training.labels: only the networks would learn from a share of the labels; "
                    "thresholds and second stages are fitted to all of them with inner_folds and fusion.fit_on: train; "
                    "leave these out"
                )
            if system.training.select == "test" and self.inner_folds and self.inner_folds.bag:
                raise ValueError(
                    f"systems.{name}.training.select: with `test` each network takes the best epoch on its own test "
                    "cases, and networks of inner folds have other test cases; set inner_folds.bag: false"
                )
        for name, target in self.targets.items():
            self._check_target(name, target)
        if self.fusion:
            if "inner_folds" in self.fusion.fit_on and not self.inner_folds:
                raise ValueError(
                    "fusion.fit_on: `inner_folds` needs the study's key inner_folds, for instance {folds: 3}"
                )
            if "inner_folds" in self.fusion.fit_on and self.fusion.features == ["latents"]:
                raise ValueError("fusion.features: `latents` are not used with inner_folds; add another block")
            if all(target.kind == "multilabel" for target in self.targets.values()):
                raise ValueError("fusion: needs a multiclass target")
            for system in self.fusion.systems:
                _require_known("fusion.systems", system, [*self.systems, *self.ensembles])
                members = self.systems_of(system)
                targets = self.targets_of(self.systems[members[0]]).values()
                if all(target.kind == "multilabel" for target in targets):
                    raise ValueError(f"fusion.systems: {system!r} serves no multiclass target; leave it out")
                if leaky := [name for name in members if self.systems[name].training.select == "test"]:
                    raise ValueError(f"fusion.systems: test cases choose the epoch of {leaky[0]!r}; leave it out")
                for fit_on in {"validation", "train"} & set(self.fusion.fit_on):
                    for name in members:
                        if name in trained_on_validation:
                            raise ValueError(
                                f"fusion.fit_on: `{fit_on}` needs validation cases, on which {name!r} is trained too "
                                "(select: last); use inner_folds"
                            )
            if self.inner_folds and "uncertainty" in self.fusion.features:
                self._check_uncertainty()
        return self

    def _check_uncertainty(self) -> None:
        """Refuse a second stage that reads the uncertainty of fewer or more networks than score the test cases."""
        inner_networks = self.inner_folds.seeds * self.inner_folds.repeats
        for name in sorted({name for unit in self.fusion.systems for name in self.systems_of(unit)}):
            has_other_number = self.systems[name].training.seeds != inner_networks
            if self.inner_folds.bag or ("inner_folds" in self.fusion.fit_on and has_other_number):
                raise ValueError(
                    f"fusion.features: another number of networks of {name!r} scores the test cases than those that "
                    "the second stage is fitted to (inner_folds.bag; training.seeds, and inner_folds.seeds times "
                    "inner_folds.repeats), so that their `uncertainty` differs; leave it out"
                )

    def _check_pretraining(self, key: str, system: System) -> None:
        """Refuse a system whose network cannot start from the pre-training that it names."""
        name = system.network.pretraining
        if not name:
            return
        _require_known(f"{key}.network.pretraining", name, self.pretrainings)
        pretrained_network = self.pretrainings[name].network.name
        if pretrained_network != system.network.name:
            raise ValueError(
                f"{key}.network: {system.network.name!r} cannot start from {name!r}, which is {pretrained_network!r}"
            )

    def _check_extra_training(self, key: str, extra: ExtraTraining) -> None:
        """Refuse extra cases whose labels or frames do not fit those of the study."""
        self._check_same_frames(f"{key}.dataset", extra.dataset)
        if extra.dataset.name == self.dataset.name:
            raise ValueError(f"{key}.dataset.name: {extra.dataset.name!r} is the study's own data set")
        for name, label in extra.heads.items():
            _require_known(f"{key}.heads", name, heads_of(self.tasks))
            for head in [task.heads[name] for task in self.tasks.values() if name in task.heads]:
                known_words = {*head.classes, *head.positive} | ({"none"} if head.kind == "multilabel" else set())
                if head.kind == "binary":
                    targets = [target for target in self.targets.values() if target.label == head.label]
                    known_words |= {word for target in targets for word in target.classes}
                for word in label.words.values():
                    _require_known(f"{key}.heads.{name}.words", word, known_words)
        for name, system in self.systems.items():
            if not system.training.resident:
                raise ValueError(
                    f"{key}: several data sets are read from memory; set systems.{name}.training.resident: true"
                )
            if system.training.teacher:
                raise ValueError(f"{key}: the teacher of {name!r} does not answer for other data sets; leave it out")

    def _check_same_frames(self, key: str, dataset: Dataset) -> None:
        """Refuse another data set whose frames would mean something else than those of the study."""
        for field in ("rate_hz", "channels"):
            own, other = getattr(self.dataset, field), getattr(dataset, field)
            if own != other:
                raise ValueError(f"{key}.{field}: {other!r} is not the study's {own!r}, which its networks read")

    def _check_teacher(self, key: str, name: str, system: System) -> None:
        """Refuse a teacher without a network for the same cases, or one that knows cases which judge its student."""
        teacher_name = system.training.teacher.system
        _require_known(f"{key}.system", teacher_name, self.systems)
        teacher, select = self.systems[teacher_name], system.training.select
        if teacher_name == name or teacher.training.teacher:
            raise ValueError(f"{key}.system: {teacher_name!r} has a teacher itself; choose one that learns from labels")
        if missing := [task for task in system.tasks if task not in teacher.tasks]:
            raise ValueError(f"{key}.system: {teacher_name!r} is not trained for the task {missing[0]!r}")
        if teacher.training.select == "test":
            raise ValueError(f"{key}.system: test cases choose the epoch of {teacher_name!r}; choose another system")
        if teacher.training.select == "last" and select != "last":
            raise ValueError(
                f"{key}.system: {teacher_name!r} is trained on the validation cases too (select: last), which choose "
                f"the epoch of {name!r}; set select: last here too, or choose another system"
            )
        if teacher.segment.of == "case":
            raise ValueError(f"{key}.system: {teacher_name!r} reads cases, not recordings; choose another system")
        if system.training.patch_mix != "none":
            raise ValueError(f"{key}: there is no teacher for mixed patches; set patch_mix: none")
        if system.training.teacher.contrast and (system.training.augment.mixup or system.training.augment.cutmix):
            raise ValueError(f"{key}.contrast: a mixed window is of two recordings; switch mixup and cutmix off")

    def _check_columns(self, system: str) -> None:
        """Refuse heads and targets of a system whose names, joined with those of classes, name the same column."""
        column_of: dict[str, str] = {}
        for name, head in self.heads_of(self.systems[system]).items():
            for class_name in head.classes or [""]:
                column, text = name, f"head {name!r}"
                if class_name:
                    column, text = f"{name}_{class_name}", f"{text}, class {class_name!r}"
                if column in column_of:
                    raise ValueError(
                        f"systems.{system}.tasks: {column_of[column]} and {text} have the same column {column!r} in "
                        "the tables of outputs; give one of these heads another name"
                    )
                column_of[column] = text
        for name, target in self.targets.items():
            for class_name in target.classes:
                for kind in ("p", "variance"):
                    text = column_of.get(f"{name}:{class_name}".removeprefix(f"{kind}_"))
                    if text and name.startswith(f"{kind}_"):
                        raise ValueError(
                            f"targets.{name}: its class {class_name!r} has the same column as {text} in the tables of "
                            "outputs; give the target another name"
                        )

    def _check_ensembles(self) -> None:
        for name, ensemble in self.ensembles.items():
            members = ensemble.systems
            if name in self.systems:
                raise ValueError(f"ensembles.{name}: a system has this name; choose another")
            for member in members:
                _require_known(f"ensembles.{name}.systems", member, self.systems)
            selects = {member: self.systems[member].training.select for member in members}
            for member, select in selects.items():
                if select == "test":
                    raise ValueError(f"ensembles.{name}: test cases choose the epoch of {member!r}; leave it out")
                if ensemble.weigh == "validation" and (select == "last" or select != selects[members[0]]):
                    raise ValueError(
                        f"ensembles.{name}.weigh: `validation` needs the same training.select, not `last`, in all its "
                        f"systems; {member!r} has {select!r}"
                    )
            inner = self.inner_folds
            seeds = {member: self.systems[member].training.seeds for member in members}
            if inner and len(set(seeds.values())) > 1:
                raise ValueError(
                    f"ensembles.{name}.systems: with inner_folds, all need the same training.seeds ({seeds}): the "
                    "means to which thresholds are fitted have equally many networks of each"
                )
            if ensemble.weigh == "validation" and inner and (inner.bag or inner.repeats > 1):
                raise ValueError(
                    f"ensembles.{name}.weigh: `validation` compares scores on the same cases; it needs inner_folds "
                    "without repeats and bag"
                )
            first = self.systems[members[0]]
            for member in members[1:]:
                system = self.systems[member]
                for key, is_equal in (
                    ("tasks", system.tasks == first.tasks),
                    ("inference.pool", system.inference.pool == first.inference.pool),
                    ("inference.passes", system.inference.passes == first.inference.passes),
                ):
                    if not is_equal:
                        raise ValueError(f"ensembles.{name}: {members[0]!r} and {member!r} differ in {key}")

    def _check_target(self, name: str, target: Target) -> None:
        is_served = False
        for system in self.systems.values():
            heads = self.heads_of(system)
            if not set(target.heads) <= set(heads):
                continue
            is_served |= system.training.select != "test"
            kinds = [heads[head].kind for head in target.heads]
            if kinds == [target.kind]:
                head = heads[target.heads[0]]
                if (head.label, head.classes) != (target.label, target.classes):
                    raise ValueError(
                        f"targets.{name}.heads: label and classes of head {target.heads[0]!r} must be the target's, "
                        f"{target.label!r} and {target.classes}"
                    )
            elif target.kind != "multiclass" or set(kinds) != {"binary"} or len(kinds) != len(target.classes) - 1:
                raise ValueError(
                    f"targets.{name}.heads: needs one {target.kind} head, or a binary head for each of "
                    f"{target.classes[:-1]}; it has {kinds}"
                )
            else:
                for head, class_name in zip(target.heads, target.classes, strict=False):
                    if heads[head].label != target.label or heads[head].positive != [class_name]:
                        raise ValueError(
                            f"targets.{name}.heads: {head!r} stands for the class {class_name!r}: its label must be "
                            f"{target.label!r} and its positive [{class_name!r}]"
                        )
        if not is_served:
            raise ValueError(
                f"targets.{name}.heads: no system trains all of {target.heads}, not counting training.select: test"
            )

    def other_datasets(self) -> list[Dataset]:
        """Return the data sets, other than its own, that networks and encoders are trained on."""
        of_pretrainings = [dataset for each in self.pretrainings.values() for dataset in each.other_datasets()]
        return [*(extra.dataset for extra in self.extra_training), *of_pretrainings]

    def systems_of(self, name: str) -> list[str]:
        """Return the systems of an ensemble, or the system itself, as a list."""
        return self.ensembles[name].systems if name in self.ensembles else [name]

    def fused_encoders(self, name: str) -> list[str]:
        """Return those systems of a unit whose encoders' vectors its second stage reads, one for each front end."""
        if not self.fusion or "embeddings" not in self.fusion.features:
            return []
        with_encoder = [each for each in self.systems_of(name) if self.systems[each].front_end.name == "encoder"]
        front_ends = [self.systems[each].front_end for each in with_encoder]
        return [each for number, each in enumerate(with_encoder) if front_ends[number] not in front_ends[:number]]

    def weighed(self, name: str) -> bool:
        """Whether `name` is an ensemble whose networks are weighted by their validation scores."""
        return name in self.ensembles and self.ensembles[name].weigh == "validation"

    def heads_of(self, system: System) -> dict[str, Head]:
        """Return the heads of a system's networks by name, in the order of its tasks."""
        return heads_of({task: self.tasks[task] for task in system.tasks})

    def targets_of(self, system: System) -> dict[str, Target]:
        """Return the targets by name whose heads the system trains."""
        heads = self.heads_of(system)
        return {name: target for name, target in self.targets.items() if set(target.heads) <= set(heads)}


def _require_known(key: str, name: str, names: Any) -> None:
    """Raise ValueError, naming the key, unless `name` is one of `names`."""
    if name not in names:
        raise ValueError(f"{key}: {name!r} is not one of {sorted(names)}")
