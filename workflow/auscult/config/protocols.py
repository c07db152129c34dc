"""Who is trained on, chosen on and judged on; and what is done about a leak."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Count, Fraction, Once, Seed, Strict


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
    val: Fraction = Field(default=0.2, description="`vali_size` of the published scripts.")
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
    """Roles from a column of cases.csv, such as a release's own folds."""

    name: Literal["column"]
    column: str
    val: list[str] = Field(default=[], description="Values whose cases validate; without any they are drawn.")
    test: list[str] = Field(min_length=1, description="Values whose cases are judged.")
    draw: Fraction = Field(default=0.2, description="Share of the non-test cases that validate where `val` is empty.")
    seed: Seed = Field(default=0, description="Seed of that draw.")
    group: str = Field(default="subject", description="Column of cases.csv that the drawn cases never split.")
    stratify: list[str] | None = Field(
        default=None, description="Label columns kept in proportion; default: the labels of all targets."
    )

    @model_validator(mode="after")
    def _apart(self) -> Column:
        if both := set(self.val) & set(self.test):
            raise ValueError(f"test: {min(both)!r} is in `val` too")
        return self


class InnerFolds(Strict):
    """Folds inside every fold's own cases: networks that score cases for the second stage without having seen them."""

    folds: Annotated[int, Field(ge=2)] = 3
    repeats: Count = Field(
        default=1,
        description="Divisions, each drawn anew: every case is scored by a network of each, and these are averaged.",
    )
    bag: bool = Field(
        default=False,
        description="The networks of a fold's inner folds score the cases that it judges too, and are averaged with "
        "the fold's own (bagging): none of them trained on a judged case.",
    )
    seeds: Count = Field(default=1, description="Networks per task and inner fold.")
    val: Fraction = Field(default=0.2, description="Share of an inner fold's other cases that stop its networks.")
    seed: Seed = Field(default=0, description="Seed of the draw.")


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
