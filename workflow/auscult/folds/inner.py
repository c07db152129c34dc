"""Inner folds: folds of the training and validation cases of each fold, for out-of-fold predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from auscult.config.protocols import InnerFolds, Protocol, group_of
from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.folds.labels import check_labelled
from auscult.folds.planned import FoldError
from auscult.folds.splitting import splits_without_warnings
from auscult.folds.stratify import stratify_keys
from auscult.folds.validation import draw_validation

COLUMNS = ["repeat", "fold", "inner", "case", "role"]


def assign_inner(
    inner: InnerFolds,
    protocol: Protocol,
    targets: dict[str, TargetClasses],
    tasks: dict[str, Task],
    cases: pd.DataFrame,
    folds: pd.DataFrame,
) -> pd.DataFrame:
    """Return the roles of cases in the inner folds: a sorted table `repeat, fold, inner, case, role`.

    The training and validation cases of a fold are divided by the protocol's group (the subject by default), with
    labels in proportion. In each repeat of the division, a case is `test` in one inner fold, and `train` or `val` in
    the others. Inner folds are numbered on from repeat to repeat. The fold's test cases are not in the table.

    Raises FoldError when a fold does not have more groups than inner folds, and when no training or no validation case
    of an inner fold has a label.
    """
    cases_by_id = cases.sort_values("case").set_index("case", drop=False)
    group_column = group_of(protocol)
    parts = []
    for (repeat, fold), rows in folds.groupby(["repeat", "fold"]):
        case_ids = sorted(rows.loc[rows["role"].isin(["train", "val"]), "case"])
        cases_of_fold = cases_by_id.loc[case_ids].reset_index(drop=True)
        keys, groups = stratify_keys(protocol, targets, cases_of_fold), cases_of_fold[group_column].to_numpy()
        if len(set(groups)) <= inner.folds:
            raise FoldError(
                f"inner_folds.folds: {inner.folds} inner folds of {len(set(groups))} values of {group_column!r} in "
                f"fold {fold}; "
                + ("lower it" if len(set(groups)) > 2 else f"use more data or another column than {group_column!r}")
            )
        try:
            for repetition in range(inner.repeats):
                seed = inner.seed + repetition
                splitter = StratifiedGroupKFold(inner.folds, shuffle=True, random_state=seed)
                splits = splits_without_warnings("inner_folds.folds", splitter.split, keys, keys, groups)
                for number, (rest, test) in enumerate(splits):
                    roles = np.full(len(cases_of_fold), "train", dtype=object)
                    roles[test] = "test"
                    roles[draw_validation(rest, keys, groups, inner.val, seed, "inner_folds.val")] = "val"
                    key = {"repeat": repeat, "fold": fold, "inner": repetition * inner.folds + number}
                    parts.append(pd.DataFrame({**key, "case": cases_of_fold["case"], "role": roles}))
                    check_labelled(tasks, cases_of_fold, parts[-1], f"inner fold {key['inner']}")
        except FoldError as error:
            raise FoldError(
                f"inner_folds: the {len(cases_of_fold)} cases of fold {fold} cannot be divided: lower "
                f"inner_folds.folds ({error})"
            ) from None
    return pd.concat(parts)[COLUMNS].sort_values(COLUMNS[:4]).reset_index(drop=True)
