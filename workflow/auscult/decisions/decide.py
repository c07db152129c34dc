"""Decide the test cases of one fold by every rule of a target, and score each rule on the fold's own cases.

Labels of the fold's own cases are read, labels of test cases never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from auscult.config.targets import Target
from auscult.decisions import rules
from auscult.decisions.cross_fitting import cross_fit
from auscult.decisions.inner_score import inner_score
from auscult.decisions.rule import FittedRule, Recordings
from auscult.heads.labels import encode
from auscult.heads.outputs import class_columns


@dataclass(frozen=True)
class Outputs:
    """Class probabilities of cases: `ids` (n,), `probabilities` (n, classes); `recordings` None of a second stage."""

    ids: np.ndarray
    probabilities: np.ndarray
    recordings: Recordings | None = None


def outputs_of(
    cases: pd.DataFrame, classes: list[str], target: str | None = None, recordings: pd.DataFrame | None = None
) -> Outputs:
    """Outputs from a table with `case` and a column per class, named as `heads.outputs.class_columns` says.

    recordings: the same per recording. Raises ValueError for a recording of a case that is not in the table.
    """
    columns = class_columns(classes, target)
    of_recordings = None
    if recordings is not None:
        rows = pd.Index(cases["case"]).get_indexer(recordings["case"])
        if (rows < 0).any():
            raise ValueError(f"recordings of the case {recordings['case'][rows < 0].iloc[0]!r}, which is not there")
        of_recordings = Recordings(recordings[columns].to_numpy(dtype=float), rows)
    return Outputs(cases["case"].to_numpy(), cases[columns].to_numpy(dtype=float), of_recordings)


@dataclass(frozen=True)
class Decisions:
    """Decisions of the test cases by one rule.

    `probabilities` (n, classes), calibrated if the rule calibrates; `decisions` as `Rule.apply` gives them;
    `inner_score` of the rule on the fold's own cases; `is_fitted`: whether it was fitted to them.
    """

    probabilities: np.ndarray
    decisions: np.ndarray
    inner_score: float
    is_fitted: bool


def labelled(target: Target, labels: pd.Series, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which cases `ids` have a label (n,), and the labels of those: class numbers, or 0 and 1 per class.

    labels: by case, '' when unlabelled.
    """
    cells = labels.reindex(ids).fillna("")
    mask = (cells != "").to_numpy()
    return mask, encode(cells[mask], target.classes, target.kind)


def fit_rule(target: Target, rule: str, outputs: Outputs, labels: pd.Series) -> FittedRule:
    """Fit a rule to the labelled ones among some cases; {} of a rule that is not fitted.

    labels: by case, '' when unlabelled.
    """
    mask, truth = labelled(target, labels, outputs.ids)
    fit = rules.get(rule).fit
    return fit(outputs.probabilities[mask], truth, target) if fit else {}


def apply_rule(target: Target, rule: str, fitted: FittedRule, outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions of cases, see `decisions.rule.Rule.apply`. fitted: of `fit_rule`."""
    return rules.get(rule).apply(fitted, outputs.probabilities, target, outputs.recordings)


def decide(
    target: Target, own: Outputs, test: Outputs, labels: pd.Series, subjects: pd.Series, choose_by: str
) -> dict[str, Decisions]:
    """Decisions of the test cases by every rule of a target that the outputs allow, by its name.

    own: outputs of the fold's own cases, which fit the rules and score them. labels: by case, of those ('' when
    unlabelled). subjects: by case. choose_by: `evaluation.choose_by`. A rule that is fitted is scored cross-fitted.
    """
    mask, truth = labelled(target, labels, own.ids)
    groups = subjects[own.ids][mask].to_numpy()
    results = {}
    for name in target.decisions:
        rule = rules.get(name)
        if rule.needs_recordings and test.recordings is None:
            continue
        p_test, test_decisions = apply_rule(target, name, fit_rule(target, name, own, labels), test)
        if rule.is_fitted:
            p_own, own_decisions = cross_fit(rule, own.probabilities[mask], truth, groups, target)
        else:
            p_own, own_decisions = (array[mask] for array in apply_rule(target, name, {}, own))
        score = inner_score(target, truth, own_decisions, p_own, choose_by)
        results[name] = Decisions(p_test, test_decisions, score, rule.is_fitted)
    return results
