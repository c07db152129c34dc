"""The section `targets` of a study file: the labels that are predicted and scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from auscult.config.base import ClassName, LabelColumn, Name, Positive, Strict, Unique


class Referral(Strict):
    """Predicted classes that are referred to an expert, and the cases that should be: inputs of the Challenge cost."""

    classes: list[ClassName] = Field(min_length=1, description="Predicted classes that send a case to an expert.")
    label: str = Field(description="Column of cases.csv that tells whether a case should be referred.")
    positive: list[str] = Field(min_length=1, description="Values of that column with which a case should be referred.")


class TargetClasses(Strict):
    """The part of a target that jobs before the evaluation read: its classes, and the heads that give them."""

    label: LabelColumn = Field(description="Column of cases.csv.")
    kind: Literal["multiclass", "multilabel"] = "multiclass"
    classes: list[ClassName] = Field(
        min_length=2, description="Classes in the order in which the decision `reference` tests them."
    )
    weights: list[Positive] | None = Field(
        default=None,
        description="Weight of each true class in weighted accuracy and in the decision `cost`; default: 1 each.",
    )
    heads: list[Name] = Field(
        description="Heads that give its probabilities: one multiclass or multilabel head, or a binary head for each "
        "class but the last, in the order of the classes."
    )

    @model_validator(mode="after")
    def _consistent_classes(self) -> TargetClasses:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: {self.classes} names a class twice")
        if self.weights is not None and len(self.weights) != len(self.classes):
            raise ValueError(f"weights: {len(self.weights)} weights for {len(self.classes)} classes")
        return self

    def class_weights(self) -> list[float]:
        """Return the weights of the true classes, 1 each by default."""
        return self.weights or [1.0] * len(self.classes)


class Target(TargetClasses):
    """A label that is predicted and scored."""

    decisions: Annotated[list[Name], Unique] = Field(
        default=["reference", "cost"],
        min_length=1,
        description="Rules that turn probabilities into a class; see Decision rules below.",
    )
    normal: str | None = Field(
        default=None,
        description="The class of healthy cases. Adds the columns specificity, sensitivity (an abnormal case counts as "
        "found only with its own class), sensitivity_any (with any abnormal class) and `icbhi_score`, "
        "`icbhi_score_any`, their means with the specificity: the ICBHI score, strict and lenient.",
    )
    referral: Referral | None = Field(
        default=None,
        description="Adds the column `refer` of predictions and, of a multiclass target, that of `cost`.",
    )

    @model_validator(mode="after")
    def _consistent_options(self) -> Target:
        if self.referral and (unknown := set(self.referral.classes) - set(self.classes)):
            raise ValueError(f"referral.classes: {sorted(unknown)} not among the classes {self.classes}")
        if self.normal is not None and (self.normal not in self.classes or self.kind == "multilabel"):
            raise ValueError(f"normal: {self.normal!r} is not one of the classes {self.classes} of a multiclass target")
        return self
