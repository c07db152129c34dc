"""Models of everything in config/: what a study file may say, and the checks that need no data.

Options of a data set's adapter, a front end or a network are declared in that plug-in's own file
(`plugins.py` checks them); all else is declared here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _each_once(values: list) -> list:
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]!r} is named twice")
    return values


Once = AfterValidator(_each_once)


class Strict(BaseModel):
    """Base of all models: unknown keys, infinity and NaN are refused, values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---------------------------------------------------------------- data


class Dataset(Strict):
    """Which recordings, read by which adapter."""

    name: Name = Field(description="Folder under `results/datasets` and `results/cache`; shared by all studies.")
    adapter: Name = Field(description="File in `workflow/auscult/datasets` that reads the raw release.")
    root: str = Field(description="Folder of the raw release; `--config root=DIR` points to a copy.")
    options: dict[str, Any] = Field(default={}, description="Options of the adapter.")
    rate_hz: Count = Field(default=4000, description="Every recording is resampled to this rate once.")
    channels: Literal["mean", "all"] = Field(
        default="mean", description="`mean`: channels are averaged to one; `all`: every channel is kept."
    )
    sample_format: Literal["int16", "float32"] = Field(
        default="int16", description="How samples are cached; `float32` for signals that are not within ±1."
    )
    short_s: Positive = Field(default=4.0, description="Shorter recordings get a row `short` in quality.csv.")
    shards: Count = Field(default=16, description="HDF5 files per cache.")


class Referral(Strict):
    """Who is sent on to an expert, and who should have been: the truth of the Challenge cost."""

    classes: list[str] = Field(min_length=1, description="Predicted classes that refer the case.")
    label: str = Field(description="Column of cases.csv that says who should be referred.")
    positive: list[str] = Field(min_length=1, description="Values of that column that should be referred.")


class Target(Strict):
    """What is decided and scored."""

    label: str = Field(description="Column of cases.csv.")
    kind: Literal["multiclass", "multilabel"] = "multiclass"
    classes: list[str] = Field(
        min_length=2, description="In order: the decision `reference` asks for the first class first."
    )
    weights: list[Positive] | None = Field(
        default=None, description="Weight of each true class in weighted accuracy and `cost`; default 1 each."
    )
    heads: list[Name] = Field(
        description="Heads that serve it: one multiclass or multilabel head, or a binary head for each class but "
        "the last, asked in that order."
    )
    decisions: Annotated[list[Literal["reference", "any_recording", "cost"]], Once] = Field(
        default=["reference", "cost"], min_length=1, description="Rules from probabilities to a class."
    )
    referral: Referral | None = Field(default=None, description="Gives the column `cost`.")

    @model_validator(mode="after")
    def _fits(self) -> Target:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: {self.classes} names a class twice")
        if self.weights is not None and len(self.weights) != len(self.classes):
            raise ValueError(f"weights: {len(self.weights)} weights for {len(self.classes)} classes")
        if self.referral and (unknown := set(self.referral.classes) - set(self.classes)):
            raise ValueError(f"referral.classes: {sorted(unknown)} not among the classes {self.classes}")
        if self.kind == "multilabel" and set(self.decisions) - {"reference"}:
            raise ValueError("decisions: a multilabel target is decided by `reference` (0.5 for each class)")
        return self

    def class_weights(self) -> list[float]:
        """Weights of the true classes, 1 each when none are given."""
        return self.weights or [1.0] * len(self.classes)


# ---------------------------------------------------------------- protocols


class _Drawn(Strict):
    seed: Seed = Field(default=0, description="Seed of the draw.")
    val: Fraction = Field(default=0.2, description="Share of the non-test cases that validate.")
    stratify: list[str] | None = Field(
        default=None, description="Label columns kept in proportion; default: the labels of all targets."
    )


class GroupCV(_Drawn):
    """Stratified folds that never split a group; validation drawn by group from the rest."""

    name: Literal["group_cv"]
    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Count = Field(default=1, description="Draws of all folds, each with the next seed.")
    group: str = Field(default="subject", description="Column of cases.csv that is never split.")


