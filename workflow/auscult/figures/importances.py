"""Figures of the importance of the second stage's features in every fold, and of its stability over the folds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from auscult.figures.drawing import PALETTE, Plot, blank, shortened

MOST_FEATURES = 15
SHARES = ("shap", "gain")
STAGES = {"xgboost": "XGBoost", "logistic": "logistic regression", "logits": "regression on logits"}


def importance_figures(importances: pd.DataFrame) -> Iterator[Plot]:
    """Yield a figure for each target, system, stage and `fit_on`.

    importances: `target, system, stage, fit_on, fold, feature, gain, shap`; gain and shap are shares of the sum over
    the features in a fold.
    """
    if importances.empty:
        return
    for (target, system, stage, fit_on), part in importances.groupby(
        ["target", "system", "stage", "fit_on"], sort=False
    ):
        if part["shap"].any():
            yield _figure(target, system, stage, fit_on, part)


def stability(table: pd.DataFrame) -> float:
    """Mean rank correlation (Spearman) of a table features × folds over all pairs of folds; NaN with one fold.

    Features of importance 0 in all folds are left out: their equal ranks would raise the correlation.
    """
    ranks = table[(table > 0).any(axis=1)].rank()
    correlations = [ranks[a].corr(ranks[b]) for a, b in combinations(ranks, 2)]
    return float(np.mean(correlations)) if correlations else float("nan")


def _figure(target: str, system: str, stage: str, fit_on: str, part: pd.DataFrame) -> Plot:
    """The features of the largest mean |SHAP|: mean over the folds as a dot, smallest to largest value as a line."""
    by_fold = {share: part.pivot(index="feature", columns="fold", values=share) for share in SHARES}
    means = by_fold["shap"].mean(axis=1).sort_values(ascending=False, kind="stable")
    top = list(means.index[: min(MOST_FEATURES, int((means > 0).sum()))])
    title = f"{target}: feature importance, {STAGES.get(stage, stage)} of {system}"
    figure = blank(1.6 + 0.32 * len(top), title)
    axes = figure.add_subplot(xlabel="share of all features")
    labels = ("mean |SHAP|", "gain" if stage == "xgboost" else "mean |coefficient|")
    for k, (share, label) in enumerate(zip(SHARES, labels, strict=True)):
        rows = by_fold[share].loc[top]
        y = np.arange(len(top)) + (0.14 if k else -0.14)
        axes.hlines(y, rows.min(axis=1), rows.max(axis=1), color=PALETTE[k], lw=1.6)
        axes.plot(rows.mean(axis=1), y, "os"[k], color=PALETTE[k], ms=5.5, label=label)
    axes.set_yticks(range(len(top)), [shortened(name, 34) for name in top])
    axes.set_ylim(len(top) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=2)
    folds = by_fold["shap"].shape[1]
    correlation = stability(by_fold["shap"])
    best = [set(column.nlargest(MOST_FEATURES).index) for _, column in by_fold["shap"].items()]
    common = len(set.intersection(*best))
    largest = f"the largest are {', '.join(f'{name} {means[name]:.2f}' for name in top[:3])}"
    alt = f"Dots with lines for the {len(top)} features of the largest mean |SHAP|; {largest}."
    stable = ""
    if folds > 1 and np.isfinite(correlation):
        stable = (
            f" The mean rank correlation between two folds is {correlation:.2f}; {common} features are among the "
            f"{MOST_FEATURES} most important in all {folds} folds."
        )
    caption = (
        f"Fitted to {fit_on}. Dots: mean over {folds} folds; lines: smallest to largest value; {largest}.{stable} "
        "Correlated features share their importance."
    )
    return Plot(f"importance-{target}-{system}-{stage}-{fit_on}.svg", figure, title, alt, caption)
