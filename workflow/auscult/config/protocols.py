"""The sections `protocol`, `inner_folds` and `leak` of a study file: the role of every case in every fold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Few, Folds, Fraction, Seed, Strict, Unique


class _RandomDraw(Strict):
    seed: Seed = Field(default=0, description="Seed of the draw.")
    val: Fraction = Field(default=0.2, description="Share of the non-test cases that become validation cases.")
    stratify: list[str] | None = Field(
        default=None, description="Label columns whose classes stay in proportion; default: the labels of all targets."
    )


class GroupCV(_RandomDraw):
    """Stratified folds that keep every group together; validation cases are drawn by group from the non-test cases."""

    name: Literal["group_cv"]
    folds: Folds = Field(default=5, description="Number of folds.")
    repeats: Few = Field(default=1, description="Number of draws of all folds, each with the next seed.")
    group: str = Field(
        default="subject", description="Column of cases.csv; all cases with the same value get the same role."
    )


class CV10(Strict):
    """The published ten folds of DBRes. They are drawn by case, not by subject: expect a leak."""

    name: Literal["cv10"]
    stratified: bool = Field(default=False, description="Keep the labels of all targets in proportion.")
    val: Fraction = Field(default=0.2, description="`vali_size` of the published scripts.")
    test: Fraction = Field(default=0.2, description="`test_size` of the published code; used only in val/(1-test).")

    @model_validator(mode="after")
    def _has_training_cases(self) -> CV10:
        return _require_training_cases(self)


class Walker(Strict):
    """The published hold-out set of DBRes, drawn by case, stratified by murmur and outcome: expect a leak."""

    name: Literal["walker"]
    seeds: Annotated[list[Seed], Unique] = Field(default=[42], min_length=1, description="One repeat per seed.")
    val: Fraction = Field(default=0.16, description="Share of all cases that become validation cases.")
    test: Fraction = Field(default=0.2, description="Share of all cases that become test cases.")
    stratify: list[str] | None = Field(
        default=None, description="Label columns whose classes stay in proportion; default: the labels of all targets."
    )

    @model_validator(mode="after")
    def _has_training_cases(self) -> Walker:
        return _require_training_cases(self)


class M2D3(Strict):
    """The three published lists of M2D in resources/splits, each a repeat. They split by case: expect a leak."""

    name: Literal["m2d3"]
    lists: Annotated[list[Literal[1, 2, 3]], Unique] = Field(
        default=[1, 2, 3], min_length=1, description="Numbers of the lists."
    )


class Fixed(_RandomDraw):
    """Roles from a CSV `case, role` (optionally `repeat, fold`). Without `val` it is drawn from train."""

    name: Literal["fixed"]
    file: str = Field(description="Path of the CSV, relative to the repository root.")
    group: str = Field(
        default="subject",
        description="Column of cases.csv; drawn validation cases never share its values with training cases.",
    )


class Column(Strict):
    """Roles from a column of cases.csv, such as the folds of a release."""

    name: Literal["column"]
    column: str = Field(description="The column of cases.csv.")
    val: list[str] = Field(
        default=[], description="Values whose cases are validation cases; if empty, these are drawn."
    )
    test: list[str] = Field(min_length=1, description="Values whose cases are test cases.")
    draw: Fraction = Field(
        default=0.2, description="Share of the non-test cases that become validation cases if `val` is empty."
    )
    seed: Seed = Field(default=0, description="Seed of that draw.")
    group: str = Field(
        default="subject",
        description="Column of cases.csv; drawn validation cases never share its values with training cases.",
    )
    stratify: list[str] | None = Field(
        default=None, description="Label columns whose classes stay in proportion; default: the labels of all targets."
    )

    @model_validator(mode="after")
    def _disjoint(self) -> Column:
        if overlap := set(self.val) & set(self.test):
            raise ValueError(f"test: {min(overlap)!r} is in `val` too")
        return self


class InnerFolds(Strict):
    """Inner cross-validation of the training and validation cases of every fold. Its networks score the held-out cases;
    thresholds, calibration and the second stage are fitted to these out-of-fold outputs."""

    folds: Folds = Field(default=3, description="Number of inner folds of each fold.")
    repeats: Few = Field(
        default=1,
        description="Number of divisions, each drawn anew. A case is scored by a network of each; their outputs are "
        "averaged.",
    )
    bag: bool = Field(
        default=False,
        description="The networks of a fold's inner folds score its test cases too, and their outputs are averaged "
        "with those of the fold's own networks (bagging). None of them was trained on a test case.",
    )
    seeds: Few = Field(default=1, description="Number of networks per task and inner fold.")
    val: Fraction = Field(
        default=0.2,
        description="Share of the other cases of an inner fold that become its validation cases, which stop its "
        "training.",
    )
    seed: Seed = Field(default=0, description="Seed of the draw.")


def _require_training_cases(protocol: Any) -> Any:
    if protocol.val + protocol.test >= 1:
        raise ValueError(
            f"val: {protocol.val:g} and test {protocol.test:g} leave no training case; their sum must be below 1"
        )
    return protocol


Protocol = Annotated[GroupCV | CV10 | Walker | M2D3 | Fixed | Column, Field(discriminator="name")]


def group_of(protocol: Protocol) -> str:
    """Return the column of cases.csv whose values a protocol does not divide where it draws."""
    return getattr(protocol, "group", "subject")


class Leak(Strict):
    """Whether a study with a leak may run. Without `allow: true` and a reason, a leak stops the study."""

    allow: bool = Field(default=False, description="Run in spite of a leak; every table states it.")
    because: str = Field(default="", description="The reason; required with `allow: true`.")

    @model_validator(mode="after")
    def _has_reason(self) -> Leak:
        if self.allow and not self.because.strip():
            raise ValueError("because: give the reason why the leak is allowed; every table will state the leak")
        return self
