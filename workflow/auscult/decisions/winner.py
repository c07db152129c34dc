"""Which variant is taken: by each fold for the row `chosen`, and for new recordings; never by its test scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

VARIANT = ["system", "stage", "fit_on", "decision"]
CHOSEN = ("chosen", "chosen", "none", "chosen")
"""The row in which each fold takes its best variant, by the columns of `VARIANT`."""
KEYS = ["target", *VARIANT, "repeat", "fold"]


def comparable(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores that choose: those on inner folds, where there are any, else those on validation cases.

    A second stage fitted on the network's own training cases is not among them, nor is a network whose epoch the test
    cases chose.
    """
    scores = scores[(scores["fit_on"] != "train") & (scores["scored_on"] != "test")]
    inner = scores["scored_on"] == "inner"
    return scores[inner] if inner.any() else scores


def choose(predictions: pd.DataFrame, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows `chosen` of the predictions, and the scores with a column `chosen`.

    Each fold takes the variant that is best on its own inner score. Ties go to the variant that stands first. The rows'
    `chosen_on` ends in `twice` where that of a fold's variant does.
    """
    candidates = comparable(scores).fillna({"score": float("-inf")})
    best = candidates.groupby(["target", "repeat", "fold"], sort=False)["score"].transform("max") == candidates["score"]
    first = candidates[best].drop_duplicates(["target", "repeat", "fold"])
    rows = predictions.merge(first[KEYS], on=KEYS)
    chosen_on = candidates["scored_on"].iloc[0]
    # the same cases tuned the learner of a pick, and then scored it
    is_twice = rows["chosen_on"].str.endswith("twice").groupby(rows["target"]).transform("any")
    rows = rows.assign(chosen_on=np.where(is_twice, f"{chosen_on} twice", chosen_on))
    return rows.assign(**dict(zip(VARIANT, CHOSEN, strict=True))), scores.assign(chosen=scores.index.isin(first.index))


def best_variants(scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By target the variant with the best mean inner or validation score over all folds.

    Each is `system, stage, fit_on, decision`, its `inner_score` (four decimals; None where it has none) and
    `scored_on`, the cases that it was scored on.
    """
    variants = {}
    for target, rows in comparable(scores).groupby("target", sort=False):
        means = rows.groupby(VARIANT, sort=False)["score"].mean()
        best = means.fillna(-np.inf).idxmax()
        variants[target] = {
            **dict(zip(VARIANT, best, strict=True)),
            "inner_score": round(float(means[best]), 4) if pd.notna(means[best]) else None,
            "scored_on": rows["scored_on"].iloc[0],
        }
    return variants
