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
from auscult.decisions.inner_score import inner_score, standard_error
from auscult.decisions.rule import FittedRule, Recordings
from auscult.decisions.rules.calibrated import calibrate, regression
from auscult.heads.labels import encode
from auscult.heads.outputs import class_columns
from auscult.inference.columns import columns_of_networks
from auscult.metrics.intervals import subject_draws

CROSS_FITS = 5
"""Draws of the folds by which a fitted rule is scored."""
ERROR_DRAWS = 200
"""Bootstrap draws of subjects that give the standard error of a score."""


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
        of_networks = columns_of_networks(recordings, classes, target) if target else []
        p = np.stack([recordings[names].to_numpy(dtype=float) for names in of_networks or [columns]])
        of_recordings = Recordings(p, rows)
    return Outputs(cases["case"].to_numpy(), cases[columns].to_numpy(dtype=float), of_recordings)


@dataclass(frozen=True)
class Decisions:
    """Decisions of the test cases by one rule.

    `probabilities` (n, classes), calibrated if the rule calibrates; `decisions` as `Rule.apply` gives them;
    `calibrated` (n, classes): probabilities that are calibrated for any rule; `inner_score` of the rule on the fold's
    own cases, and its `standard_error`; `is_fitted`: whether the rule was fitted to them.
    """

    probabilities: np.ndarray
    decisions: np.ndarray
    calibrated: np.ndarray
    inner_score: float
    standard_error: float
    is_fitted: bool


def labelled(target: Target, labels: pd.Series, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which cases `ids` have a label (n,), and the labels of those: class numbers, or 0 and 1 per class.

    labels: by case, '' when unlabelled.
    """
    cells = labels.reindex(ids).fillna("")
    mask = (cells != "").to_numpy()
    return mask, encode(cells[mask], target.classes, target.kind)


def fit_rule(target: Target, rule: str, outputs: Outputs, labels: pd.Series) -> FittedRule:
    """Fit a rule, and the calibration of its probabilities, to the labelled ones among some cases.

    labels: by case, '' when unlabelled. `rule`: {} of one that is not fitted. `calibration`: see `rules.calibrated`;
    None where the rule calibrates itself, and for a multilabel target.
    """
    mask, truth = labelled(target, labels, outputs.ids)
    p, definition = outputs.probabilities[mask], rules.get(rule)
    needs_calibration = target.kind != "multilabel" and not definition.calibrates
    return {
        "rule": definition.fit(p, truth, target) if definition.fit else {},
        "calibration": regression(p, truth) if needs_calibration else None,
    }


def apply_rule(
    target: Target, rule: str, parameters: FittedRule, outputs: Outputs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities and decisions of cases, see `decisions.rule.Rule.apply`, and calibrated probabilities.

    parameters: of `fit_rule`. A case without recordings has class frequencies and no output of a network: it keeps
    them, and the rule decides it as before any fitting.
    """
    definition = rules.get(rule)
    p, decisions = definition.apply(parameters["rule"], outputs.probabilities, target, outputs.recordings)
    calibrated = calibrate(parameters["calibration"], p).copy()
    if outputs.recordings is not None:
        silent = ~np.isin(np.arange(len(p)), outputs.recordings.case)
        if definition.fit and silent.any():
            priors = outputs.probabilities[silent]
            p, decisions = p.copy(), decisions.copy()
            unfitted = definition.fit(priors[:0], decisions[:0], target)
            p[silent], decisions[silent] = priors, definition.apply(unfitted, priors, target, None)[1]
        calibrated[silent] = outputs.probabilities[silent]
    return p, decisions, calibrated


def decide(
    target: Target, own: Outputs, test: Outputs, labels: pd.Series, subjects: pd.Series, choose_by: str
) -> dict[str, Decisions]:
    """Decisions of the test cases by every rule of a target that the outputs allow, by its name.

    own: outputs of the fold's own cases, which fit the rules and score them. labels: by case, of those ('' when
    unlabelled). subjects: by case. choose_by: `evaluation.choose_by`. A rule that is fitted is scored cross-fitted: its
    score is the mean over several draws of the folds.
    """
    mask, truth = labelled(target, labels, own.ids)
    groups = subjects[own.ids][mask].to_numpy(dtype=str)
    draws = subject_draws(groups, ERROR_DRAWS) if len(groups) else None
    results = {}
    for name in target.decisions:
        rule = rules.get(name)
        if rule.needs_recordings and test.recordings is None:
            continue
        if rule.is_fitted:
            p_own = own.probabilities[mask]
            results_own = [cross_fit(rule, p_own, truth, groups, target, seed) for seed in range(CROSS_FITS)]
        else:
            p_own, own_decisions = rule.apply({}, own.probabilities, target, own.recordings)
            results_own = [(p_own[mask], own_decisions[mask])]
        scores = [inner_score(target, truth, own_decisions, p, choose_by) for p, own_decisions in results_own]
        p, own_decisions = results_own[0]
        scores_of_draws = inner_score(target, truth, own_decisions, p, choose_by, draws)
        results[name] = Decisions(
            *apply_rule(target, name, fit_rule(target, name, own, labels), test),
            float(np.mean(scores)),
            standard_error(scores_of_draws),
            rule.is_fitted,
        )
    return results
