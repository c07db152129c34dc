"""Every metric of the tables: its column, its words, how it is computed, and where it is shown.

A new metric is a function in `formulas` and a row of METRICS (or of BY_CLASS, which have a column for each class). It
then stands in the leaderboard, in the cross-validation and in the report, with an interval where the row says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auscult.metrics import formulas


@dataclass(frozen=True)
class Scored:
    """Predictions of one target, as arrays over cases (n,).

    `truth` and `decision`: class numbers (n,), or 0/1 (n, classes) of a multilabel target. `probabilities`:
    (n, classes). `class_weights`: of the true classes. `normal`: number of the class of those with nothing wrong.
    `referred`, `abnormal`: who is referred to an expert and who should be, of the cases for which that is known.
    `draws`: multiplicities (draws, n) of a bootstrap; metrics then have a value per draw.
    """

    truth: NDArray
    decision: NDArray
    probabilities: NDArray
    class_weights: list[float]
    multilabel: bool = False
    normal: int | None = None
    referred: NDArray | None = None
    abnormal: NDArray | None = None
    draws: NDArray | None = None

    @cached_property
    def matrix(self) -> NDArray:
        """Confusion matrix (…, classes, classes), or of a multilabel target the counts of each class."""
        if self.multilabel:
            return formulas.multilabel_counts(self.truth, self.decision, self.draws)
        return formulas.confusion(self.truth, self.decision, self.probabilities.shape[1], self.draws)

    @cached_property
    def recalls(self) -> NDArray:
        """Recall of each class (…, classes)."""
        return formulas.multilabel_recalls(self.matrix) if self.multilabel else formulas.recalls(self.matrix)

    @cached_property
    def aurocs(self) -> NDArray:
        """AUROC of each class (…, classes)."""
        return formulas.auroc(self.truth, self.probabilities, self.draws)

    @cached_property
    def against_normal(self) -> dict[str, Any]:
        """See `formulas.against_normal`; empty without a normal class."""
        return {} if self.normal is None else formulas.against_normal(self.matrix, self.normal)


Value = Callable[[Scored], Any]
"""A value (or one per draw) of some predictions; None where the metric does not exist for such a target."""

Place = Literal[
    "floors",
    "text",
    "text of normal",
    "text of multilabel",
    "differences",
    "subgroups",
    "figures",
    "winner",
    "published",
]
"""Where a metric is shown besides the leaderboard and the cross-validation.

`floors`: what always saying one class scores. `text`: the first sentences of the report, of a multiclass target, of one
with a normal class, of a multilabel one. `differences`: sentences on paired differences. `published`: the table of
published results.
"""


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    `label`: head of a column. `name`: in a sentence. `interval`: `percentile`; or `basic`, the percentile interval
    turned about the value, for a metric that resampling can only enlarge. `first`: stands before others where few are
    shown.
    """

    key: str
    label: str
    name: str
    meaning: str
    group: str
    value: Value
    interval: Literal["percentile", "basic"] | None = None
    higher_is_better: bool = True
    places: frozenset[Place] = frozenset()
    first: bool = False

    @property
    def explanation(self) -> str:
        """The meaning, and where lower is better, that it is."""
        return self.meaning if self.higher_is_better else f"{self.meaning} Lower is better."


@dataclass(frozen=True)
class ClassMetric:
    """A column `<key><class>` for each class of a target; `value` gives (classes,)."""

    key: str
    label: str
    meaning: str
    value: Value


def _single(value: Value) -> Value:
    """A metric of targets with one label a case."""
    return lambda scored: None if scored.multilabel else value(scored)


def _multilabel(value: Value) -> Value:
    """A metric of targets with several labels a case."""
    return lambda scored: value(scored) if scored.multilabel else None


def _of_normal(key: str) -> Value:
    return lambda scored: scored.against_normal.get(key)


def _accuracy(scored: Scored) -> Any:
    if scored.multilabel:
        return formulas.exact_match(scored.truth, scored.decision)
    return formulas.accuracy(scored.matrix)


def _f(scored: Scored) -> Any:
    return formulas.macro_f1(scored.matrix) if scored.multilabel else formulas.f_measure(scored.matrix)


def _auprc(scored: Scored) -> Any:
    return formulas.macro(formulas.auprc(scored.truth, scored.probabilities, scored.draws))


def _cost(scored: Scored) -> Any:
    if scored.referred is None or not len(scored.referred):
        return float("nan")
    return formulas.challenge_cost(scored.referred, scored.abnormal)


def _places(*places: Place) -> frozenset[Place]:
    return frozenset(places)


