"""The catalogue of metrics: for each its column, texts, formula, and the tables that show it.

A new metric is a function in `formulas` and a row of METRICS (or of BY_CLASS, for a column per class). The leaderboard,
the cross-validation and the report then show it, with an interval if the row has `interval`.
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
    """Labels and predictions of one target as arrays, the input of all metrics.

    truth, decision: class numbers (n,), or 0/1 (n, classes) for a multilabel target. probabilities: (n, classes).
    class_weights: weights of the true classes. normal: number of the class `normal`. referred, abnormal: booleans
    (cases,), whether a case is referred to an expert and whether it should be, for the cases with a known outcome.
    draws: multiplicities (draws, n) of a bootstrap; metrics then have a value per draw. strata: (n,) numbers of folds
    whose probabilities have no common scale; rankings then compare cases of the same fold only. None: any cases.
    cases: (n,) numbers of the cases, where one has several rows.
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
    strata: NDArray | None = None
    cases: NDArray | None = None

    @cached_property
    def matrix(self) -> NDArray:
        """Confusion matrix (…, classes, classes); for a multilabel target one of each class (…, classes, 2, 2)."""
        if self.multilabel:
            return formulas.multilabel_counts(self.truth, self.decision, self.draws)
        return formulas.confusion(self.truth, self.decision, self.probabilities.shape[1], self.draws)

    @cached_property
    def recalls(self) -> NDArray:
        """Recall of each class (…, classes)."""
        return formulas.multilabel_recalls(self.matrix) if self.multilabel else formulas.recalls(self.matrix)

    @cached_property
    def aurocs(self) -> NDArray:
        """AUROC of each class (…, classes); with strata their mean, weighted by pairs of a case of it and another."""
        return self._ranking(formulas.auroc, lambda positives, negatives: positives * negatives)

    @cached_property
    def auprcs(self) -> NDArray:
        """Average precision of each class (…, classes); with strata their mean, weighted by cases of the class."""
        return self._ranking(formulas.auprc, lambda positives, negatives: positives)

    @cached_property
    def lacks_class(self) -> NDArray:
        """Whether a class has no case (…)."""
        return np.isnan(self.recalls).any(axis=-1)

    def fewest(self, subjects: NDArray) -> dict[str, int]:
        """The fewest subjects (n,) that any side of a metric has, by `Metric.sides`."""
        truth = formulas.one_hot(self.truth, self.probabilities.shape[1])
        sides = {"classes": list(truth.T), "pairs": [*truth.T, *~truth.T]}
        if self.normal is not None:
            sides["normal"] = [truth[:, self.normal], ~truth[:, self.normal]]
        return {name: min(len(np.unique(subjects[side])) for side in masks) for name, masks in sides.items()}

    def _ranking(self, metric: Callable[..., NDArray], weight: Callable[[NDArray, NDArray], NDArray]) -> NDArray:
        """A metric of each class (…, classes): of all cases, or the mean over the strata, weighted by their cases.

        weight: of a stratum, from the numbers of its cases in and outside each class (…, classes).
        """
        if self.strata is None:
            return metric(self.truth, self.probabilities, self.draws)
        shape = (*(() if self.draws is None else self.draws.shape[:1]), self.probabilities.shape[1])
        total, weights = np.zeros(shape), np.zeros(shape)
        truth = formulas.one_hot(self.truth, self.probabilities.shape[1])
        for stratum in np.unique(self.strata):
            rows = self.strata == stratum
            draws = np.ones(rows.sum()) if self.draws is None else self.draws[:, rows]
            counts = weight(draws @ truth[rows], draws @ ~truth[rows])
            total = total + np.nan_to_num(metric(self.truth[rows], self.probabilities[rows], draws)) * counts
            weights = weights + counts
        return np.divide(total, weights, out=np.full(shape, np.nan), where=weights > 0)

    @cached_property
    def ece_by_chance(self) -> NDArray:
        """The calibration error of a calibrated model with these probabilities, drawn many times (m,)."""
        return formulas.ece_if_calibrated(self.probabilities, self.cases)

    @cached_property
    def against_normal(self) -> dict[str, Any]:
        """The metrics of `formulas.against_normal`; empty without a normal class."""
        return {} if self.normal is None else formulas.against_normal(self.matrix, self.normal)


Value = Callable[[Scored], Any]
"""Computes a metric: one value, or one per draw; None if the metric does not exist for such a target."""

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
"""A place that shows metrics besides the leaderboard and the cross-validation.

`floors`: scores of always predicting one class. `text`, `text of normal`, `text of multilabel`: the first sentences of
the report, for a multiclass target, for one with a normal class, and for a multilabel one. `differences`: paired
differences in the report. `published`: the table of published results.
"""


