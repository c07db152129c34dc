"""Is the uncertainty worth something: risk against coverage, and what is gained by referring the most uncertain.

A case is wrong when its prediction is not its label. Uncertainties are any numbers of which higher means less sure;
cases of the same uncertainty are not told apart, so each counts as their mean.
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
from auscult.metrics import intervals

# how sure a prediction is, from its own probabilities alone: what any softmax network gives without extra passes
CONFIDENCE = "confidence"
MEASURES = {  # column: (short words, what it is)
    CONFIDENCE: ("plain confidence", "1 − the largest class probability"),
    "uncertainty": ("predictive entropy", "entropy of the class probabilities, nats"),
    "information": ("mutual information", "between output and weights, summed over the target's heads, nats"),
    "variance": ("variance of the passes", "of their probabilities, summed over the target's outputs"),
}
SHARES = (0.1, 0.2)


def risk_coverage(wrong: NDArray, uncertainty: NDArray) -> tuple[NDArray, NDArray]:
    """Share of all cases kept, and share of wrong ones among the kept, when the surest are kept: two arrays (n,).

    wrong: (n,) 0 or 1. uncertainty: (n,).
    """
    order, starts = _groups(uncertainty)
    sizes = np.diff(np.r_[starts, len(order)])
    rate = np.add.reduceat(wrong[order], starts) / sizes
    kept = np.arange(1, len(order) + 1)
    return kept / len(order), np.cumsum(np.repeat(rate, sizes)) / kept


def aurc(wrong: NDArray, uncertainty: NDArray, weights: NDArray | None = None) -> float | NDArray:
    """Area under the risk–coverage curve: the mean, over the cases, of the risk when a case is the last one kept.

    Lower is better; uncertainties that know nothing give the error rate (Geifman and El-Yaniv 2017). weights:
    multiplicities (draws, n) of the cases, for a value per draw (draws,); without them, one value.
    """
    if not len(wrong):
        return float("nan")
    order, starts = _groups(uncertainty)
    w = np.ones((1, len(order))) if weights is None else weights[:, order].astype(float)
    errors, size = np.add.reduceat(w * wrong[order], starts, axis=1), np.add.reduceat(w, starts, axis=1)
    rate = np.divide(errors, size, out=np.zeros_like(errors), where=size > 0)
    after, errors_after = size.cumsum(axis=1), errors.cumsum(axis=1)
    before, errors_before = after - size, errors_after - errors
    # of a group of ties, the j-th kept case has risk (E + r j) / (n + j); the sum over j in closed form
    harmonic = digamma(after + 1) - digamma(before + 1)
    area = (rate * size + (errors_before - rate * before) * harmonic).sum(axis=1) / after[:, -1]
    return float(area[0]) if weights is None else area


def _groups(uncertainty: NDArray) -> tuple[NDArray, NDArray]:
    """Order from the surest case on, and where in it the groups of equal uncertainty start."""
    order = np.argsort(uncertainty, kind="stable")
    ranked = uncertainty[order]
    return order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])


def referred(uncertainty: NDArray, share: float) -> NDArray:
    """Which cases are sent on (n,): the `share` of all, rounded, that are most uncertain; ties by their order."""
    order = np.argsort(-uncertainty, kind="stable")
    out = np.zeros(len(uncertainty), dtype=bool)
    out[order[: round(share * len(uncertainty))]] = True
    return out


def uncertainty_table(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """How well each measure of uncertainty ranks the errors of each variant, pooled over the folds.

    A row per variant and measure: `aurc` with its interval (bootstrap over subjects), `minus_confidence` with interval
    (the measure's AURC less that of plain confidence, on the same draws: below 0 the measure is better), the error
    rate, and accuracy and weighted accuracy of what is left when 10 % and 20 % are referred.
    """
    rows = []
    for key, part in predictions.groupby(["target", *VARIANT], sort=False):
        target = study.targets[key[0]]
        part = part[part["label"] != ""].sort_values(["repeat", "fold", "case"])
        if part.empty or target.kind == "multilabel":
            continue
        wrong = (part["prediction"] != part["label"]).to_numpy(dtype=float)
        subjects = part["subject"].to_numpy(dtype=str)
        draws = intervals.subject_draws(subjects, study.evaluation.draws, study.evaluation.seed)
        plain = measure(part, target, CONFIDENCE)
        plain_draws = aurc(wrong, plain, draws)
        for name in MEASURES:
            values = measure(part, target, name)
            if values is None:
                continue
            drawn, whole = aurc(wrong, values, draws), aurc(wrong, values)
            low, high = intervals.interval(drawn)
            less = whole - aurc(wrong, plain)
            less_low, less_high = intervals.interval(drawn - plain_draws)
            row = dict(zip(["target", *VARIANT], key, strict=True)) | {
                "measure": name,
                "n": len(part),
                "error": wrong.mean(),
                "aurc": whole,
                "aurc_low": low,
                "aurc_high": high,
                "minus_confidence": less,
                "minus_confidence_low": less_low,
                "minus_confidence_high": less_high,
            }
            for share in SHARES:
                left = scoring.score(target, part[~referred(values, share)])
                row |= {f"{metric}_referring_{share:.0%}": left[metric] for metric in ("accuracy", "w_acc")}
            rows.append({**row, "leak": scoring.variant_mark(leak, row["fit_on"])})
    return pd.DataFrame(rows, columns=None if rows else ["target", *VARIANT, "measure", "aurc"])


def measure(part: pd.DataFrame, target: Target, name: str) -> NDArray | None:
    """A measure of uncertainty (n,) of the rows of predictions; None where those of a fold do not have it.

    A case without recordings has no passes: nothing is less sure.
    """
    if name == CONFIDENCE:
        return 1 - part[[f"p_{c}" for c in target.classes]].to_numpy(dtype=float).max(axis=1)
    if name not in part or (part.groupby(["repeat", "fold"])[name].count() == 0).any():
        return None
    return part[name].fillna(np.inf).to_numpy(dtype=float)
