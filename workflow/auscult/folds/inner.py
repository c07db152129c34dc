"""Inner folds: every fold's own cases, without those that it judges, divided once more."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from auscult.config.protocols import InnerFolds, Protocol
from auscult.config.targets import TargetClasses
from auscult.folds.planned import FoldError
from auscult.folds.protocols import draw_validation, quiet, stratify_keys

COLUMNS = ["repeat", "fold", "inner", "case", "role"]


def assign_inner(
    inner: InnerFolds,
    protocol: Protocol,
    targets: dict[str, TargetClasses],
    cases: pd.DataFrame,
    folds: pd.DataFrame,
) -> pd.DataFrame:
    """Roles inside every fold: a table `repeat, fold, inner, case, role`, sorted.

    The cases that a fold trains and stops on are divided by the protocol's group (the subject by default), labels in
    proportion: each is `test` in one inner fold, and `train` or `val` in the others. Every repeat divides them anew;
    its inner folds are numbered on. Judged cases are not in the table. Raises FoldError when groups are fewer than
    inner folds.
    """
    table = cases.sort_values("case").set_index("case", drop=False)
    column = getattr(protocol, "group", "subject")
    parts = []
    for (repeat, fold), part in folds.groupby(["repeat", "fold"]):
        mine = table.loc[sorted(part.loc[part["role"].isin(["train", "val"]), "case"])].reset_index(drop=True)
        keys, groups = stratify_keys(protocol, targets, mine), mine[column].to_numpy()
        if len(set(groups)) <= inner.folds:
            raise FoldError(
                f"inner_folds.folds: {inner.folds} of {len(set(groups))} values of {column!r} in fold {fold}; lower it"
            )
        try:
            for again in range(inner.repeats):
                seed = inner.seed + again
                splitter = StratifiedGroupKFold(inner.folds, shuffle=True, random_state=seed)
                for number, (rest, held) in enumerate(quiet(splitter.split, keys, keys, groups)):
                    roles = np.full(len(mine), "train", dtype=object)
                    roles[held] = "test"
                    roles[draw_validation(rest, keys, groups, inner.val, seed, "inner_folds.val")] = "val"
                    key = {"repeat": repeat, "fold": fold, "inner": again * inner.folds + number}
                    parts.append(pd.DataFrame({**key, "case": mine["case"], "role": roles}))
        except FoldError as error:
            raise FoldError(
                f"inner_folds: the {len(mine)} cases of fold {fold} cannot be divided: lower inner_folds.folds or "
                f"raise inner_folds.val ({error})"
            ) from None
    return pd.concat(parts)[COLUMNS].sort_values(COLUMNS[:4]).reset_index(drop=True)


def as_folds(inner: pd.DataFrame) -> pd.DataFrame:
    """Inner folds in the form of folds, for the audit: `fold` reads 0i2 for inner fold 2 of fold 0."""
    names = inner["fold"].astype(str) + "i" + inner["inner"].astype(str)
    return inner.assign(fold=names)[["repeat", "fold", "case", "role"]]
