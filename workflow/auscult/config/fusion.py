"""The second stage."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from auscult.config.base import Count, Name, Once, Positive, Seed, Strict

Weigh = Annotated[
    Literal["none", "target", "balanced"],
    Field(description="How rows count by their class: alike, by the target's weights, or so that classes count alike."),
]


class Booster(Strict):
    """XGBoost's settings."""

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
    """The plain learner beside XGBoost: logistic regression on ranks (missing: the median), L2-penalised."""

    c: Positive = Field(default=0.01, description="Inverse strength of the penalty.")
    weigh: Weigh = "balanced"


class Tuning(Strict):
    """Search for a learner's settings and blocks of features, by Optuna, on the cases that fit it."""

    trials: Count = Field(
        default=30, description="Trials per learner, target and fold; the first is the settings given."
    )
    minutes: Positive = Field(
        default=10.0, description="No new trial after so many minutes; results then depend on speed."
    )
    objective: Literal["log_loss", "w_acc"] = Field(
        default="log_loss", description="Of cross-fitted, calibrated probabilities; `w_acc`: of their decision `cost`."
    )
    folds: Annotated[int, Field(ge=2)] = Field(default=3, description="Folds by subject that score a trial.")


Feature = Literal[
    "probabilities",
    "uncertainty",
    "latents",
    "covariates",
    "statistics",
    "pooled_statistics",
    "descriptors",
    "adventitious",
]
Learner = Literal["xgboost", "logistic"]


class Fusion(Strict):
    """The second stage: one model per learner, system, target and fold."""

    systems: Annotated[list[Name], Once] = Field(min_length=1)
    learners: Annotated[list[Learner], Once] = Field(
        default=list(get_args(Learner)),
        min_length=1,
        description="Each is a stage of the tables by its name. `logistic`: logistic regression on ranks.",
    )
    fit_on: Annotated[list[Literal["inner_folds", "validation", "train"]], Once] = Field(
        default=["validation"],
        min_length=1,
        description="Cases whose outputs fit the learners. `inner_folds`: all cases that the fold does not judge, each "
        "scored by a network of an inner fold that never saw it; `validation`: the validation cases; `train`: the "
        "network's own training cases, which leaks and is marked in every table.",
    )
    features: Annotated[list[Feature], Once] = Field(
        default=[name for name in get_args(Feature) if name != "adventitious"],
        min_length=1,
        description="Blocks of features. `statistics`: of each site; `pooled_statistics`: mean, least and largest over "
        "a case's recordings; `adventitious`: wheezes and crackles. `latents` join only where one network scored all "
        "the cases, not with inner folds. Tuning always uses the first block.",
    )
    blend: bool = Field(
        default=False,
        description="A stage `blend` too: the geometric mean of the network's class probabilities and XGBoost's, which "
        "must be among the learners.",
    )
    latents: Count = Field(default=4, description="Principal components of the latents, fitted inside the fold.")
    missing_site: Literal["nan", "zero"] = Field(
        default="nan", description="Statistics of a site that was not recorded."
    )
    booster: Booster = Booster()
    logistic: Logistic = Logistic()
    tuning: Tuning | None = None

    @model_validator(mode="after")
    def _blends_with_xgboost(self) -> Fusion:
        if self.blend and "xgboost" not in self.learners:
            raise ValueError("blend takes the mean of the network and XGBoost: add xgboost to learners")
        return self
