"""The sections `tasks`, `pretrainings`, `systems` and `ensembles` of a study file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import ClassName, Count, Few, LabelColumn, Name, Positive, Seconds, Seed, Strict, Unique
from auscult.config.dataset import Dataset


class TrainOn(Strict):
    """A label of the recording to train on, instead of the label of its case."""

    column: str = Field(description="Column of recordings.csv.")
    positive: list[str] = Field(default=[], description="Values that are the positive class (binary heads).")


class Head(Strict):
    """One output of a network and the label that it is trained on."""

    label: LabelColumn = Field(description="Column of cases.csv.")
    kind: Literal["binary", "multiclass", "multilabel"] = "binary"
    positive: list[str] = Field(
        default=[], description="Values that are the positive class; all others are negative (binary)."
    )
    classes: list[ClassName] = Field(default=[], description="Classes in order (multiclass, multilabel).")
    train_on: TrainOn | None = Field(
        default=None, description="Label of the recording to train on instead of the label of the case."
    )

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
    """What one network is trained for: one head, or several heads on one network body."""

    heads: dict[Name, Head] = Field(min_length=1, description="Heads by name.")


def heads_of(tasks: dict[str, Task]) -> dict[str, Head]:
    """Heads of some tasks by name, in the order of the tasks."""
    return {name: head for task in tasks.values() for name, head in task.heads.items()}


class FrontEndConfig(Strict):
    """The computation of feature frames from samples."""

    name: Name = Field(description="A front end in `workflow/auscult/features/front_ends`.")
    settings: dict[str, Any] = Field(default={}, description="Settings that differ from the front end's defaults.")


class Segment(Strict):
    """Length and step of the windows into which recordings, or cases, are cut."""

    of: Literal["recording", "case"] = Field(
        default="recording",
        description="What a window is cut from. `case`: from all recordings of a case one after another, for networks "
        "that read cases; `seconds` should then be the length of the longest case, and labels are those of cases, also "
        "for heads with `train_on`.",
    )
    seconds: Seconds = Field(default=4.0, description="Length of a window.")
    hop_s: Seconds = Field(
        default=1.0,
        description="Step between windows in scoring, and in training with `sampling: windows`. In scoring, one more "
        "window ends with the recording where frames are left over.",
    )


class EncoderConfig(Strict):
    """The network that a pre-training trains, without its head."""

    name: Name = Field(description="File in `workflow/auscult/networks`.")
    options: dict[str, Any] = Field(default={}, description="Options of that file, such as its sizes.")


class NetworkConfig(EncoderConfig):
    """The network of a system, its sizes and its initial weights."""

    weights: str | None = Field(
        default=None,
        description="File of pretrained weights to start from (.safetensors or .pth). `<file>.json` beside it declares "
        "the data that they were trained on; without it, every table states that these are unknown.",
    )
    pretraining: Name | None = Field(
        default=None, description="Pre-training of the study whose encoder the network starts from."
    )
    frozen: bool = Field(
        default=False,
        description="Train the head alone: the encoder keeps the weights that it starts with, and its batch "
        "statistics, and has no dropout in training.",
    )

    @model_validator(mode="after")
    def _one_start(self) -> NetworkConfig:
        if self.weights and self.pretraining:
            raise ValueError("a network starts from `weights` or from a `pretraining`, not from both")
        return self


class Method(Strict):
    """How an encoder learns: without labels, or labels of other data sets."""

    name: Name = Field(description="File in `workflow/auscult/pretraining/methods`.")
    options: dict[str, Any] = Field(default={}, description="Options of that file.")


class Augment(Strict):
    """Random changes of training batches. 0 switches a change off."""

    mixup: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Beta parameter of mixup.")
    cutmix: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Beta parameter of CutMix: a rectangle of each window is replaced by that of another window.",
    )
    cutmix_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the batches that get CutMix if `mixup` and `cutmix` are both on."
    )
    mix_from: Annotated[int, Field(ge=0)] = Field(default=0, description="First epoch with mixup and CutMix.")
    time_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="Number of SpecAugment masks over time.")
    time_mask_s: Positive = Field(default=0.4, description="Longest mask over time, in seconds.")
    band_masks: Annotated[int, Field(ge=0)] = Field(default=0, description="Number of SpecAugment masks over bands.")
    band_mask: Count = Field(default=6, description="Widest mask over bands, in bands.")
    time_shift_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Longest shift in time, in both directions, in seconds; the window is rotated.",
    )
    gain: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Standard deviation of a random shift added to a log front end."
    )
    noise: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Standard deviation of added white noise.")


class Optimisation(Strict):
    """How the weights of a network are fitted. The defaults suit a small network on a laptop."""

    epochs: Count = 30
    batch: Count = 64
    optimiser: Literal["adam", "adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["constant", "cosine", "one_cycle"] = "one_cycle"
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Share of all steps in which the learning rate rises from 0 (`one_cycle` has a rise of its own).",
    )
    crops: Count = Field(default=4, description="Number of random crops of each recording per epoch.")
    augment: Augment = Augment()
    gradient_norm: Positive = Field(default=5.0, description="Gradients are clipped to this norm.")
    moving_average: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Moving average of the weights: share of the old value that is kept after each step."
    )
    seed: Seed = 0
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="`bfloat16`: autocast in training, on a GPU and on processors with bfloat16 multiplication "
        "(AVX512-BF16); other processors compute in float32.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the network by torch.compile, for long trainings on a GPU. It was slower on a CPU "
        "(docs/benchmarks.md).",
    )
    deterministic: bool = Field(default=False, description="Use deterministic kernels on a GPU (slower).")
    resident: bool = Field(
        default=True,
        description="Keep the features of the fold in memory; `false` reads them from the cache.",
    )

    @model_validator(mode="after")
    def _mixing_begins(self) -> Optimisation:
        if (self.augment.mixup or self.augment.cutmix) and self.augment.mix_from >= self.epochs:
            raise ValueError(f"augment.mix_from: {self.augment.mix_from} is not one of {self.epochs} epochs, from 0 on")
        return self


class Teacher(Strict):
    """What a network learns from a trained one beside the labels: its outputs, and its latents by contrast."""

    system: Name = Field(description="System whose network of the same task, fold, inner fold and seed is the teacher.")
    loss: Literal["binary", "softmax"] = Field(
        default="binary",
        description="Divergence between the outputs: of each output by itself, or of the softmax over all outputs of a "
        "head (published for MVMS-Net; it treats independent labels as if they excluded one another). A multiclass "
        "head always has the latter.",
    )
    weight: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Weight of this divergence in the loss.")
    label_weight: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Weight of the labels' loss.")
    temperature: Positive = Field(
        default=1.0, description="Both networks' logits are divided by it; the divergence is multiplied by its square."
    )
    contrast: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Weight of the contrast between both networks' latents (published for MVKT: 0.8)."
    )
    negatives: Count = Field(
        default=1024,
        description="Recordings without a common label that each recording is contrasted with; at most half of the "
        "training recordings.",
    )


class Training(Optimisation):
    """How a network is trained on labels."""

    sampling: Literal["crops", "windows"] = Field(
        default="crops",
        description="`crops`: random crops of each recording; `windows`: all windows, `hop_s` apart.",
    )
    balance: Literal["none", "loss", "sampler"] = Field(
        default="loss",
        description="Rare classes get more weight in the loss (`loss`), are drawn more often (`sampler`), or neither.",
    )
    patience: Count = Field(
        default=10, description="Training stops after this number of epochs without a better validation score."
    )
    select: Literal["auroc", "loss", "balanced_accuracy", "last", "test"] = Field(
        default="auroc",
        description="Score on the validation cases that chooses the epoch. `last`: take the last epoch, and train on "
        "the validation cases too. `test`: take the epoch with the best balanced accuracy on the test cases, as some "
        "publications do; this is a leak, only for comparison, and marked in every table.",
    )
    patch_mix: Literal["none", "labels", "contrast"] = Field(
        default="none",
        description="Patch-Mix, for networks with patches (`ast`): patches of a window are replaced by those of "
        "another. `labels`: the loss uses the labels of both windows; `contrast`: a contrastive loss on mixed windows "
        "is added to the loss of the unmixed ones.",
    )
    seeds: Few = Field(default=1, description="Number of networks per task and fold; their outputs are averaged.")
    labels: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of the training subjects whose labels are used, drawn at random by `seed`; the subjects of "
        "a smaller share are among those of a larger one.",
    )
    head_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of first epochs in which the head is trained alone."
    )
    encoder_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Learning rate of the encoder as a share of the head's."
    )
    teacher: Teacher | None = Field(default=None, description="A system that teaches this one.")

    @model_validator(mode="after")
    def _encoder_trains(self) -> Training:
        if self.head_epochs > self.epochs:
            raise ValueError(f"head_epochs: {self.head_epochs} is more than the {self.epochs} epochs; lower it")
        return self


class Pool(Strict):
    """How probabilities of windows are pooled to recordings, and those of recordings to cases."""

    segments: Literal["mean", "min", "max", "top_k", "noisy_or"] = Field(
        default="mean", description="From the windows of a recording to the recording."
    )
    recordings: Literal["mean", "min", "max", "top_k", "noisy_or"] = Field(
        default="mean", description="From the recordings of a case to the case."
    )
    k: Count = Field(default=3, description="Number of largest probabilities that `top_k` averages.")


class Inference(Strict):
    """How a trained network scores cases."""

    passes: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=30, description="Number of stochastic forward passes."
    )
    batch: Count = Field(default=512, description="Batch size: windows times passes.")
    pool: dict[Name, Pool] = Field(
        default={}, description="Pooling of each head; a head without an entry is pooled by means."
    )


class OtherDatasets(Strict):
    """Data sets other than the study's."""

    datasets: list[Dataset] = Field(min_length=1, description="Data sets, each described as `dataset` is.")