class CV10(Strict):
    """The published ten folds (by case, not by subject: expect a leak)."""

    name: Literal["cv10"]
    stratified: bool = Field(default=False, description="Stratify by the labels of all targets.")
    val: Fraction = Field(default=0.2, description="`vali_size` of the published code.")
    test: Fraction = Field(default=0.2, description="`test_size` of the published code: only in val/(1-test).")

    @model_validator(mode="after")
    def _leaves_train(self) -> CV10:
        return _leaves_train(self)


class Walker(Strict):
    """The published hold-out (by case, stratified by murmur and outcome: expect a leak)."""

    name: Literal["walker"]
    seeds: Annotated[list[Seed], Once] = Field(default=[42], min_length=1, description="One repeat per seed.")
    val: Fraction = 0.16
    test: Fraction = 0.2
    stratify: list[str] | None = Field(
        default=None, description="Label columns kept in proportion; default: the labels of all targets."
    )

    @model_validator(mode="after")
    def _leaves_train(self) -> Walker:
        return _leaves_train(self)


class M2D3(Strict):
    """The three published lists in resources/splits, each a repeat (by case: expect a leak)."""

    name: Literal["m2d3"]
    lists: Annotated[list[Literal[1, 2, 3]], Once] = Field(default=[1, 2, 3], min_length=1)


class Fixed(_Drawn):
    """Roles from a CSV `case, role` (optionally `repeat, fold`); without `val` it is drawn from train."""

    name: Literal["fixed"]
    file: str = Field(description="The CSV, from the repository root.")
    group: str = Field(default="subject", description="Column of cases.csv that the drawn `val` never splits.")


class Column(Strict):
    """Roles from a fold column of cases.csv."""

    name: Literal["column"]
    column: str
    val: list[str] = Field(min_length=1, description="Values whose cases validate.")
    test: list[str] = Field(min_length=1, description="Values whose cases are judged.")

    @model_validator(mode="after")
    def _apart(self) -> Column:
        if both := set(self.val) & set(self.test):
            raise ValueError(f"test: {min(both)!r} is in `val` too")
        return self


def _leaves_train(protocol: Any) -> Any:
    if protocol.val + protocol.test >= 1:
        raise ValueError(f"val: {protocol.val:g} and test {protocol.test:g} leave nothing to train on")
    return protocol


Protocol = Annotated[GroupCV | CV10 | Walker | M2D3 | Fixed | Column, Field(discriminator="name")]


class Leak(Strict):
    """What to do when the audit finds a leak: stop, unless the study says why not."""

    allow: bool = False
    because: str = ""

    @model_validator(mode="after")
    def _reasoned(self) -> Leak:
        if self.allow and not self.because.strip():
            raise ValueError("because: say why the leak is allowed; every table will carry the mark")
        return self


# ---------------------------------------------------------------- networks


class TrainOn(Strict):
    """A label of the recording to train on in place of the case's label."""

    column: str = Field(description="Column of recordings.csv.")
    positive: list[str] = Field(default=[], description="Values that are positive (binary heads).")


class Head(Strict):
    """One output of a network, with what it learns."""

    label: str = Field(description="Column of cases.csv.")
    kind: Literal["binary", "multiclass", "multilabel"] = "binary"
    positive: list[str] = Field(default=[], description="Values that are positive, against the rest (binary).")
    classes: list[str] = Field(default=[], description="Classes in order (multiclass, multilabel).")
    train_on: TrainOn | None = Field(default=None, description="Label of the recording to train on instead.")

    @model_validator(mode="after")
    def _complete(self) -> Head:
        if self.kind == "binary" and (not self.positive or self.classes):
            raise ValueError("a binary head needs `positive`, and no `classes`")
        if self.kind != "binary" and (len(self.classes) < 2 or self.positive):
            raise ValueError(f"a {self.kind} head needs at least two `classes`, and no `positive`")
        if self.train_on and (self.kind == "binary") != bool(self.train_on.positive):
            raise ValueError("train_on: needs `positive` for a binary head, and has none for others")
        return self

    @property
    def outputs(self) -> int:
        """Columns of the network's output that belong to this head."""
        return 1 if self.kind == "binary" else len(self.classes)


