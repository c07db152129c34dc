"""Decide the test cases of one fold by every rule of a target, and score each rule on the validation cases.

Labels of validation cases are read, labels of test cases never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from auscult.config.targets import Target
from auscult.decisions import calibration, rules, thresholds, tuning
from auscult.evaluation import metrics

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
    p_val, p_test = (part[target.classes].to_numpy(dtype=float) for part in (outputs.val, outputs.test))
    cells = labels.reindex(outputs.val["case"]).fillna("")
    known = (cells != "").to_numpy()
    groups = subjects[outputs.val["case"]][known].to_numpy()
    if target.kind == "multilabel":
        truth = np.array([[c in cell.split("|") for c in target.classes] for cell in cells[known]], dtype=int)
        return _decide_multilabel(target, p_val[known], truth, groups, p_test, choose_by)
    numbers = cells.map({name: number for number, name in enumerate(target.classes)})
    truth = numbers[known].to_numpy(dtype=int)
    done = {}
    for rule in target.decisions:
        q_val, q_test, chosen = p_val, p_test, False
        if rule == "reference":
            on_val, on_test = rules.reference(p_val), rules.reference(p_test)
        elif rule == "any_recording":
            if outputs.test_recordings is None:
                continue
            on_val = _any_recording(target, outputs.val, outputs.val_recordings)
            on_test = _any_recording(target, outputs.test, outputs.test_recordings)
        elif rule in TUNED:
            weights, chosen = target.class_weights(), True
            on_val = np.argmax(p_val, axis=1)
            on_val[known] = tuning.cross_fit(p_val[known], truth, groups, weights, TUNED[rule])
            on_test = tuning.decide(p_test, tuning.tune(p_val[known], truth, weights, TUNED[rule]))
        else:
            weights, chosen = target.class_weights(), True
            kind = "temperature" if rule == "temperature" else "regression"
            q_val = p_val.copy()
            q_val[known] = calibration.cross_fit(p_val[known], truth, groups, kind)
            q_test = calibration.apply(calibration.fit(p_val[known], truth, kind), p_test)
            on_val, on_test = rules.cost(q_val, weights), rules.cost(q_test, weights)
        score = inner_score(target, truth, on_val[known], q_val[known], choose_by)
        done[rule] = Decided(q_test, on_test, score, chosen)
    return done


def _decide_multilabel(
    target: Target, p_val: np.ndarray, truth: np.ndarray, groups: np.ndarray, p_test: np.ndarray, choose_by: str
) -> dict[str, Decided]:
    """`decide` for 0/1 labels: `p_val` and `truth` of the labelled validation cases only."""
    done = {}
    for rule in target.decisions:
        if rule == "reference":
            on_val, on_test = rules.reference_multilabel(p_val), rules.reference_multilabel(p_test)
        else:
            on_val = thresholds.cross_fit(p_val, truth, groups, ONE_THRESHOLD[rule])
            on_test = (p_test >= thresholds.tune(p_val, truth, ONE_THRESHOLD[rule])).astype(int)
        score = inner_score(target, truth, on_val, p_val, choose_by)
        done[rule] = Decided(p_test, on_test, score, rule != "reference")
    return done


def inner_score(target: Target, truth: np.ndarray, decision: np.ndarray, p: np.ndarray, by: str) -> float:
    """Score by which variants are compared (`evaluation.choose_by`); NaN without labelled cases."""
    if not len(truth):
        return float("nan")
    if by == "auroc":
        return float(metrics.macro_auroc(truth, p))
    if target.kind == "multilabel":
        counts = metrics.multilabel_counts(truth, decision)
        return float(metrics.macro_f1(counts) if by == "f" else np.nanmean(metrics.uar(counts)))
    if by == "f":
        return float(metrics.f_measure(metrics.confusion(truth, decision, len(target.classes))))
    return float(tuning.score(metrics.confusion(truth, decision, len(target.classes)), target.class_weights(), by))


def _any_recording(target: Target, cases: pd.DataFrame, recordings: pd.DataFrame) -> np.ndarray:
    place = pd.Series(range(len(cases)), index=cases["case"])
    owner = place[recordings["case"]].to_numpy(dtype=int)
    p = recordings[target.classes].to_numpy(dtype=float)
    return rules.any_recording(p, owner, cases[target.classes].to_numpy(dtype=float))
