"""Selective prediction: risk–coverage curves, and the gain from referring the most uncertain cases to an expert.

A case is wrong when its prediction is not its label. A higher uncertainty means a less certain prediction. Cases of
equal uncertainty have no order: each counts with the mean error of all of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import digamma

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.decisions.winner import VARIANT
from auscult.evaluation import scoring
from auscult.heads.outputs import class_columns
from auscult.metrics import intervals

# from the probabilities of one prediction alone: available for any network, without stochastic passes
CONFIDENCE = "confidence"
MEASURES = {  # column: (name, explanation)
    CONFIDENCE: ("plain confidence", "1 − the largest class probability"),
    "uncertainty": ("predictive entropy", "entropy of the class probabilities, nats"),
    "information": ("mutual information", "between output and weights, summed over the target's heads, nats"),
    "variance": ("variance of the passes", "of their probabilities, summed over the target's outputs"),
}
SHARES = (0.1, 0.2)


def risk_coverage(wrong: NDArray, uncertainty: NDArray) -> tuple[NDArray, NDArray]:
    """Coverage and risk when the 1, 2, …, n most certain cases are kept: two arrays (n,).

    Coverage is the share of all cases that are kept, risk the share of wrong cases among them. wrong: (n,) 0 or 1.
    uncertainty: (n,).
    """
    order, starts = _groups(uncertainty)
    sizes = np.diff(np.r_[starts, len(order)])
    rate = np.add.reduceat(wrong[order], starts) / sizes
    counts = np.arange(1, len(order) + 1)
    return counts / len(order), np.cumsum(np.repeat(rate, sizes)) / counts


def aurc(wrong: NDArray, uncertainty: NDArray, weights: NDArray | None = None) -> float | NDArray:
    """Area under the risk–coverage curve: the mean of the risks when 1, 2, …, n cases are kept.

    Lower is better; uncertainties that are unrelated to the errors give the error rate (Geifman and El-Yaniv 2017).
    weights: multiplicities (draws, n) of the cases, for a value per draw (draws,); without them, one value.
    """
    if not len(wrong):
        return float("nan")
    if weights is not None and len(weights) > (size := max(1, 2**20 // len(wrong))):  # so that memory is bounded
        parts = [aurc(wrong, uncertainty, weights[start : start + size]) for start in range(0, len(weights), size)]
        return np.concatenate(parts)
    order, starts = _groups(uncertainty)
    w = np.ones((1, len(order))) if weights is None else weights[:, order].astype(float)
    errors, size = np.add.reduceat(w * wrong[order], starts, axis=1), np.add.reduceat(w, starts, axis=1)
    rate = np.divide(errors, size, out=np.zeros_like(errors), where=size > 0)
    after, errors_after = size.cumsum(axis=1), errors.cumsum(axis=1)
    before, errors_before = after - size, errors_after - errors
    # the j-th case of a group of ties has risk (E + r j) / (n + j); this is the sum over j in closed form
    harmonic = digamma(after + 1) - digamma(before + 1)
    area = (rate * size + (errors_before - rate * before) * harmonic).sum(axis=1) / after[:, -1]
    return float(area[0]) if weights is None else area


def _groups(uncertainty: NDArray) -> tuple[NDArray, NDArray]:
    """Order of the cases from certain to uncertain, and the positions at which groups of equal uncertainty start."""
    order = np.argsort(uncertainty, kind="stable")
    in_order = uncertainty[order]
    return order, np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])


def most_uncertain(uncertainty: NDArray, share: float) -> NDArray:
    """Mask (n,) of the `share` of cases that are most uncertain; their number is rounded, ties count by their order."""
    order = np.argsort(-uncertainty, kind="stable")
    mask = np.zeros(len(uncertainty), dtype=bool)
    mask[order[: round(share * len(uncertainty))]] = True
    return mask


def uncertainty_table(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """Return how well each measure of uncertainty ranks the errors of each variant, pooled over the folds.

    A row per variant and measure: `aurc` with its interval (bootstrap over subjects); `minus_confidence` with interval
    (the measure's AURC minus that of plain confidence, on the same draws: below 0 the measure is better); `error`, the
    error rate; accuracy and weighted accuracy of the other cases when 10 % and 20 % are referred.
    """
    rows = []
    for key, part in predictions.groupby(["target", *VARIANT], sort=False):
        target = study.targets[key[0]]
        part = scoring.labelled_rows(part)
        if part.empty or target.kind == "multilabel":
            continue
        wrong = (part["prediction"] != part["label"]).to_numpy(dtype=float)
        subjects = part["subject"].to_numpy(dtype=str)
        draws = intervals.subject_draws(subjects, study.evaluation.draws, study.evaluation.seed)
        is_enough = len(np.unique(subjects)) >= scoring.MIN_SUBJECTS
        confidence = measure(part, target, CONFIDENCE)
        confidence_aurc, confidence_draws = aurc(wrong, confidence), aurc(wrong, confidence, draws)
        for name in MEASURES:
            values = measure(part, target, name)
            if values is None:
                continue
            value, value_draws = aurc(wrong, values), aurc(wrong, values, draws)
            low, high = intervals.interval(value_draws) if is_enough else (np.nan, np.nan)
            differences = value_draws - confidence_draws
            difference_low, difference_high = intervals.interval(differences) if is_enough else (np.nan, np.nan)
            row = dict(zip(["target", *VARIANT], key, strict=True)) | {
                "measure": name,
                "n": len(part),
                "error": wrong.mean(),
                "aurc": value,
                "aurc_low": low,
                "aurc_high": high,
                "minus_confidence": value - confidence_aurc,
                "minus_confidence_low": difference_low,
                "minus_confidence_high": difference_high,
            }
            for share in SHARES:
                scores = scoring.score(target, part[~most_uncertain(values, share)])
                row |= {f"{metric}_referring_{share:.0%}": scores[metric] for metric in ("accuracy", "w_acc")}
            rows.append({**row, "leak": scoring.variant_mark(leak, part)})
    return pd.DataFrame(rows, columns=None if rows else ["target", *VARIANT, "measure", "aurc"])


def measure(part: pd.DataFrame, target: Target, name: str) -> NDArray | None:
    """A measure of uncertainty (n,) of rows of predictions; None if no row of some fold has it.

    A case without recordings has no stochastic passes; its uncertainty is infinite.
    """
    if name == CONFIDENCE:
        return 1 - part[class_columns(target.classes)].to_numpy(dtype=float).max(axis=1)
    if name not in part or (part.groupby(["repeat", "fold"])[name].count() == 0).any():
        return None
    return part[name].fillna(np.inf).to_numpy(dtype=float)
