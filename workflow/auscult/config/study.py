"""A study file as a whole, with the checks across its parts that need no data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Name, Once, Seed, Strict
from auscult.config.dataset import Dataset
from auscult.config.fusion import Fusion
from auscult.config.protocols import InnerFolds, Leak, Protocol
from auscult.config.systems import Ensemble, Head, System, Task, heads_of
from auscult.config.targets import Target


class Evaluation(Strict):
    """How the tables are made."""

    draws: Annotated[int, Field(ge=100)] = Field(default=2000, description="Bootstrap draws of subjects.")
    choose_by: Literal["w_acc", "uar", "both", "f", "auroc"] = Field(
        default="w_acc",
        description="Inner or validation score by which each fold chooses the row `chosen`; `both`: the mean of "
        "weighted accuracy and UAR; `f`: macro F1. A multilabel target has `f` and `auroc`; for the others the mean "
        "balanced accuracy of its classes counts.",
    )
    subgroups: Annotated[list[str], Once] = Field(
        default=[],
        description="The row `chosen` by groups of cases: a label, group or attribute column of cases.csv, a covariate "
        "(numbers of many values in thirds), or `site` (cases with a recording there).",
    )
    seed: Seed = 0


class Study(Strict):
    """One study: data set, protocol, tasks, systems, fusion, decisions."""

    description: str
    dataset: Dataset
    targets: dict[Name, Target] = Field(min_length=1)
    protocol: Protocol
    leak: Leak = Leak()
    inner_folds: InnerFolds | None = Field(
        default=None,
        description="Networks of inner folds choose thresholds and calibration, and fit the fusion, on cases that they "
        "never saw; without them the validation cases do, which also stopped the network.",
    )
    tasks: dict[Name, Task] = Field(min_length=1)
    systems: dict[Name, System] = Field(min_length=1)
    ensembles: dict[Name, Ensemble] = Field(default={}, description="Means of systems, by a name of their own.")
    fusion: Fusion | None = None
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _cross_references(self) -> Study:
        for name, system in self.systems.items():
            for task in system.tasks:
                _known(f"systems.{name}.tasks", task, self.tasks)
            heads = [head for task in system.tasks for head in self.tasks[task].heads]
            if twice := {h for h in heads if heads.count(h) > 1}:
                raise ValueError(f"systems.{name}.tasks: the head {min(twice)!r} is in two of its tasks")
            for head in system.inference.pool:
                _known(f"systems.{name}.inference.pool", head, heads)
        if "chosen" in {*self.systems, *self.ensembles}:
            raise ValueError("systems: `chosen` is the name of a row of the tables; take another")
        self._check_ensembles()
        last = [name for name, system in self.systems.items() if system.training.select == "last"]
        if last and not self.inner_folds:
            raise ValueError(
                f"systems.{last[0]}.training.select: with `last` the validation cases train too; the study needs "
                "inner_folds to choose thresholds, as {folds: 3}"
            )
        for name, system in self.systems.items():
            if system.training.select == "test" and self.inner_folds and self.inner_folds.bag:
                raise ValueError(
                    f"systems.{name}.training.select: with `test` each network takes its own judged cases' best epoch, "
                    "which for those of inner folds are others; it needs inner_folds.bag: false"
                )
        for name, target in self.targets.items():
            self._check_target(name, target)
        if self.fusion:
            if "inner_folds" in self.fusion.fit_on and not self.inner_folds:
                raise ValueError("fusion.fit_on: `inner_folds` needs the study's key inner_folds, as {folds: 3}")
            if "inner_folds" in self.fusion.fit_on and self.fusion.features == ["latents"]:
                raise ValueError("fusion.features: `latents` alone leave nothing to fit on inner_folds; add a block")
            if all(target.kind == "multilabel" for target in self.targets.values()):
                raise ValueError("fusion: needs a multiclass target")
            for system in self.fusion.systems:
                _known("fusion.systems", system, [*self.systems, *self.ensembles])
                parts = self.systems_of(system)
                served = self.targets_of(self.systems[parts[0]]).values()
                if all(target.kind == "multilabel" for target in served):
                    raise ValueError(f"fusion.systems: {system!r} serves no multiclass target; leave it out")
                if leaky := [name for name in parts if self.systems[name].training.select == "test"]:
                    raise ValueError(f"fusion.systems: judged cases choose the epoch of {leaky[0]!r}; leave it out")
                trained = [name for name in parts if name in last]
                if trained and "validation" in self.fusion.fit_on:
                    raise ValueError(
                        f"fusion.fit_on: `validation` cases train {trained[0]!r} too (select: last); take inner_folds"
                    )
            if self.inner_folds and self.inner_folds.bag and "uncertainty" in self.fusion.features:
                raise ValueError(
                    "fusion.features: with inner_folds.bag more networks score the judged cases than those that the "
                    "second stage is fitted on, and so `uncertainty` is not the same number; leave it out"
                )
        return self

    def _check_ensembles(self) -> None:
        for name, ensemble in self.ensembles.items():
            members = ensemble.systems
            if name in self.systems:
                raise ValueError(f"ensembles.{name}: a system has this name; take another")
            for member in members:
                _known(f"ensembles.{name}.systems", member, self.systems)
            selects = {member: self.systems[member].training.select for member in members}
            for member, select in selects.items():
                if select == "test":
                    raise ValueError(f"ensembles.{name}: judged cases choose the epoch of {member!r}; leave it out")
                if ensemble.weigh == "validation" and (select == "last" or select != selects[members[0]]):
                    raise ValueError(
                        f"ensembles.{name}.weigh: `validation` needs one training.select, not `last`, of all its "
                        f"systems; {member!r} has {select!r}"
                    )
            inner = self.inner_folds
            if ensemble.weigh == "validation" and inner and (inner.bag or inner.repeats > 1):
                raise ValueError(
                    f"ensembles.{name}.weigh: `validation` compares scores of the same cases; it needs inner_folds "
                    "without repeats and bag"
                )
            first, *others = (self.systems[member] for member in members)
            for member, other in zip(members[1:], others, strict=True):
                for what, one, two in (
                    ("tasks", first.tasks, other.tasks),
                    ("inference.pool", first.inference.pool, other.inference.pool),
                    ("inference.passes", first.inference.passes, other.inference.passes),
                ):
                    if one != two:
                        raise ValueError(f"ensembles.{name}: {members[0]!r} and {member!r} differ in {what}")

    def _check_target(self, name: str, target: Target) -> None:
        served = False
        for system in self.systems.values():
            heads = self.heads_of(system)
            if not set(target.heads) <= set(heads):
                continue
            served |= system.training.select != "test"
            kinds = [heads[h].kind for h in target.heads]
            if kinds == [target.kind]:
                if heads[target.heads[0]].classes != target.classes:
                    raise ValueError(
                        f"targets.{name}.heads: the classes of head {target.heads[0]!r} are not the target's"
                    )
            elif target.kind != "multiclass" or set(kinds) != {"binary"} or len(kinds) != len(target.classes) - 1:
                raise ValueError(
                    f"targets.{name}.heads: needs one {target.kind} head, or a binary head for each of "
                    f"{target.classes[:-1]}; it has {kinds}"
                )
            else:
                for head, wanted in zip(target.heads, target.classes, strict=False):
                    if heads[head].label != target.label or heads[head].positive != [wanted]:
                        raise ValueError(
                            f"targets.{name}.heads: {head!r} stands for the class {wanted!r}: its label must be "
                            f"{target.label!r} and its positive [{wanted!r}]"
                        )
        if not served:
            raise ValueError(
                f"targets.{name}.heads: no system trains all of {target.heads}, not counting training.select: test"
            )

    def systems_of(self, name: str) -> list[str]:
        """The systems of an ensemble, or a system alone."""
        return self.ensembles[name].systems if name in self.ensembles else [name]

    def weighed(self, name: str) -> bool:
        """Whether a name is that of an ensemble whose networks count by their validation scores."""
        return name in self.ensembles and self.ensembles[name].weigh == "validation"

    def heads_of(self, system: System) -> dict[str, Head]:
        """Heads of a system's networks by name, in the order of its tasks."""
        return heads_of({task: self.tasks[task] for task in system.tasks})

    def targets_of(self, system: System) -> dict[str, Target]:
        """Targets whose heads the system trains."""
        heads = self.heads_of(system)
        return {name: target for name, target in self.targets.items() if set(target.heads) <= set(heads)}


def _known(where: str, name: str, names: Any) -> None:
    if name not in names:
        raise ValueError(f"{where}: {name!r} is not one of {sorted(names)}")
