"""What the second stage reads: importance of its features in every fold, and how stable that is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from auscult.figures.drawing import PALETTE, Drawn, blank, shortened

SHOWN = 15
SHARES = {"shap": "mean |SHAP|", "gain": "gain"}
STAGES = {"xgboost": "XGBoost", "logistic": "logistic regression"}


def importance_figures(importances: pd.DataFrame) -> Iterator[Drawn]:
    """A figure per target, system, learner and what it was fitted on.

    importances: `target, system, stage, fit_on, fold, feature, gain, shap`, shares of a fold's whole.
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

    Features that no fold reads are left out; they would agree by being nothing.
    """
    ranks = table[(table > 0).any(axis=1)].rank()
    found = [ranks[a].corr(ranks[b]) for a, b in combinations(ranks, 2)]
    return float(np.mean(found)) if found else float("nan")


def _figure(target: str, system: str, stage: str, fit_on: str, part: pd.DataFrame) -> Drawn:
    """The features of the largest mean |SHAP|: mean over the folds as a dot, least to largest as a line."""
    by_fold = {share: part.pivot(index="feature", columns="fold", values=share) for share in SHARES}
    means = by_fold["shap"].mean(axis=1).sort_values(ascending=False, kind="stable")
    top = list(means.index[: min(SHOWN, int((means > 0).sum()))])
    title = f"{target}: what {STAGES.get(stage, stage)} of {system} reads"
    figure = blank(1.6 + 0.32 * len(top), title)
    axes = figure.add_subplot(xlabel="share of all features")
    for k, (share, words) in enumerate(SHARES.items()):
        rows = by_fold[share].loc[top]
        y = np.arange(len(top)) + (0.14 if k else -0.14)
        axes.hlines(y, rows.min(axis=1), rows.max(axis=1), color=PALETTE[k], lw=1.6)
        axes.plot(rows.mean(axis=1), y, "os"[k], color=PALETTE[k], ms=5.5, label=words)
    axes.set_yticks(range(len(top)), [shortened(name, 34) for name in top])
    axes.set_ylim(len(top) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=2)
    folds = by_fold["shap"].shape[1]
    agree = stability(by_fold["shap"])
    best = [set(column.nlargest(SHOWN).index) for _, column in by_fold["shap"].items()]
    kept = len(set.intersection(*best))
    said = f"first {', '.join(f'{name} {means[name]:.2f}' for name in top[:3])}"
    alt = f"Dots with lines for the {len(top)} features of the largest mean |SHAP|; {said}."
    stable = f" Ranks of two folds correlate with {agree:.2f}" if folds > 1 and np.isfinite(agree) else ""
    stable += f"; {kept} of the first {SHOWN} are among the first {SHOWN} in all {folds} folds." if stable else ""
    caption = (
        f"Fitted on {fit_on}: mean over {folds} folds, lines from the least to the largest; {said}.{stable} "
        "Features that say the same share their importance."
    )
    return Drawn(f"importance-{target}-{system}-{stage}-{fit_on}.svg", figure, title, alt, caption)
