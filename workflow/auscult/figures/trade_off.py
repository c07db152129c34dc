"""Figure of operating points: weighted accuracy against UAR, from the best point for one to the best for the other.

The probabilities of the row `chosen` are calibrated, so that each point follows from them alone: the decisions that
are expected to score best by a share of weighted accuracy and the rest of UAR (`decisions/rules/calibrated.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.decisions.rules.calibrated import largest_weighted, utilities
from auscult.evaluation import scoring
from auscult.figures.drawing import PALETTE, WIDTH, Plot, blank
from auscult.heads.outputs import class_columns
from auscult.metrics import formulas
from auscult.metrics.intervals import interval, subject_draws

SHARES = np.linspace(1, 0, 21)
NAMED = {1.0: "cost", 0.75: "expected_75", 0.5: "expected_50", 0.25: "expected_25", 0.0: "expected_0"}
"""Shares of weighted accuracy, and the decision rules of these points."""
METRICS = {"w_acc": "weighted accuracy", "uar": "UAR"}
COLUMNS = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]


def operating_points(study: Study, target: Target, rows_chosen: pd.DataFrame) -> pd.DataFrame:
    """Scores with 95 % intervals over subjects of every share: `share, w_acc, w_acc_low, …, uar, …`.

    rows_chosen: labelled rows of `chosen`. No label takes part in a decision: how many cases a class has is taken from
    the probabilities.
    """
    p, weights, classes = rows_chosen[class_columns(target.classes)].to_numpy(), target.class_weights(), target.classes
    truth = rows_chosen["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=int)
    draws = subject_draws(rows_chosen["subject"], study.evaluation.draws, study.evaluation.seed)
    fewest = rows_chosen.groupby("label")["subject"].nunique().reindex(classes, fill_value=0).min()
    subjects = {"w_acc": rows_chosen["subject"].nunique(), "uar": fewest}  # as in the tables
    rows = []
    for share in SHARES:
        decisions = largest_weighted(p, utilities(p.sum(axis=0), weights, share))
        row = [share]
        matrices = [formulas.confusion(truth, decisions, len(classes), each) for each in (None, draws)]
        for metric in METRICS:
            value, of_draws = (_score(metric, matrix, weights) for matrix in matrices)
            is_enough = subjects[metric] >= scoring.MIN_SUBJECTS
            row += [float(value), *(interval(of_draws) if is_enough else (np.nan, np.nan))]
        rows.append(row)
    return pd.DataFrame(rows, columns=["share", *COLUMNS])


def _score(metric: str, matrix: NDArray, weights: NDArray) -> NDArray:
    """Weighted accuracy or UAR of confusion matrices (…, classes, classes); no UAR where a class has no case."""
    return formulas.weighted_accuracy(matrix, weights) if metric == "w_acc" else formulas.recalls(matrix).mean(axis=-1)


def trade_off(study: Study, name: str, target: Target, rows_chosen: pd.DataFrame) -> Iterator[Plot]:
    """Both scores of the row `chosen` at every operating point; those that decision rules have are marked."""
    rows = scoring.labelled_rows(rows_chosen)
    if rows.empty:
        return
    points = operating_points(study, target, rows)
    title = f"{name}: operating points of the row chosen"
    figure = blank(0.85 * WIDTH, title)
    axes = figure.add_subplot(xlabel="Share of weighted accuracy; UAR has the rest", ylabel="Score", xlim=(1.02, -0.02))
    axes.grid()
    named_points = points[points["share"].round(6).isin(NAMED)]
    for (metric, label), colour, marker in zip(METRICS.items(), PALETTE, "os", strict=False):
        axes.fill_between(
            points["share"], points[f"{metric}_low"], points[f"{metric}_high"], color=colour, alpha=0.15, lw=0
        )
        axes.plot(points["share"], points[metric], color=colour, lw=1.4)
        axes.plot(named_points["share"], named_points[metric], marker, color=colour, label=label)
    axes.set_xticks(list(NAMED), [f"{share:g}\n{rule}" for share, rule in NAMED.items()])
    axes.tick_params(axis="x", labelsize="small")
    figure.legend(loc="outside lower center", ncols=2)
    text = "; ".join(
        f"{NAMED[round(row['share'], 6)]} " + " and ".join(_with_interval(row, metric) for metric in METRICS)
        for row in named_points.to_dict("records")
    )
    alt = f"Weighted accuracy and UAR of {name} as weight goes from the first to the second. {text}."
    caption = (
        f"Each point takes the decisions that are expected to score best by a share of weighted accuracy and the rest "
        f"of UAR, on the calibrated probabilities of the row chosen ({scoring.count_text(rows)}); bands are 95 % "
        f"intervals over subjects. How many cases a class has is taken from the probabilities. Weighted accuracy and "
        f"UAR: {text}. The decision rules with these names do the same for each variant and fold, with the class sizes "
        f"of their own cases, so that their scores differ a little."
    )
    yield Plot(f"trade-off-{name}.svg", figure, title, alt, caption)


def _with_interval(row: dict[str, float], metric: str) -> str:
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    return f"{row[metric]:.3f} " + ("(no interval)" if np.isnan(low) else f"({low:.3f}–{high:.3f})")
