"""The section `fusion` of a study file: the second stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from auscult.config.base import Count, Folds, Name, Positive, Seed, Strict, Unique

Weigh = Annotated[
    Literal["none", "target", "balanced"],
    Field(
        description="Weight of a case by its class. `none`: equal weights; `target`: the target's weights; `balanced`: "
        "the same total weight for each class."
    ),
]


class Booster(Strict):
    """Settings of XGBoost."""

    rounds: Count = 100
    max_depth: Annotated[int, Field(ge=1, le=8)] = 3
    learning_rate: Positive = 0.05
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    colsample: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_child_weight: Positive = 2.0
    reg_lambda: Positive = 2.0
    weigh: Weigh = "target"
    seed: Seed = 0


class Logistic(Strict):
    """Settings of the logistic regression, on ranks of the features (missing: the median), with an L2 penalty."""

    c: Positive = Field(default=0.01, description="Inverse of the penalty's strength.")
    weigh: Weigh = "balanced"


class Logits(Strict):
    """Settings of the regression on logits: a multinomial logistic regression with an L2 penalty."""

    c: Positive = Field(default=1.0, description="Inverse of the penalty's strength.")
    weigh: Weigh = "none"


class Tuning(Strict):
    """Search of a learner's settings and feature blocks by Optuna, on the cases that the learner is fitted to.

    `logits` is not tuned.
    """

    trials: Count = Field(
        default=30,
        description="Trials per learner but `logits`, target and fold. The first trial has the settings of the study.",
    )
    minutes: Positive = Field(
        default=10.0, description="No new trial starts after this time; results then depend on the machine's speed."
    )
    objective: Literal["log_loss", "w_acc"] = Field(
        default="log_loss",
        description="Score of a trial, on cross-fitted, calibrated probabilities; `w_acc`: weighted accuracy of the "
        "decision `cost`.",
    )
    folds: Folds = Field(default=3, description="Number of folds over subjects that score a trial.")


Feature = Literal[
    "probabilities",
    "uncertainty",
    "latents",
    "covariates",
    "statistics",
    "pooled_statistics",
    "descriptors",
    "adventitious",
    "adventitious_of_file",
    "embeddings",
]
Learner = Literal["xgboost", "logistic", "logits"]
_ONLY_WHERE_NAMED = ("adventitious", "adventitious_of_file", "embeddings")


class Fusion(Strict):
    """The second stage: one model per learner, system, target and fold, on outputs of networks and other features."""

    systems: Annotated[list[Name], Unique] = Field(
        min_length=1, description="Systems and ensembles whose outputs the learners read."
    )
    learners: Annotated[list[Learner], Unique] = Field(
        default=["xgboost", "logistic"],
        min_length=1,
        description="Each learner is a stage of the tables with its name. `logistic`: logistic regression on ranks; "
        "`logits`: logistic regression on the logits of the case's probabilities of all heads, and nothing else.",
    )
    fit_on: Annotated[list[Literal["inner_folds", "validation", "train"]], Unique] = Field(
        default=["validation"],
        min_length=1,
        description="Cases that the learners are fitted to. `inner_folds`: all training and validation cases of the "
        "fold, each scored by a network of an inner fold that was not trained on it; `validation`: the validation "
        "cases; `train`: the network's own training cases, which leaks and is marked in every table.",
    )
    features: Annotated[list[Feature], Unique] = Field(
        default=[name for name in get_args(Feature) if name not in _ONLY_WHERE_NAMED],
        min_length=1,
        description="Blocks of features. `statistics`: of each site; `pooled_statistics`: mean, minimum and maximum "
        "over a case's recordings; `adventitious`: wheezes and crackles; `adventitious_of_file`: their mean over all "
        "recordings that are cut from the same file; `embeddings`: mean vectors of the front ends `encoder` of the "
        "systems. `latents` are used only where one network scored all the cases, not with inner folds. Tuning "
        "always uses the first block.",
    )
    blend: bool = Field(
        default=False,
        description="Add a stage `blend`: the geometric mean of the class probabilities of the network and of XGBoost, "
        "which must be among the learners.",
    )
    latents: Count = Field(
        default=4, description="Number of principal components of the latents, fitted inside the fold."
    )
    embeddings: Count = Field(
        default=16, description="Number of principal components of the mean vectors, fitted inside the fold."
    )
    missing_site: Literal["nan", "zero"] = Field(
        default="nan", description="Value of the statistics of a site that was not recorded."
    )
    booster: Booster = Booster()
    logistic: Logistic = Logistic()
    logits: Logits = Logits()
    every_target: bool = Field(
        default=False,
        description="Predict every multiclass target of the study by each system or ensemble, also targets whose heads "
        "it does not train. Else only the targets of its heads.",
    )
    tuning: Tuning | None = None

    @model_validator(mode="after")
    def _learners_have_what_they_read(self) -> Fusion:
        if self.blend and "xgboost" not in self.learners:
            raise ValueError("blend: needs the learner xgboost; add xgboost to learners")
        if "logits" in self.learners and "probabilities" not in self.features:
            raise ValueError("learners: `logits` reads probabilities; add probabilities to features")
        return self

    def tables_of(self, tables: Iterable[str]) -> list[str]:
        """Those of the tables of numbers about recordings that the blocks are made of."""
        tables_of_blocks = {feature.removeprefix("pooled_").removesuffix("_of_file") for feature in self.features}
        return [table for table in tables if table in tables_of_blocks]