class Pretraining(Strict):
    """Training of an encoder that systems start from."""

    method: Method
    train_on: Literal["fold"] | OtherDatasets = Field(
        default="fold",
        description="Recordings to train on. `fold`: the training cases of each fold and inner fold, once for each; "
        "`{datasets: [...]}`: all recordings of other data sets, once for all folds.",
    )
    front_end: FrontEndConfig
    segment: Segment = Segment()
    network: EncoderConfig
    training: Optimisation = Optimisation()

    @model_validator(mode="after")
    def _of_recordings(self) -> Pretraining:
        if self.segment.of == "case":
            raise ValueError("segment.of: a pre-training reads windows of recordings; leave it out")
        if self.train_on != "fold" and len(self.train_on.datasets) > 1 and not self.training.resident:
            raise ValueError("training.resident: several data sets are read from memory; set it to true")
        return self

    def other_datasets(self) -> list[Dataset]:
        """The data sets that it is trained on; [] where it is trained on each fold of the study."""
        return [] if self.train_on == "fold" else self.train_on.datasets


class System(Strict):
    """A named combination of front end, network, training and inference settings."""

    tasks: list[Name] = Field(min_length=1, description="Tasks of the study; one network is trained for each.")
    front_end: FrontEndConfig
    segment: Segment = Segment()
    network: NetworkConfig
    training: Training = Training()
    inference: Inference = Inference()

    @model_validator(mode="after")
    def _fits_windows_of_cases(self) -> System:
        """Refuse settings that windows of cases do not have."""
        if self.segment.of != "case":
            return self
        for key, is_off, instead in (
            ("network.pretraining", not self.network.pretraining, "leave it out"),
            ("training.augment", self.training.augment == Augment(), "leave it out"),
            ("training.patch_mix", self.training.patch_mix == "none", "set it to none"),
            ("training.teacher", not self.training.teacher, "leave it out"),
            ("training.resident", self.training.resident, "set it to true"),
        ):
            if not is_off:
                raise ValueError(f"{key}: is for windows of recordings, and segment.of is `case`; {instead}")
        for name, pool in self.inference.pool.items():
            if pool.recordings == "noisy_or":
                raise ValueError(
                    f"inference.pool.{name}.recordings: with segment.of: case all recordings of a case have its "
                    "probability, and `noisy_or` would count it as often as there are recordings; take mean"
                )
        return self


class Ensemble(Strict):
    """The mean of the networks of several systems: it has rows in every table and can be an input of the fusion."""

    systems: Annotated[list[Name], Field(min_length=2), Unique] = Field(
        description="Systems to average. They must have the same tasks, pooling and number of passes."
    )
    weigh: Literal["equal", "validation"] = Field(
        default="equal",
        description="Weights of the networks: `equal`, or by the softmax of the validation scores that chose their "
        "epochs.",
    )
