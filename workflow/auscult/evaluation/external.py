"""Scores of a winner on labelled recordings of another data set: labels in the study's words, metrics, subgroups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from auscult.config.dataset import OtherLabel
from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.datasets.base import Columns
from auscult.decisions.predictions import should_refer
from auscult.decisions.winner import CHOSEN, VARIANT
from auscult.evaluation.scoring import labelled_rows, with_intervals
from auscult.folds.labels import same_word
from auscult.heads.outputs import class_columns

MOST_GROUPS = 20
"""Values of a column, above which it does not divide the cases into groups."""


class ExternalError(Exception):
    """The cases of another data set have no labels that the study's targets can be compared with."""


def words_of(target: Target, cases: pd.DataFrame, label: OtherLabel | None, place: str) -> pd.Series:
    """Return the label of each case, by its id, in words of a target, '' where it has none. Raises ExternalError.

    label: the column and words of this data set; None where they are the target's own. place: where to say otherwise.
    """
    column = label.column if label else target.label
    if column not in cases:
        raise ExternalError(
            f"the cases have no column {column!r}, they have {', '.join(cases.columns)}; name the column of the labels "
            f"and its words in {place}"
        )
    cells = cases.set_index("case")[column]
    own_words = list(label.words) if label else target.classes
    for word in sorted({word for cell in set(cells) for word in cell.split("|")} - {"", *own_words}):
        if meant := same_word(word, own_words):
            raise ExternalError(
                f"the column {column!r} has {word!r} where {'|'.join(meant)!r} is meant; write it so, or see {place}"
            )
    if label:
        words = label.read(cells, target.kind == "multilabel")
    elif target.kind == "multilabel":
        words = cells if set("|".join(cells).split("|")) & set(own_words) else cells.map(lambda cell: "")
    else:
        words = cells.where(cells.isin(target.classes), "")
    if (words == "").all():
        words_there = ", ".join(sorted(set(cells) - {""})[:8]) or "only empty cells"
        raise ExternalError(f"no case has a label of the target: the column {column!r} has {words_there}; see {place}")
    return words


def judged_rows(
    study: Study, name: str, predictions: pd.DataFrame, cases: pd.DataFrame, words: pd.Series
) -> pd.DataFrame:
    """Predictions of a target beside the labels, in the form of predictions.csv.

    predictions: `case, prediction, p_<class>…, uncertainty`. cases: with `case, subject`. words: labels by case.
    """
    key = {**dict(zip(["target", *VARIANT], (name, *CHOSEN), strict=True)), "repeat": 0, "fold": 0}
    table, by_case = predictions.assign(**key, chosen_on=""), cases.set_index("case").loc[predictions["case"]]
    table["subject"] = by_case["subject"].to_numpy()
    table["label"] = words.loc[table["case"]].to_numpy()
    referral = study.targets[name].referral
    # without a positive case nothing says that the words of the two data sets mean the same
    is_known = referral and referral.label in cases and by_case[referral.label].isin(referral.positive).any()
    table["should_refer"] = should_refer(study.targets[name], by_case) if is_known else ""
    return table


def check_referral(target: Target, cases: pd.DataFrame) -> None:
    """Raise ExternalError for a positive value of the target's referral in another writing."""
    referral = target.referral
    if not referral or referral.label not in cases:
        return
    for value in sorted(set(cases[referral.label]) - {"", *referral.positive}):
        if meant := same_word(value, referral.positive):
            raise ExternalError(
                f"the column {referral.label!r} has {value!r} where {'|'.join(meant)!r} is meant; write it so"
            )


def with_classes_there(target: Target, rows: pd.DataFrame) -> tuple[Target, pd.DataFrame]:
    """Return a target with the classes that the labels have, and its rows; their probabilities sum to 1 again.

    Without it, metrics of all classes would be undefined where the other data set lacks one. A decision for a class
    that it lacks is an error: it becomes one for a class that is not the label, and the cost of referrals, which it
    may have been one of, is not computed. Of a multilabel target, and where there is one class only, nothing changes.
    """
    present = [name for name in target.classes if (rows["label"] == name).any()]
    if target.kind == "multilabel" or len(present) < 2 or present == target.classes:
        return target, rows
    weights = dict(zip(target.classes, target.class_weights(), strict=True))
    columns = class_columns(present)
    p = rows[columns].to_numpy(dtype=float)
    shares = p / np.maximum(p.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    update = {"classes": present, "weights": [weights[name] for name in present]}
    update |= {"normal": target.normal if target.normal in present else None, "referral": None}
    wrong = {name: next(other for other in present if other != name) for name in ["", *present]}
    prediction = rows["prediction"].where(rows["prediction"].isin(present), rows["label"].map(wrong))
    rows = rows.assign(prediction=prediction, **dict(zip(columns, shares.T, strict=True)))
    return target.model_copy(update=update), rows


def external_table(
    study: Study, rows: pd.DataFrame, cases: pd.DataFrame, columns: Columns, known_cases: set[str], data: str, mark: str
) -> pd.DataFrame:
    """Return a row per target, and one per group of a group or attribute column with few values.

    Columns: `target, data, by, group, n, known, unlabelled`, all metrics with intervals over subjects, `leak`. `known`
    and `unlabelled` count cases that are left out: the study's own, and those without a label.

    Parameters
    ----------
    rows : of all targets, see `judged_rows`.
    cases, columns : of the other data set.
    known_cases : cases that the study knows.
    data : the name of the other data set. mark : the cell of the column `leak`.
    """
    groups: list[tuple[str, str, set[str]]] = [("", "all", set(cases["case"]))]
    for column in [*columns.groups, *columns.attributes]:
        values = cases[column]
        if 1 < values.nunique() <= MOST_GROUPS:
            groups += [(column, value, set(cases.loc[values == value, "case"])) for value in sorted(set(values) - {""})]
    lines: list[dict[str, Any]] = []
    for name, of_target in rows.groupby("target", sort=False):
        target, of_others = with_classes_there(study.targets[name], of_target[~of_target["case"].isin(known_cases)])
        for by, group, members in groups:
            part = of_others[of_others["case"].isin(members)]
            rows_with_label = labelled_rows(part)
            counts = {
                "n": len(rows_with_label),
                "known": int(of_target["case"].isin(known_cases & members).sum()),
                "unlabelled": len(part) - len(rows_with_label),
            }
            scores = with_intervals(study, target, rows_with_label) if len(rows_with_label) else {}
            lines.append({"target": name, "data": data, "by": by, "group": group, **counts, **scores, "leak": mark})
    table = pd.DataFrame(lines)
    ends = [column for column in table if column != "leak"]
    return table[[*ends, "leak"]]


def of_winner(tables: list[pd.DataFrame], winner: str) -> pd.DataFrame:
    """Return the rows of tables that `snakemake validate` has written for a winner. winner: digest of winner.json."""
    rows = [table[table["winner"] == winner] for table in tables]
    return pd.concat([pd.DataFrame(), *(part for part in rows if len(part))])