@dataclass(frozen=True)
class Metric:
    """A metric with one column in the tables.

    key: name of the column. label: its head in the report. name: name in a sentence. interval: `percentile`, or
    `basic`, the percentile interval reflected about the value, for a metric that resampling can only enlarge. sides:
    what needs cases of several subjects for an interval: every class (`classes`), also the cases outside it (`pairs`),
    or the `normal` class and all others.
    first: whether it comes before other metrics of a place.
    """

    key: str
    label: str
    name: str
    meaning: str
    group: str
    value: Value
    interval: Literal["percentile", "basic"] | None = None
    sides: Literal["classes", "pairs", "normal"] | None = None
    higher_is_better: bool = True
    places: frozenset[Place] = frozenset()
    first: bool = False

    @property
    def explanation(self) -> str:
        """The meaning, with a note if lower is better."""
        return self.meaning if self.higher_is_better else f"{self.meaning} Lower is better."


@dataclass(frozen=True)
class ClassMetric:
    """A metric with a column for each class of a target, see `class_column`; `value` returns an array (classes,)."""

    key: str
    label: str
    meaning: str
    value: Value


def _single(value: Value) -> Value:
    """Restrict a metric to targets with one label per case."""
    return lambda arrays: None if arrays.multilabel else value(arrays)


def _multilabel(value: Value) -> Value:
    """Restrict a metric to multilabel targets."""
    return lambda arrays: value(arrays) if arrays.multilabel else None


def _of_normal(key: str) -> Value:
    return lambda arrays: arrays.against_normal.get(key)


def _accuracy(arrays: Scored) -> Any:
    if arrays.multilabel:
        return formulas.exact_match(arrays.truth, arrays.decision)
    return formulas.accuracy(arrays.matrix)


def _uar(arrays: Scored) -> Any:
    if arrays.multilabel:
        # of each class: rows are the cases outside it and in it
        return formulas.recalls(arrays.matrix).mean(axis=(-2, -1))
    return arrays.recalls.mean(axis=-1)


def _f(arrays: Scored) -> Any:
    f = formulas.macro_f1(arrays.matrix) if arrays.multilabel else formulas.f_measure(arrays.matrix)
    return np.where(arrays.lacks_class, np.nan, f)[()]


def _cost(arrays: Scored) -> Any:
    if arrays.referred is None or not len(arrays.referred):
        return float("nan")
    return formulas.challenge_cost(arrays.referred, arrays.abnormal)


def _places(*places: Place) -> frozenset[Place]:
    return frozenset(places)


# in the order of the tables' columns
METRICS = (
    Metric(
        "w_acc",
        "W.acc",
        "weighted accuracy",
        "Weighted accuracy: share of correct predictions, each counted with the weight of its true class.",
        "Decisions",
        _single(lambda s: formulas.weighted_accuracy(s.matrix, s.class_weights)),
        interval="percentile",
        places=_places("floors", "text", "differences", "subgroups", "figures", "winner", "published"),
    ),
    Metric(
        "uar",
        "UAR",
        "UAR",
        "Unweighted average recall: the share of a class that is predicted correctly, averaged over the classes; empty "
        "if a class has no case. (Multi-label: of each class, the mean of sensitivity and specificity; empty if a "
        "class has no case, or all.)",
        "Decisions",
        _uar,
        interval="percentile",
        sides="pairs",
        places=_places(
            "floors", "text", "text of normal", "differences", "subgroups", "figures", "winner", "published"
        ),
    ),
    Metric(
        "accuracy",
        "Accuracy",
        "accuracy",
        "Share of cases that are predicted correctly (multi-label: with every label correct).",
        "Decisions",
        _accuracy,
        places=_places("floors", "published"),
    ),
    Metric(
        "f",
        "F",
        "macro F1",
        "F1 (harmonic mean of precision and recall), averaged over the classes; empty if a class has no case.",
        "Decisions",
        _f,
        interval="percentile",
        sides="classes",
        places=_places("text of multilabel", "differences", "published"),
    ),
    Metric(
        "auroc",
        "AUROC",
        "AUROC",
        "Probability that a case of a class ranks above a case outside it, averaged over the classes; 0.5 is chance. "
        "Empty if a class has no case, or all. For the row chosen, cases of the same fold are compared.",
        "Ranking",
        lambda s: s.aurocs.mean(axis=-1),
        interval="percentile",
        sides="pairs",
        places=_places("text of multilabel", "differences", "subgroups", "figures", "winner", "published"),
    ),
    Metric(
        "auprc",
        "AUPRC",
        "AUPRC",
        "Average precision, averaged over the classes; by chance it is the share of the class. Empty if a class has no "
        "case. For the row chosen, the mean over the folds.",
        "Ranking",
        lambda s: s.auprcs.mean(axis=-1),
    ),
    Metric(
        "cost",
        "Cost",
        "cost",
        "Mean cost of screening per case, by the formula of the PhysioNet Challenge 2022.",
        "Decisions",
        _single(_cost),
        higher_is_better=False,
        places=_places("floors", "published"),
    ),
    Metric(
        "ece",
        "ECE",
        "calibration error",
        "Expected calibration error: distance between predicted probabilities and observed frequencies.",
        "Probabilities",
        _single(lambda s: formulas.ece(s.truth, s.probabilities, weights=s.draws)),
        interval="basic",
        higher_is_better=False,
    ),
    Metric(
        "ece_calibrated",
        "ECE if calibrated",
        "calibration error of a calibrated model",
        "Mean ECE of a calibrated model with these confidences: what chance alone gives for so few cases.",
        "Probabilities",
        _single(lambda s: s.ece_by_chance.mean()),
        higher_is_better=False,
    ),
    Metric(
        "brier",
        "Brier",
        "Brier score",
        "Mean squared error of the probabilities, summed over the classes.",
        "Probabilities",
        lambda s: formulas.brier(s.truth, s.probabilities, s.draws),
        higher_is_better=False,
    ),
    Metric(
        "nll",
        "NLL",
        "log loss",
        "Log loss of the probabilities; confident errors count most.",
        "Probabilities",
        lambda s: formulas.nll(s.truth, s.probabilities, s.draws),
        higher_is_better=False,
    ),
    Metric(
        "classes_without_auroc",
        "Classes without AUROC",
        "classes without AUROC",
        "Number of classes without AUROC, because all or none of the cases are of the class.",
        "Ranking",
        _multilabel(lambda s: np.isnan(s.aurocs).sum(axis=-1)),
        higher_is_better=False,
    ),
    Metric(
        "icbhi_score",
        "ICBHI score",
        "ICBHI score",
        "Mean of specificity and sensitivity (share of the abnormal cases that are predicted as exactly their class).",
        "Against normal",
        _of_normal("icbhi_score"),
        interval="percentile",
        sides="normal",
        places=_places("floors", "text of normal", "differences", "figures", "published"),
        first=True,
    ),
    Metric(
        "icbhi_score_any",
        "Lenient score",
        "lenient ICBHI score",
        "Mean of specificity and lenient sensitivity (with any abnormal class); not the ICBHI score.",
        "Against normal",
        _of_normal("icbhi_score_any"),
    ),
    Metric(
        "specificity",
        "Specificity",
        "specificity",
        "Share of the normal cases that are predicted as normal.",
        "Against normal",
        _of_normal("specificity"),
    ),
    Metric(
        "sensitivity",
        "Sensitivity",
        "sensitivity",
        "Share of the abnormal cases that are predicted as exactly their class.",
        "Against normal",
        _of_normal("sensitivity"),
    ),
    Metric(
        "sensitivity_any",
        "Lenient sensitivity",
        "lenient sensitivity",
        "Share of the abnormal cases that are predicted as any abnormal class.",
        "Against normal",
        _of_normal("sensitivity_any"),
    ),
)

