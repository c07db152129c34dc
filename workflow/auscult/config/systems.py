"""Tasks and systems: what is learnt, from which frames, by which network, how it is trained and how it scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Count, Name, Once, Positive, Seed, Strict


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


def heads_of(tasks: dict[str, Task]) -> dict[str, Head]:
    """Heads of some tasks by name, in the order of the tasks."""
    return {name: head for task in tasks.values() for name, head in task.heads.items()}


class FrontEnd(Strict):
    """Samples to feature frames."""

    name: Name = Field(description="A front end of `workflow/auscult/features/front_ends`.")
    settings: dict[str, Any] = Field(default={}, description="Changes to its defaults.")


class Segment(Strict):
    """The fixed-length windows of a recording."""

    seconds: Positive = 4.0
    hop_s: Positive = Field(default=1.0, description="Step between windows when scoring (and training on windows).")


class Network(Strict):
    """Which network, and how large."""

    name: Name = Field(description="File in `workflow/auscult/networks`.")
    options: dict[str, Any] = Field(default={}, description="Options of that file, such as its sizes.")
    weights: str | None = Field(
        default=None,
        description="File of weights to start from (.safetensors or .pth). `<file>.json` beside it declares which "
        "data they heard; without it every table says that this is unknown.",
    )


class Augment(Strict):
    """Changes made to training batches only. 0 switches a change off."""

    mixup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Beta parameter of mixup.")
    cutmix: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Beta parameter of CutMix: a rectangle of each window comes from another."
    )
    cutmix_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the batches that get CutMix where `mixup` and `cutmix` are both on."
    )
    mix_from: Annotated[int, Field(ge=0)] = Field(default=0, description="Epoch from which mixup and CutMix act.")
    time_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="SpecAugment masks over time.")
    time_mask_s: Positive = Field(default=0.4, description="Longest mask over time, in seconds.")
    band_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="SpecAugment masks over bands.")
    band_mask: Count = Field(default=6, description="Widest mask over bands.")
    time_shift_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Longest shift along time, either way, in seconds; what leaves one end enters the other.",
    )
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
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Share of all steps over which the rate first rises from 0 (`one_cycle` rises by itself).",
    )
    sampling: Literal["crops", "windows"] = Field(
        default="crops",
        description="`crops`: random ones of each recording; `windows`: all windows, `hop_s` apart.",
    )
    crops: Count = Field(default=4, description="Random crops of each recording per epoch.")
    balance: Literal["none", "loss", "sampler"] = Field(
        default="loss", description="Rare classes: weighted in the loss, drawn more often, or neither."
    )
    patience: Count = Field(default=10, description="Epochs without a better validation score before stopping.")
    select: Literal["auroc", "loss", "balanced_accuracy", "last", "test"] = Field(
        default="auroc",
        description="Score of the validation cases that chooses the epoch; `last`: the last epoch is taken, and the "
        "validation cases train too; `test`: the epoch of the best balanced accuracy of the judged cases, as some "
        "publications have it: a leak, for comparison, marked in every table.",
    )
    augment: Augment = Augment()
    patch_mix: Literal["none", "labels", "contrast"] = Field(
        default="none",
        description="Patch-Mix, for networks of patches (`ast`): windows with patches of others, learnt by both "
        "labels, or told apart beside the unmixed ones' labels.",
    )
    gradient_norm: Positive = Field(default=5.0, description="Longer gradients are cut to this norm.")
    moving_average: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of each weight's old value that is kept after a step."
    )
    seed: Seed = 0
    seeds: Count = Field(default=1, description="Networks per task and fold; their outputs are averaged.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="`bfloat16`: autocast in training, on a GPU and on a processor that multiplies such numbers "
        "(AVX512-BF16); others compute in float32.",
    )
    compile: bool = Field(default=False, description="torch.compile the network for training; pays on long trainings.")
    deterministic: bool = Field(default=False, description="Deterministic kernels on a GPU (slower).")
    resident: bool = Field(
        default=True,
        description="Hold the features of the fold in memory; `false` reads them from the cache.",
    )


class Pool(Strict):
    """How probabilities of the parts become one."""

    segments: Literal["mean", "min", "max", "top_k", "noisy_or"] = "mean"
    recordings: Literal["mean", "min", "max", "top_k", "noisy_or"] = "mean"
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


class Ensemble(Strict):
    """Systems that are averaged: a row of every table, and a possible input of the fusion."""

    systems: Annotated[list[Name], Field(min_length=2), Once] = Field(
        description="They train the same tasks, pool alike and make the same number of passes."
    )
    weigh: Literal["equal", "validation"] = Field(
        default="equal",
        description="All networks count alike, or by the softmax of the validation scores that chose their epochs.",
    )
