"""Decide the test cases of one fold by every rule of a target, and score each rule on the validation cases.

Labels of validation cases are read, labels of test cases never. What a rule learns of them is a dictionary that JSON
takes (`fit_rule`), so that new cases can be decided without the old ones (`apply_rule`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from auscult.config.targets import Target
from auscult.decisions import calibration, rules, thresholds, tuning
from auscult.metrics import formulas

ONE_THRESHOLD = {"tuned_f": True, "tuned_f_each": False}
TUNED = {"tuned_w_acc": "w_acc", "tuned_uar": "uar", "tuned_both": "both"}  # rule: what it is tuned to


@dataclass(frozen=True)
class Outputs:
    """Probabilities of one variant and fold: `val` and `test` hold `case` and a column per class.

    `val_recordings`, `test_recordings`: the same per recording, with its case; None where there are none (fusion).
    """

    val: pd.DataFrame
    test: pd.DataFrame
    val_recordings: pd.DataFrame | None = None
    test_recordings: pd.DataFrame | None = None


def learns(rule: str) -> bool:
    """Whether a rule is fitted to cases at all."""
    return rule not in ("reference", "any_recording")


def labelled(target: Target, labels: pd.Series, cases: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Which of `cases` have a label (n,), and the labels of those: class numbers, or 0/1 per class.

    labels: by case, '' when unlabelled.
    """
    cells = labels.reindex(cases).fillna("")
    known = (cells != "").to_numpy()
    if target.kind == "multilabel":
        sets = [[c in cell.split("|") for c in target.classes] for cell in cells[known]]
        return known, np.array(sets, dtype=int).reshape(-1, len(target.classes))
    return known, cells[known].map({name: number for number, name in enumerate(target.classes)}).to_numpy(dtype=int)


def fit_rule(target: Target, rule: str, p: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """What a rule learns of labelled cases: `thresholds`, class `weights`, or a `calibration`; {} of one that does not.

    p: (n, classes) probabilities. truth: as `labelled` gives it.
    """
    if not learns(rule):
        return {}
    if target.kind == "multilabel":
        return {"thresholds": thresholds.tune(p, truth, ONE_THRESHOLD[rule]).tolist()}
    if rule in TUNED:
        return {"weights": tuning.tune(p, truth, target.class_weights(), TUNED[rule]).tolist()}
    return {"calibration": calibration.fit(p, truth, _kind(rule))}


def apply_rule(
    target: Target, rule: str, fitted: dict[str, Any], cases: pd.DataFrame, recordings: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes), calibrated where the rule calibrates, and decisions: class numbers, or 0/1 per class.

    fitted: of `fit_rule`. cases, recordings: `case` and a column per class; recordings for `any_recording` alone.
    """
    p = cases[target.classes].to_numpy(dtype=float)
    if "thresholds" in fitted:
        return p, (p >= fitted["thresholds"]).astype(int)
    if target.kind == "multilabel":
        return p, rules.reference_multilabel(p)
    if rule == "reference":
        return p, rules.reference(p)
    if rule == "any_recording":
        return p, _any_recording(target, cases, recordings)
    if rule in TUNED:
        return p, tuning.decide(p, np.array(fitted["weights"]))
    q = calibration.apply(fitted["calibration"], p)
    return q, rules.cost(q, target.class_weights())


def _kind(rule: str) -> str:
    """Of calibration."""
    return "temperature" if rule == "temperature" else "regression"


@dataclass(frozen=True)
class Decided:
    """Probabilities and decisions of the test cases, as class numbers or 0/1 per class, and the validation score."""

    p: np.ndarray
    decision: np.ndarray
    inner_score: float
    chosen: bool


def decide(
    target: Target, outputs: Outputs, labels: pd.Series, subjects: pd.Series, choose_by: str
) -> dict[str, Decided]:
    """Every decision of `target` for one variant and fold.

    `labels`: label by case of the validation cases ('' when unlabelled); `subjects`: subject by case. `chosen` says
    that the rule itself was fitted, on validation cases; its validation score is then cross-fitted.
    """
    p = outputs.val[target.classes].to_numpy(dtype=float)
    known, truth = labelled(target, labels, outputs.val["case"])
    groups = subjects[outputs.val["case"]][known].to_numpy()
    done = {}
    for rule in target.decisions:
        if rule == "any_recording" and outputs.test_recordings is None:
            continue
        fitted = fit_rule(target, rule, p[known], truth)
        q_test, on_test = apply_rule(target, rule, fitted, outputs.test, outputs.test_recordings)
        if learns(rule):
            q_val, on_val = _cross_fit(target, rule, p[known], truth, groups)
        else:
            q_val, on_val = (part[known] for part in apply_rule(target, rule, {}, outputs.val, outputs.val_recordings))
        score = inner_score(target, truth, on_val, q_val, choose_by)
        done[rule] = Decided(q_test, on_test, score, learns(rule))
    return done


def _cross_fit(
    target: Target, rule: str, p: np.ndarray, truth: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions of labelled cases, each by what the others taught the rule."""
    weights = target.class_weights()
    if target.kind == "multilabel":
        return p, thresholds.cross_fit(p, truth, groups, ONE_THRESHOLD[rule])
    if rule in TUNED:
        return p, tuning.cross_fit(p, truth, groups, weights, TUNED[rule])
    q = calibration.cross_fit(p, truth, groups, _kind(rule))
    return q, rules.cost(q, weights)


def inner_score(target: Target, truth: np.ndarray, decision: np.ndarray, p: np.ndarray, by: str) -> float:
    """Score by which variants are compared (`evaluation.choose_by`); NaN without labelled cases."""
    if not len(truth):
        return float("nan")
    if by == "auroc":
        return float(formulas.macro_auroc(truth, p))
    if target.kind == "multilabel":
        counts = formulas.multilabel_counts(truth, decision)
        return float(formulas.macro_f1(counts) if by == "f" else np.nanmean(formulas.uar(counts)))
    if by == "f":
        return float(formulas.f_measure(formulas.confusion(truth, decision, len(target.classes))))
    return float(tuning.score(formulas.confusion(truth, decision, len(target.classes)), target.class_weights(), by))


def _any_recording(target: Target, cases: pd.DataFrame, recordings: pd.DataFrame) -> np.ndarray:
    place = pd.Series(range(len(cases)), index=cases["case"])
    owner = place[recordings["case"]].to_numpy(dtype=int)
    p = recordings[target.classes].to_numpy(dtype=float)
    return rules.any_recording(p, owner, cases[target.classes].to_numpy(dtype=float))