class Task(Strict):
    """What one network learns: one head, or several on one body."""

    heads: dict[Name, Head] = Field(min_length=1)


class FrontEnd(Strict):
    """Samples to feature frames."""

    name: Name = Field(description="A front end of `workflow/auscult/features`.")
    settings: dict[str, Any] = Field(default={}, description="Changes to its defaults.")


class Segment(Strict):
    """The fixed-length windows of a recording."""

    seconds: Positive = 4.0
    hop_s: Positive = Field(default=1.0, description="Step between windows when scoring (and training on windows).")


class Network(Strict):
    """Which network, and how large."""

    name: Name = Field(description="File in `workflow/auscult/networks`.")
    options: dict[str, Any] = Field(default={}, description="Options of that file, such as its sizes.")


class Augment(Strict):
    """Changes made to training batches only. 0 switches a change off."""

    mixup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Beta parameter of mixup.")
    time_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="SpecAugment masks over time.")
    time_mask_s: Positive = Field(default=0.4, description="Longest mask over time, in seconds.")
    band_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="SpecAugment masks over bands.")
    band_mask: Count = Field(default=6, description="Widest mask over bands.")
    gain: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Standard deviation of a random shift added to a log front end."
    )
    noise: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Standard deviation of added white noise.")


class Training(Strict):
    """How a network is fitted. Defaults: a small network on a laptop."""

    epochs: Count = 30
    batch: Count = 64
    optimiser: Literal["adam", "adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    sampling: Literal["crops", "windows"] = Field(
        default="crops",
        description="`crops`: random ones of each recording; `windows`: all windows, `hop_s` apart.",
    )
    crops: Count = Field(default=4, description="Random crops of each recording per epoch.")
    balance: Literal["none", "loss", "sampler"] = Field(
        default="loss", description="Rare classes: weighted in the loss, drawn more often, or neither."
    )
    patience: Count = Field(default=10, description="Epochs without a better validation score before stopping.")
    select: Literal["auroc", "loss", "balanced_accuracy"] = Field(
        default="auroc", description="Score of the validation cases that chooses the epoch."
    )
    augment: Augment = Augment()
    seed: Seed = 0
    seeds: Count = Field(default=1, description="Networks per task and fold; their outputs are averaged.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="`bfloat16`: autocast on a GPU; a CPU always computes in float32."
    )
    deterministic: bool = Field(default=False, description="Deterministic kernels on a GPU (slower).")
    resident: bool = Field(
        default=True,
        description="Hold the features of the fold in memory; `false` reads them from the cache.",
    )


class Pool(Strict):
    """How probabilities of the parts become one."""

    segments: Literal["mean", "max", "top_k", "noisy_or"] = "mean"
    recordings: Literal["mean", "max", "top_k", "noisy_or"] = "mean"
    k: Count = Field(default=3, description="Number averaged by `top_k`.")


class Inference(Strict):
    """How a trained network scores cases."""

    passes: Count = Field(default=30, description="Stochastic forward passes.")
    batch: Count = Field(default=512, description="Windows times passes in one batch.")
    pool: dict[Name, Pool] = Field(default={}, description="Per head; a head without an entry takes the means.")


class System(Strict):
    """Front end, network, training and inference, by name in a study."""

    tasks: list[Name] = Field(min_length=1, description="Tasks of the study that it trains: one network each.")
    front_end: FrontEnd
    segment: Segment = Segment()
    network: Network
    training: Training = Training()
    inference: Inference = Inference()


# ---------------------------------------------------------------- fusion and evaluation


