"""Which cases are worth hearing: the clearest errors and detections of each class, the least sure, those asked for."""

from __future__ import annotations

import pandas as pd

from auscult.config.targets import Target
from auscult.heads.outputs import class_columns

EACH = 2
"""Cases of a kind, for each class."""
REASONS = {
    "asked": "asked for",
    "miss": "an error whose label is the least probable",
    "unsure": "among the least sure",
    "hit": "among the most probable detections",
}


class ListeningError(Exception):
    """A case that was asked for has no prediction."""


def worth_hearing(
    name: str, target: Target, rows: pd.DataFrame, user_cases: list[str], with_recordings: set[str]
) -> pd.DataFrame:
    """Return `case, target, reason, of_class`: the cases of a target worth hearing, those asked for first.

    Of each class: `miss`, decided otherwise and the least probable; `hit`, decided so and the most probable. Of all:
    `unsure`, the largest uncertainty. A case has one row for each reason. Deterministic: ties go by the case's id.

    rows: of the row `chosen` of predictions.csv for this target. Of several repeats the first counts. with_recordings:
    cases that have a recording; others are on the page only where they are asked for.
    """
    reasons = [(case, "asked", "") for case in user_cases if case in set(rows["case"])]
    rows = rows[(rows["repeat"] == rows["repeat"].min()) & rows["case"].isin(with_recordings)].sort_values("case")
    rows_with_label = rows[rows["label"] != ""]
    for of_class, column in zip(target.classes, class_columns(target.classes), strict=True):
        is_label, is_decided = (_has(rows_with_label[key], of_class) for key in ("label", "prediction"))
        misses = rows_with_label[is_label & ~is_decided].nsmallest(EACH, column)
        hits = rows_with_label[is_label & is_decided].nlargest(EACH, column)
        reasons += [(case, "miss", of_class) for case in misses["case"]]
        reasons += [(case, "hit", of_class) for case in hits["case"]]
    reasons += [(case, "unsure", "") for case in rows_with_label.nlargest(EACH, "uncertainty")["case"]]
    return pd.DataFrame(reasons, columns=["case", "reason", "of_class"]).assign(target=name)


def _has(cells: pd.Series, of_class: str) -> pd.Series:
    """Whether a cell, which may have several classes, has this one."""
    return cells.map(lambda cell: of_class in cell.split("|")).astype(bool)


def chosen_cases(
    targets: dict[str, Target], predictions: pd.DataFrame, user_cases: list[str], with_recordings: set[str]
) -> pd.DataFrame:
    """Return the cases of all targets worth hearing, see `worth_hearing`.

    predictions: predictions.csv. Raises ListeningError for a case that was asked for and is in no test set.
    """
    rows_chosen = predictions[predictions["system"] == "chosen"]
    if unknown := [case for case in user_cases if case not in set(rows_chosen["case"])]:
        raise ListeningError(
            f"--config cases: there is no test case {unknown[0]!r} in this study; end an id of digits with a comma "
            "(cases=007,), which keeps it a text, and name cases of one study at a time"
        )
    tables = [
        worth_hearing(name, target, rows_chosen[rows_chosen["target"] == name], user_cases, with_recordings)
        for name, target in targets.items()
    ]
    return pd.concat(tables, ignore_index=True)
