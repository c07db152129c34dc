"""Which variants each fold takes for the row `chosen`, and for new recordings; never by their test scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from auscult.config.targets import Target
from auscult.decisions import rules
from auscult.decisions.vote import positions, vote
from auscult.heads.labels import decode, encode
from auscult.heads.outputs import class_columns
from auscult.heads.uncertainty import entropy
from auscult.plan.names import NetworkName

VARIANT = ["system", "stage", "fit_on", "decision"]
CHOSEN = ("chosen", "chosen", "none", "chosen")
"""The row of what every fold takes, by the columns of `VARIANT`."""
FOLD = ["target", "repeat", "fold"]
KEYS = ["target", *VARIANT, "repeat", "fold"]


def comparable(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores that choose: those on inner folds, where there are any, else those on validation cases.

    A second stage fitted on the network's own training cases is not among them, nor is a network whose epoch the test
    cases chose.
    """
    scores = scores[(scores["fit_on"] != "train") & (scores["scored_on"] != "test")]
    inner = scores["scored_on"] == "inner"
    return scores[inner] if inner.any() else scores


def choose(scores: pd.DataFrame, choose_by: str) -> pd.Series:
    """Whether a fold takes a variant: a boolean for every row of the scores.

    A fold takes its best variant and all that are within one standard error of it (that of the best one's score). Of
    variants that differ only in their calibration it takes the best one, for a score that reads no decisions
    (choose_by `auroc`) the best decision of each stage. Of equal ones that which stands first.
    """
    table = comparable(scores).fillna({"score": -np.inf, "standard_error": 0.0})
    table = table.assign(alike=table["decision"].map(lambda name: _alike(name, choose_by)))
    best_first = table.sort_values("score", ascending=False, kind="stable")
    best = best_first.drop_duplicates(FOLD).set_index(FOLD)
    limit = (best["score"] - best["standard_error"]).rename("limit")
    # of variants without a score the first one is taken alone
    best_first = best_first.join(limit, on=FOLD).assign(first=~best_first.duplicated(FOLD))
    distinct = best_first.drop_duplicates([*FOLD, "system", "stage", "fit_on", "alike"])
    is_near = distinct["first"] | (np.isfinite(distinct["score"]) & (distinct["score"] >= distinct["limit"]))
    return pd.Series(scores.index.isin(distinct.index[is_near]), index=scores.index)


def _alike(decision: str, choose_by: str) -> str:
    """A text that is the same for decisions that count once."""
    if choose_by == "auroc":
        return ""
    return "calibrated" if rules.get(decision).calibrates else decision


def chosen_rows(
    targets: Mapping[str, Target], predictions: pd.DataFrame, calibrated: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame:
    """The rows `chosen` of the predictions: in every fold the variants that it takes vote.

    calibrated: `p_<class>` for each row of the predictions; the mean over the variants is the probability of a row.
    scores: with the column `chosen`. `information` and `variance` are means too, empty where a variant has none. The
    rows' `chosen_on` ends in `twice` where that of a variant does: the same cases tuned its learner, and scored it.
    """
    rows_of = predictions.groupby(KEYS, sort=False).indices
    scored_on = comparable(scores)["scored_on"].iloc[0]
    tables = []
    for (name, _, _), picks in scores[scores["chosen"]].groupby(FOLD, sort=False):
        target, columns = targets[name], class_columns(targets[name].classes)
        variants = [rows_of[key] for key in picks[KEYS].itertuples(index=False, name=None)]
        table = predictions.iloc[variants[0]].reset_index(drop=True)
        parts = [rows[positions(predictions["case"].iloc[rows], table["case"])] for rows in variants]
        voters = [
            (
                calibrated.iloc[rows][columns].to_numpy(dtype=float),
                encode(predictions["prediction"].iloc[rows], target.classes, target.kind),
            )
            for rows in parts
        ]
        p, decisions, _ = vote(target, voters)
        table["prediction"] = decode(decisions, target.classes)
        table[columns] = p
        table["uncertainty"] = entropy(p, target.kind)
        for column in ("information", "variance"):
            table[column] = np.mean([predictions[column].iloc[rows].to_numpy(dtype=float) for rows in parts], axis=0)
        is_twice = any(predictions["chosen_on"].iloc[rows].str.endswith("twice").any() for rows in parts)
        tables.append(table.assign(is_twice=is_twice, **dict(zip(VARIANT, CHOSEN, strict=True))))
    table = pd.concat(tables, ignore_index=True)
    is_twice = table.pop("is_twice").groupby(table["target"]).transform("any")
    return table.assign(chosen_on=np.where(is_twice, f"{scored_on} twice", scored_on))


def winners(scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By target what is applied to new recordings: in every fold the variants that it takes, see `choose`.

    `folds`: by name of the fold a list of variants `system, stage, fit_on, decision, inner_score` (four decimals; None
    where it has none). `scored_on`: the cases that they were scored on. scores: with the column `chosen`.
    """
    result = {}
    for target, rows in scores[scores["chosen"]].groupby("target", sort=False):
        folds: dict[str, list[dict[str, Any]]] = {}
        for row in rows.to_dict("records"):
            variant = {column: row[column] for column in VARIANT} | {"inner_score": _rounded(row["score"])}
            folds.setdefault(str(NetworkName(row["repeat"], row["fold"])), []).append(variant)
        result[target] = {"folds": folds, "scored_on": rows["scored_on"].iloc[0]}
    return result


def only_best(scores: pd.DataFrame) -> pd.Series:
    """Whether a row is of the variant of its target with the best mean score over all folds, alone in each of them."""
    table = comparable(scores)
    means = table.groupby(["target", *VARIANT], sort=False)["score"].mean().fillna(-np.inf)
    best = means.groupby("target", sort=False).idxmax()
    is_best = pd.MultiIndex.from_frame(table[["target", *VARIANT]]).isin(best)
    return pd.Series(scores.index.isin(table.index[is_best]), index=scores.index)


def summary(winner: dict[str, Any]) -> str:
    """The first five variants of a winner, those of most folds first: `pair, network, cost (in 5 of 5 folds); …`."""
    folds = winner["folds"].values()
    names = [
        ", ".join(variant[column] for column in VARIANT if variant[column] != "none")
        for variants in folds
        for variant in variants
    ]
    counts = Counter(names).most_common()
    text = "; ".join(f"{name} (in {count} of {len(folds)} folds)" for name, count in counts[:5])
    return f"{text}; and {len(counts) - 5} more" if len(counts) > 5 else text


def _rounded(score: float) -> float | None:
    return round(float(score), 4) if pd.notna(score) else None