class Booster(Strict):
    """XGBoost's settings."""

    rounds: Count = 100
    max_depth: Annotated[int, Field(ge=1, le=8)] = 3
    learning_rate: Positive = 0.05
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    colsample: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_child_weight: Annotated[float, Field(ge=0)] = 2.0
    reg_lambda: Annotated[float, Field(ge=0)] = 2.0
    weighted: bool = Field(default=True, description="Weight rows by the target's class weights.")
    seed: Seed = 0


Feature = Literal["probabilities", "uncertainty", "latents", "covariates", "statistics"]


class Fusion(Strict):
    """The second stage: one booster per system, target and fold."""

    systems: Annotated[list[Name], Once] = Field(min_length=1)
    fit_on: Annotated[list[Literal["validation", "train"]], Once] = Field(
        default=["validation"],
        min_length=1,
        description="Cases whose outputs fit the booster. `train`: the network's own training cases, which leaks "
        "and is marked in every table.",
    )
    features: Annotated[list[Feature], Once] = Field(default=list(get_args(Feature)), min_length=1)
    latents: Count = Field(default=4, description="Principal components of the latents, fitted inside the fold.")
    missing_site: Literal["nan", "zero"] = Field(
        default="nan", description="Statistics of a site that was not recorded."
    )
    booster: Booster = Booster()


class Evaluation(Strict):
    """How the tables are made."""

    draws: Annotated[int, Field(ge=100)] = Field(default=2000, description="Bootstrap draws of subjects.")
    choose_by: Literal["w_acc", "uar", "auroc"] = Field(
        default="w_acc", description="Validation score by which each fold chooses the row `chosen`."
    )
    seed: Seed = 0


class Study(Strict):
    """One study: data set, protocol, tasks, systems, fusion, decisions."""

    description: str
    dataset: Dataset
    targets: dict[Name, Target] = Field(min_length=1)
    protocol: Protocol
    leak: Leak = Leak()
    tasks: dict[Name, Task] = Field(min_length=1)
    systems: dict[Name, System] = Field(min_length=1)
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
        if "chosen" in self.systems:
            raise ValueError("systems: `chosen` is the name of a row of the tables; take another")
        for name, target in self.targets.items():
            self._check_target(name, target)
        if self.fusion:
            for system in self.fusion.systems:
                _known("fusion.systems", system, self.systems)
            if all(target.kind == "multilabel" for target in self.targets.values()):
                raise ValueError("fusion: needs a multiclass target")
        return self

    def _check_target(self, name: str, target: Target) -> None:
        served = False
        for system in self.systems.values():
            heads = self.heads_of(system)
            if not set(target.heads) <= set(heads):
                continue
            served = True
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
            raise ValueError(f"targets.{name}.heads: no system trains all of {target.heads}")

    def heads_of(self, system: System) -> dict[str, Head]:
        """Heads of a system's networks by name, in the order of its tasks."""
        return {name: head for task in system.tasks for name, head in self.tasks[task].heads.items()}

    def targets_of(self, system: System) -> dict[str, Target]:
        """Targets whose heads the system trains."""
        heads = self.heads_of(system)
        return {name: target for name, target in self.targets.items() if set(target.heads) <= set(heads)}

    def stratify_labels(self) -> list[str]:
        """Label columns that folds are stratified by."""
        given = getattr(self.protocol, "stratify", None)
        return given or list(dict.fromkeys(target.label for target in self.targets.values()))


class Tracking(Strict):
    """Where MLflow writes."""

    uri: str = "sqlite:///results/mlflow.db"


class Settings(Strict):
    """config/config.yaml, and what `--config` may change."""

    studies: list[str] = Field(min_length=1, description="Names of files in config/studies; or `a,b`.")
    root: str | None = Field(default=None, description="Folder of the raw release in place of the study's own.")
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("studies"), str):
            values = {**values, "studies": [s for s in values["studies"].split(",") if s]}
        return values


def _known(where: str, name: str, names: Any) -> None:
    if name not in names:
        raise ValueError(f"{where}: {name!r} is not one of {sorted(names)}")
