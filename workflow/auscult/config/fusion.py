"""The second stage."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from auscult.config.base import Count, Name, Once, Positive, Seed, Strict


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


Feature = Literal["probabilities", "uncertainty", "latents", "covariates", "statistics", "descriptors"]


class Fusion(Strict):
    """The second stage: one booster per system, target and fold."""

    systems: Annotated[list[Name], Once] = Field(min_length=1)
    fit_on: Annotated[list[Literal["inner_folds", "validation", "train"]], Once] = Field(
        default=["validation"],
        min_length=1,
        description="Cases whose outputs fit the booster. `inner_folds`: all cases that the fold does not judge, each "
        "scored by a network of an inner fold that never saw it; `validation`: the validation cases; `train`: the "
        "network's own training cases, which leaks and is marked in every table.",
    )
    features: Annotated[list[Feature], Once] = Field(default=list(get_args(Feature)), min_length=1)
    latents: Count = Field(default=4, description="Principal components of the latents, fitted inside the fold.")
    missing_site: Literal["nan", "zero"] = Field(
        default="nan", description="Statistics of a site that was not recorded."
    )
    booster: Booster = Booster()