# in the order of the tables' columns
METRICS = (
    Metric(
        "w_acc",
        "W.acc",
        "weighted accuracy",
        "Weighted accuracy: share of right decisions, each counted with the weight of its true class.",
        "Decisions",
        _single(lambda s: formulas.weighted_accuracy(s.matrix, s.class_weights)),
        interval="percentile",
        places=_places("floors", "text", "differences", "subgroups", "figures", "winner", "published"),
    ),
    Metric(
        "uar",
        "UAR",
        "UAR",
        "Unweighted average recall: the share of a class that is found, averaged over the classes.",
        "Decisions",
        lambda s: formulas.macro(s.recalls),
        interval="percentile",
        places=_places(
            "floors", "text", "text of normal", "differences", "subgroups", "figures", "winner", "published"
        ),
    ),
    Metric(
        "accuracy",
        "Accuracy",
        "accuracy",
        "Share of cases decided rightly (multi-label: with every label right).",
        "Decisions",
        _accuracy,
        places=_places("floors", "published"),
    ),
    Metric(
        "f",
        "F",
        "macro F1",
        "F1 averaged over the classes: it weighs what is found against what is named wrongly.",
        "Decisions",
        _f,
        interval="percentile",
        places=_places("text of multilabel", "differences", "published"),
    ),
    Metric(
        "auroc",
        "AUROC",
        "AUROC",
        "Chance that a case of a class ranks above another case, averaged over the classes; 0.5 is luck.",
        "Ranking",
        lambda s: formulas.macro(s.aurocs),
        interval="percentile",
        places=_places("text of multilabel", "differences", "subgroups", "figures", "winner", "published"),
    ),
    Metric(
        "auprc",
        "AUPRC",
        "AUPRC",
        "Average precision, averaged over the classes; luck reaches the share of the class.",
        "Ranking",
        _auprc,
    ),
    Metric(
        "cost",
        "Cost",
        "cost",
        "Mean cost per case of screening, formula of the PhysioNet Challenge 2022.",
        "Decisions",
        _single(_cost),
        higher_is_better=False,
        places=_places("floors", "published"),
    ),
    Metric(
        "ece",
        "ECE",
        "calibration error",
        "Calibration error: distance between probabilities and what comes true.",
        "Probabilities",
        _single(lambda s: formulas.ece(s.truth, s.probabilities, weights=s.draws)),
        interval="basic",
        higher_is_better=False,
    ),
    Metric(
        "brier",
        "Brier",
        "Brier score",
        "Squared error of the probabilities.",
        "Probabilities",
        lambda s: formulas.brier(s.truth, s.probabilities, s.draws),
        higher_is_better=False,
    ),
    Metric(
        "nll",
        "NLL",
        "log loss",
        "Log loss of the probabilities, hard on confident errors.",
        "Probabilities",
        lambda s: formulas.nll(s.truth, s.probabilities, s.draws),
        higher_is_better=False,
    ),
    Metric(
        "classes_without_auroc",
        "Classes without AUROC",
        "classes without AUROC",
        "Classes of which all or none of the cases are, so that they have no AUROC.",
        "Ranking",
        _multilabel(lambda s: np.isnan(s.aurocs).sum(axis=-1)),
        higher_is_better=False,
    ),
    Metric(
        "icbhi_score",
        "ICBHI score",
        "ICBHI score",
        "The mean of specificity and of the share of abnormal cases with exactly their class.",
        "Against normal",
        _of_normal("icbhi_score"),
        interval="percentile",
        places=_places("floors", "text of normal", "differences", "figures", "published"),
        first=True,
    ),
    Metric(
        "icbhi_score_any",
        "Lenient score",
        "lenient ICBHI score",
        "The same with any abnormal class counted as found; not the ICBHI score.",
        "Against normal",
        _of_normal("icbhi_score_any"),
    ),
    Metric(
        "specificity",
        "Specificity",
        "specificity",
        "Share of the normal cases that are called normal.",
        "Against normal",
        _of_normal("specificity"),
    ),
    Metric(
        "sensitivity",
        "Sensitivity",
        "sensitivity",
        "Share of the abnormal cases that are given exactly their class.",
        "Against normal",
        _of_normal("sensitivity"),
    ),
    Metric(
        "sensitivity_any",
        "Lenient sensitivity",
        "lenient sensitivity",
        "Share of the abnormal cases that are given any abnormal class.",
        "Against normal",
        _of_normal("sensitivity_any"),
    ),
)

# groups of columns: within a group the columns of a class stand together
BY_CLASS = (
    (ClassMetric("recall_", "Recall", "Share of the cases of one class that is found.", lambda s: s.recalls),),
    (
        ClassMetric("f1_", "F1 by class", "F1 of one class.", _multilabel(lambda s: formulas.multilabel_f1(s.matrix))),
        ClassMetric("auroc_", "AUROC by class", "AUROC of one class against the rest.", lambda s: s.aurocs),
    ),
)


def metric(key: str) -> Metric:
    """The metric of a column. Raises KeyError."""
    return {one.key: one for one in METRICS}[key]


def class_metrics() -> list[ClassMetric]:
    """The metrics that have a column for each class."""
    return [one for group in BY_CLASS for one in group]


def shown(place: Place) -> list[Metric]:
    """The metrics of a place, most important first."""
    return sorted((one for one in METRICS if place in one.places), key=lambda one: not one.first)


def with_interval() -> list[Metric]:
    """The metrics that have an interval, most important first."""
    return sorted((one for one in METRICS if one.interval), key=lambda one: not one.first)


def values(scored: Scored, classes: list[str]) -> dict[str, float]:
    """All metrics of some predictions by column, in the order of the tables; undefined ones are NaN."""
    row = {one.key: one.value(scored) for one in METRICS}
    for group in BY_CLASS:
        columns = [(one.key, one.value(scored)) for one in group]
        for number, name in enumerate(classes):
            row |= {f"{key}{name}": each[number] for key, each in columns if each is not None}
    return {key: float(value) for key, value in row.items() if value is not None}
