"""Protocols: they give each case of a manifest its role in every fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold, train_test_split

from auscult.config.protocols import CV10, M2D3, Column, Fixed, GroupCV, Protocol, Walker
from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.datasets.ids import folded
from auscult.folds.labels import check_labelled, check_labels
from auscult.folds.planned import FoldError, read_fixed, read_list
from auscult.folds.splitting import splits_without_warnings
from auscult.folds.stratify import stratify_keys
from auscult.folds.validation import draw_validation
from auscult.progress import note

# The published code stratifies by these indicators, joined. Their order decides which cases its seed selects.
INDICATORS = ("Normal", "Abnormal", "Absent", "Present", "Unknown")


def assign(
    protocol: Protocol,
    targets: dict[str, TargetClasses],
    tasks: dict[str, Task],
    cases: pd.DataFrame,
    lists: Path,
) -> pd.DataFrame:
    """Return the role of every case in every fold: a sorted table `repeat, fold, case, role`.

    Parameters
    ----------
    protocol, targets, tasks : of the study; the label columns of targets and heads must be in `cases`.
    cases : the manifest's cases; the order of the rows does not matter.
    lists : folder of the published lists (`m2d_1.csv`, …).

    Raises FoldError when the protocol cannot be applied to these cases.
    """
    cases = cases.sort_values("case").reset_index(drop=True)
    check_labels(targets, tasks, cases)
    keys = stratify_keys(protocol, targets, cases)
    functions = {GroupCV: _group_cv, CV10: _cv10, Walker: _walker, Fixed: _fixed, Column: _column}
    if isinstance(protocol, M2D3):
        folds = _m2d3(protocol, cases, lists)
    else:
        folds = functions[type(protocol)](protocol, cases, keys)
    for (repeat, fold), fold_rows in folds.groupby(["repeat", "fold"]):
        for role in ("train", "val", "test"):
            if role not in set(fold_rows["role"]):
                raise FoldError(
                    f"protocol: {protocol.name} gives fold {fold} of repeat {repeat} no {role} case; change its "
                    "shares, values or seed, or use more data"
                )
        check_labelled(tasks, cases, fold_rows, f"protocol: {protocol.name}: fold {fold} of repeat {repeat}")
    return folds.sort_values(["repeat", "fold", "case"]).reset_index(drop=True)


def _published_keys(keys: np.ndarray) -> np.ndarray:
    """Return keys that sort as those of the published code if they contain its classes, else as before."""
    flags = ["".join(str(int(name in key.split("/"))) for name in INDICATORS) for key in keys]
    return np.array([f"{flag}/{key}" for flag, key in zip(flags, keys, strict=True)], dtype=object)


def _group_cv(protocol: GroupCV, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    groups = _groups(cases, protocol.group)
    group_count = len(set(groups))
    if group_count < protocol.folds:
        advice = (
            f"lower it to {group_count}"
            if group_count > 2
            else "test, validation and training cases need a value each: use more data or another protocol.group"
        )
        raise FoldError(
            f"protocol.folds: {protocol.folds} folds of {group_count} value{'s' if group_count > 1 else ''} of "
            f"{protocol.group!r}; {advice}"
        )
    parts = []
    for repeat in range(protocol.repeats):
        seed = protocol.seed + repeat
        splitter = StratifiedGroupKFold(protocol.folds, shuffle=True, random_state=seed)
        splits = splits_without_warnings("protocol.folds", splitter.split, keys, keys, groups)
        for fold, (rest, test) in enumerate(splits):
            roles = np.full(len(cases), "train", dtype=object)
            roles[test] = "test"
            roles[draw_validation(rest, keys, groups, protocol.val, seed, "protocol.val")] = "val"
            parts.append(_fold_rows(repeat, fold, cases, roles))
    return pd.concat(parts)


def _cv10(protocol: CV10, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    order = _numeric_order(cases)
    keys = _published_keys(keys[order])
    splitter_class = StratifiedKFold if protocol.stratified else KFold
    if len(order) < 10:
        raise FoldError(f"protocol.name: cv10 makes 10 folds; the data set has {len(order)} cases")
    parts = []
    splitter = splitter_class(10, shuffle=True, random_state=42)
    splits = splits_without_warnings("protocol.name: cv10", splitter.split, order, keys)
    for fold, (rest, test) in enumerate(splits):
        strata = keys[rest] if protocol.stratified else None
        _, val = _split(rest, protocol.val / (1 - protocol.test), 42, strata)
        roles = np.full(len(cases), "train", dtype=object)
        roles[order[test]] = "test"
        roles[order[val]] = "val"
        parts.append(_fold_rows(0, fold, cases, roles))
    return pd.concat(parts)


def _walker(protocol: Walker, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    order = _numeric_order(cases)
    keys = _published_keys(keys[order])
    positions = np.arange(len(order))
    parts = []
    for repeat, seed in enumerate(protocol.seeds):
        rest, test = _split(positions, protocol.test, seed, keys)
        _, val = _split(rest, protocol.val / (1 - protocol.test), seed + 1, keys[rest])
        roles = np.full(len(cases), "train", dtype=object)
        roles[order[test]] = "test"
        roles[order[val]] = "val"
        parts.append(_fold_rows(repeat, 0, cases, roles))
    return pd.concat(parts)


def _split(positions: np.ndarray, share: float, seed: int, strata: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        return train_test_split(positions, test_size=share, random_state=seed, stratify=strata)
    except ValueError as error:
        raise FoldError(f"protocol: the published split cannot be made of these cases: {error}") from error


def _m2d3(protocol: M2D3, cases: pd.DataFrame, lists: Path) -> pd.DataFrame:
    parts = []
    for number in protocol.lists:
        role_of_case = read_list(lists, number).set_index("case")["role"]
        roles = cases["case"].map(role_of_case).fillna("unused").to_numpy()
        if (roles == "test").any():
            parts.append(_fold_rows(number - 1, 0, cases, roles))
    if not parts:
        raise FoldError("protocol.lists: none of the published lists has a test case among these cases")
    return pd.concat(parts)


def _fixed(protocol: Fixed, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    table = read_fixed(protocol)
    unknown_cases = set(table["case"]) - set(cases["case"])
    if unknown_cases:
        raise FoldError(f"protocol.file: {protocol.file}: case {min(unknown_cases)!r} is not in the data set")
    _report_missing(protocol, cases, table)
    table = table.drop_duplicates(["repeat", "fold", "case", "role"])
    tests = table[table["role"] == "test"]
    if (is_repeated := tests.duplicated(["repeat", "case"])).any():
        repeat, case = tests.loc[is_repeated, ["repeat", "case"]].iloc[0]
        folds = tests.loc[(tests["repeat"] == repeat) & (tests["case"] == case), "fold"]
        raise FoldError(
            f"protocol.file: {protocol.file}: case {case!r} is a test case of folds "
            f"{' and '.join(map(str, sorted(folds)))} of repeat {repeat}; a case is tested once in a repeat, so number "
            "the second one as another repeat"
        )
    groups = _groups(cases, protocol.group)
    parts = []
    for (repeat, fold), rows in table.groupby(["repeat", "fold"]):
        if (is_duplicate := rows["case"].duplicated()).any():
            case = rows.loc[is_duplicate, "case"].iloc[0]
            raise FoldError(
                f"protocol.file: {protocol.file}: case {case!r} has two roles in fold {fold} of repeat {repeat}"
            )
        roles = cases["case"].map(rows.set_index("case")["role"]).fillna("unused").to_numpy()
        if "val" not in roles:
            rest = np.flatnonzero(roles == "train")
            roles[draw_validation(rest, keys, groups, protocol.val, protocol.seed, "protocol.val")] = "val"
        parts.append(_fold_rows(repeat, fold, cases, roles))
    return pd.concat(parts)


def _report_missing(protocol: Fixed, cases: pd.DataFrame, table: pd.DataFrame) -> None:
    """Write into the log which cases of the data set the file, or one of its folds, does not name."""
    in_file = set(table["case"])
    for place, names, expected_names in [
        ("the file", in_file, set(cases["case"])),
        *(
            (f"fold {fold} of repeat {repeat}", set(rows["case"]), in_file)
            for (repeat, fold), rows in table.groupby(["repeat", "fold"])
        ),
    ]:
        if missing := sorted(expected_names - names):
            note(
                f"protocol.file: {protocol.file}: {place} has no row for {len(missing)} of {len(cases)} cases, which "
                f"are unused: {', '.join(missing)}"
            )


def _column(protocol: Column, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    _check_words("protocol.column", cases, protocol.column)
    values = cases[protocol.column]
    _check_values(protocol, values, cases["case"])
    roles = np.full(len(cases), "train", dtype=object)
    for role, role_values in (("val", protocol.val), ("test", protocol.test)):
        if absent_values := set(role_values) - set(values):
            raise FoldError(f"protocol.{role}: no case has {protocol.column} {min(absent_values)!r}")
        roles[values.isin(role_values)] = role
    if not protocol.val:
        groups, rest = _groups(cases, protocol.group), np.flatnonzero(roles == "train")
        roles[draw_validation(rest, keys, groups, protocol.draw, protocol.seed, "protocol.draw")] = "val"
    return _fold_rows(0, 0, cases, roles)


def _check_values(protocol: Column, values: pd.Series, case_ids: pd.Series) -> None:
    """Raise FoldError for a value that would train silently: an empty one, or a test value in another writing."""
    named_values = {folded(value): value for value in (*protocol.val, *protocol.test)}
    for case, value in zip(case_ids, values, strict=True):
        if not value.strip():
            raise FoldError(f"protocol.column: case {case!r} has no {protocol.column}; give it one, or remove it")
        if (named_value := named_values.get(folded(value), value)) != value:
            raise FoldError(
                f"protocol.column: case {case!r} has {protocol.column} {value!r}, not {named_value!r}, "
                "which differs in writing only; write them alike"
            )


def _groups(cases: pd.DataFrame, column: str) -> np.ndarray:
    _check_words("protocol.group", cases, column)
    return cases[column].to_numpy()


def _check_words(key: str, cases: pd.DataFrame, column: str) -> None:
    """Raise FoldError unless the cases have this column, with words and not with numbers."""
    if column not in cases:
        raise FoldError(f"{key}: the data set has no column {column!r}")
    if pd.api.types.is_numeric_dtype(cases[column]):
        raise FoldError(f"{key}: {column!r} is a covariate; name a column of labels, groups or attributes")


def _numeric_order(cases: pd.DataFrame) -> np.ndarray:
    """Return the cases' positions in numerical order of their ids, the order in which the published code reads them."""
    ids = cases["case"]
    if not ids.str.fullmatch(r"\d+").all():
        return np.arange(len(ids))
    return np.array(sorted(range(len(ids)), key=lambda position: int(ids.iloc[position])))  # of any length


def _fold_rows(repeat: int, fold: int, cases: pd.DataFrame, roles: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"repeat": repeat, "fold": fold, "case": cases["case"], "role": roles})