# groups of metrics: within a group, the columns of a class are next to each other
BY_CLASS = (
    (
        ClassMetric(
            "recall_", "Recall", "Share of the cases of one class that are predicted as it.", lambda s: s.recalls
        ),
    ),
    (
        ClassMetric("f1_", "F1 by class", "F1 of one class.", _multilabel(lambda s: formulas.multilabel_f1(s.matrix))),
        ClassMetric("auroc_", "AUROC by class", "AUROC of one class against the rest.", lambda s: s.aurocs),
    ),
)


def class_metrics() -> list[ClassMetric]:
    """The metrics that have a column for each class."""
    return [metric for group in BY_CLASS for metric in group]


def class_column(prefix: str, class_name: str) -> str:
    """Return the column of a class: `<prefix><class>`; `<prefix>'<class>'` where that is a column of another metric.

    prefix: key of a metric of `class_metrics`. `auroc_low` is the end of an interval: class `low` has `auroc_'low'`.
    """
    column = f"{prefix}{class_name}"
    return f"{prefix}'{class_name}'" if column in _fixed_columns() or class_name.startswith("'") else column


def class_of(column: str) -> tuple[str, str] | None:
    """Return prefix and class of a column named by `class_column`; None for any other column."""
    if column in _fixed_columns():
        return None
    for metric in class_metrics():
        if column.startswith(metric.key):
            name = column.removeprefix(metric.key)
            return metric.key, name[1:-1] if name.startswith("'") else name
    return None


def _fixed_columns() -> set[str]:
    """Columns of metrics that no class has, and of their intervals."""
    return {f"{metric.key}{end}" for metric in METRICS for end in ("", "_low", "_high")}


def metrics_of(place: Place) -> list[Metric]:
    """The metrics of a place, most important first."""
    return sorted((metric for metric in METRICS if place in metric.places), key=lambda metric: not metric.first)


def with_interval() -> list[Metric]:
    """The metrics that have an interval, most important first."""
    return sorted((metric for metric in METRICS if metric.interval), key=lambda metric: not metric.first)


def values(arrays: Scored, classes: list[str]) -> dict[str, float]:
    """All metrics by column, in the order of the tables; undefined ones are NaN."""
    row = {metric.key: metric.value(arrays) for metric in METRICS}
    for group in BY_CLASS:
        columns = [(metric.key, metric.value(arrays)) for metric in group]
        for number, name in enumerate(classes):
            row |= {class_column(key, name): by_class[number] for key, by_class in columns if by_class is not None}
    return {key: float(value) for key, value in row.items() if value is not None}
