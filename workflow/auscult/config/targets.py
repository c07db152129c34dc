"""What is decided and scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from auscult.config.base import Name, Once, Positive, Strict


class Referral(Strict):
    """Who is sent on to an expert, and who should have been: the truth of the Challenge cost."""

    classes: list[str] = Field(min_length=1, description="Predicted classes that refer the case.")
    label: str = Field(description="Column of cases.csv that says who should be referred.")
    positive: list[str] = Field(min_length=1, description="Values of that column that should be referred.")


class TargetClasses(Strict):
    """A target without what only the evaluation reads: its classes, and the heads that serve it."""

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

    @model_validator(mode="after")
    def _classes_fit(self) -> TargetClasses:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: {self.classes} names a class twice")
        if self.weights is not None and len(self.weights) != len(self.classes):
            raise ValueError(f"weights: {len(self.weights)} weights for {len(self.classes)} classes")
        return self

    def class_weights(self) -> list[float]:
        """Weights of the true classes, 1 each when none are given."""
        return self.weights or [1.0] * len(self.classes)


class Target(TargetClasses):
    """What is decided and scored."""

    decisions: Annotated[list[Name], Once] = Field(
        default=["reference", "cost"],
        min_length=1,
        description="Rules from probabilities to a class, see Decision rules below.",
    )
    normal: str | None = Field(
        default=None,
        description="The class of those with nothing wrong. Gives the columns specificity, sensitivity (an abnormal "
        "case with its own class), sensitivity_any (with any abnormal class) and `icbhi_score`, `icbhi_score_any`, "
        "their means with the specificity: the ICBHI score, strict and lenient.",
    )
    referral: Referral | None = Field(default=None, description="Gives the column `cost`.")

    @model_validator(mode="after")
    def _fits(self) -> Target:
        if self.referral and (unknown := set(self.referral.classes) - set(self.classes)):
            raise ValueError(f"referral.classes: {sorted(unknown)} not among the classes {self.classes}")
        if self.normal and (self.normal not in self.classes or self.kind == "multilabel"):
            raise ValueError(f"normal: {self.normal!r} is not one of the classes {self.classes} of a multiclass target")
        return self
