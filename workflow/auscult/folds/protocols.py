"""Protocols: a manifest's cases to `repeat, fold, case, role`."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold, train_test_split

from auscult.config.protocols import CV10, M2D3, Column, Fixed, GroupCV, Protocol, Walker
from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.folds.planned import FoldError, read_fixed, read_list

# The published code stratifies by these indicators, joined: their order decides which cases its seed draws.
INDICATORS = ("Normal", "Abnormal", "Absent", "Present", "Unknown")


def assign(
    protocol: Protocol,
    targets: dict[str, TargetClasses],
    tasks: dict[str, Task],
    cases: pd.DataFrame,
    lists: Path,
) -> pd.DataFrame:
    """Roles of all cases in every fold.

    Parameters
    ----------
    protocol, targets, tasks : of the study; labels of targets and heads must be there.
    cases : the manifest's cases; the order of its rows does not matter.
    lists : folder of the published lists (`m2d_1.csv`, …).

    Returns a table `repeat, fold, case, role`, sorted. Raises FoldError.
    """
    cases = cases.sort_values("case").reset_index(drop=True)
    check_labels(targets, tasks, cases)
    keys = stratify_keys(protocol, targets, cases)
    makers = {GroupCV: _group_cv, CV10: _cv10, Walker: _walker, Fixed: _fixed, Column: _column}
    if isinstance(protocol, M2D3):
        folds = _m2d3(protocol, cases, lists)
    else:
        folds = makers[type(protocol)](protocol, cases, keys)
    for (repeat, fold), part in folds.groupby(["repeat", "fold"]):
        for role in ("train", "val", "test"):
            if role not in set(part["role"]):
                raise FoldError(f"protocol: {protocol.name} gives fold {fold} of repeat {repeat} no {role} case")
    return folds.sort_values(["repeat", "fold", "case"]).reset_index(drop=True)


def check_labels(targets: dict[str, TargetClasses], tasks: dict[str, Task], cases: pd.DataFrame) -> None:
    """Raise FoldError where a target's or head's label is no column, or a case has a class that it does not name."""
    # a case may have labels besides the classes of a multilabel target
    wanted = {t.label: t.classes if t.kind == "multiclass" else [] for t in targets.values()}
    for task in tasks.values():
        for head in task.heads.values():
            wanted.setdefault(head.label, head.classes if head.kind == "multiclass" else [])
    for label, classes in wanted.items():
        if label not in cases:
            raise FoldError(f"the data set has no label column {label!r}; it has {', '.join(cases.columns[2:])}")
        for case, cell in zip(cases["case"], cases[label], strict=True):
            for value in cell.split("|") if cell and classes else []:
                if value not in classes:
                    raise FoldError(f"case {case!r}: {label} is {value!r}, not one of the study's classes {classes}")


def check_recording_labels(tasks: dict[str, Task], recordings: pd.DataFrame) -> None:
    """Raise FoldError where the `train_on` of a head is no column of the recordings, or has no value that it names."""
    for task, part in tasks.items():
        for name, head in part.heads.items():
            if not head.train_on:
                continue
            where, column = f"tasks.{task}.heads.{name}.train_on", head.train_on.column
            if column not in recordings:
                raise FoldError(
                    f"{where}.column: the recordings have no column {column!r}; they have {', '.join(recordings)}"
                )
            values = {value for cell in recordings[column].unique() if cell for value in str(cell).split("|")}
            if not values & set(head.train_on.positive or head.classes):
                raise FoldError(
                    f"{where}: {column} is never one of {head.train_on.positive or head.classes}; it is one "
                    f"of {sorted(values)}"
                )
            if head.kind == "multiclass" and (unknown := values - set(head.classes)):
                raise FoldError(
                    f"{where}: {column} is {min(unknown)!r} somewhere, not one of the classes {head.classes}"
                )


def stratify_labels(protocol: Protocol, targets: dict[str, TargetClasses]) -> list[str]:
    """Label columns that folds keep in proportion: those that the protocol names, else those of all targets."""
    named = getattr(protocol, "stratify", None)
    return named or list(dict.fromkeys(target.label for target in targets.values()))


def stratify_keys(protocol: Protocol, targets: dict[str, TargetClasses], cases: pd.DataFrame) -> np.ndarray:
    """One string per case, of the labels that stratification keeps in proportion."""
    labels = stratify_labels(protocol, targets)
    for label in labels:
        if label not in cases:
            raise FoldError(f"protocol.stratify: the data set has no column {label!r}")
    return cases[labels].astype(str).agg("/".join, axis=1).to_numpy()


def _as_published(keys: np.ndarray) -> np.ndarray:
    """Keys that sort as the published ones where they hold their classes, and as before where they do not."""
    flags = ["".join(str(int(name in key.split("/"))) for name in INDICATORS) for key in keys]
    return np.array([f"{flag}/{key}" for flag, key in zip(flags, keys, strict=True)], dtype=object)


def _group_cv(protocol: GroupCV, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    groups = _groups(cases, protocol.group)
    count = len(set(groups))
    if count < protocol.folds:
        raise FoldError(
            f"protocol.folds: {protocol.folds} folds of {count} values of {protocol.group!r}; lower it to {count}"
        )
    parts = []
    for repeat in range(protocol.repeats):
        seed = protocol.seed + repeat
        splitter = StratifiedGroupKFold(protocol.folds, shuffle=True, random_state=seed)
        for fold, (rest, test) in enumerate(quiet(splitter.split, keys, keys, groups)):
            roles = np.full(len(cases), "train", dtype=object)
            roles[test] = "test"
            roles[draw_validation(rest, keys, groups, protocol.val, seed, "protocol.val")] = "val"
            parts.append(_part(repeat, fold, cases, roles))
    return pd.concat(parts)


def draw_validation(
    rest: np.ndarray, keys: np.ndarray, groups: np.ndarray, share: float, seed: int, key: str
) -> np.ndarray:
    """Positions among `rest` that validate: whole groups, about `share` of them, labels in proportion.

    Raises FoldError, which names `key`, the study's key of the share.
    """
    count = len(set(groups[rest]))
    parts = min(max(2, round(1 / share)), count)
    if parts < 2:
        raise FoldError(f"{key}: {count} group left to draw validation cases from; use fewer folds or more data")
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    try:
        _, val = next(iter(quiet(splitter.split, keys[rest], keys[rest], groups[rest])))
    except FoldError as error:
        raise FoldError(
            f"{key}: {share:g} of {len(rest)} cases, drawn as one of {parts} parts: {error.__cause__}; raise "
            "it, name fewer labels in protocol.stratify, or use more data"
        ) from error
    return rest[val]


def _cv10(protocol: CV10, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    order = _numeric_order(cases)
    keys = _as_published(keys[order])
    maker = StratifiedKFold if protocol.stratified else KFold
    if len(order) < 10:
        raise FoldError(f"protocol.name: cv10 makes 10 folds; the data set has {len(order)} cases")
    parts = []
    splits = quiet(maker(10, shuffle=True, random_state=42).split, order, keys)
    for fold, (rest, test) in enumerate(splits):
        strata = keys[rest] if protocol.stratified else None
        _, val = _split(rest, protocol.val / (1 - protocol.test), 42, strata)
        roles = np.full(len(cases), "train", dtype=object)
        roles[order[test]] = "test"
        roles[order[val]] = "val"
        parts.append(_part(0, fold, cases, roles))
    return pd.concat(parts)


def _walker(protocol: Walker, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    order = _numeric_order(cases)
    keys = _as_published(keys[order])
    everything = np.arange(len(order))
    parts = []
    for repeat, seed in enumerate(protocol.seeds):
        rest, test = _split(everything, protocol.test, seed, keys)
        _, val = _split(rest, protocol.val / (1 - protocol.test), seed + 1, keys[rest])
        roles = np.full(len(cases), "train", dtype=object)
        roles[order[test]] = "test"
        roles[order[val]] = "val"
        parts.append(_part(repeat, 0, cases, roles))
    return pd.concat(parts)


def _split(positions: np.ndarray, share: float, seed: int, strata: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        return train_test_split(positions, test_size=share, random_state=seed, stratify=strata)
    except ValueError as error:
        raise FoldError(f"protocol: the published split cannot be drawn from these cases: {error}") from error


def _m2d3(protocol: M2D3, cases: pd.DataFrame, lists: Path) -> pd.DataFrame:
    parts = []
    for number in protocol.lists:
        listed = read_list(lists, number).set_index("case")["role"]
        roles = cases["case"].map(listed).fillna("unused").to_numpy()
        if (roles == "test").any():
            parts.append(_part(number - 1, 0, cases, roles))
    if not parts:
        raise FoldError("protocol.lists: none of the published lists has a test case among these cases")
    return pd.concat(parts)


def _fixed(protocol: Fixed, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    table = read_fixed(protocol)
    unknown = set(table["case"]) - set(cases["case"])
    if unknown:
        raise FoldError(f"protocol.file: {protocol.file}: case {min(unknown)!r} is not in the data set")
    groups = _groups(cases, protocol.group)
    parts = []
    for (repeat, fold), rows in table.groupby(["repeat", "fold"]):
        if (twice := rows["case"].duplicated()).any():
            name = rows.loc[twice, "case"].iloc[0]
            raise FoldError(
                f"protocol.file: {protocol.file}: case {name!r} has two roles in fold {fold} of repeat {repeat}"
            )
        roles = cases["case"].map(rows.set_index("case")["role"]).fillna("unused").to_numpy()
        if "val" not in roles:
            rest = np.flatnonzero(roles == "train")
            roles[draw_validation(rest, keys, groups, protocol.val, protocol.seed, "protocol.val")] = "val"
        parts.append(_part(repeat, fold, cases, roles))
    return pd.concat(parts)


def _column(protocol: Column, cases: pd.DataFrame, keys: np.ndarray) -> pd.DataFrame:
    if protocol.column not in cases:
        raise FoldError(f"protocol.column: the data set has no column {protocol.column!r}")
    values = cases[protocol.column].astype(str)
    roles = np.full(len(cases), "train", dtype=object)
    for role, wanted in (("val", protocol.val), ("test", protocol.test)):
        if absent := set(wanted) - set(values):
            raise FoldError(f"protocol.{role}: no case has {protocol.column} {min(absent)!r}")
        roles[values.isin(wanted)] = role
    if not protocol.val:
        groups, rest = _groups(cases, protocol.group), np.flatnonzero(roles == "train")
        roles[draw_validation(rest, keys, groups, protocol.draw, protocol.seed, "protocol.draw")] = "val"
    return _part(0, 0, cases, roles)


def _groups(cases: pd.DataFrame, column: str) -> np.ndarray:
    if column not in cases:
        raise FoldError(f"protocol.group: the data set has no column {column!r}")
    return cases[column].to_numpy()


def _numeric_order(cases: pd.DataFrame) -> np.ndarray:
    """Positions of the cases in the order of their ids as numbers, as the published code reads them."""
    ids = cases["case"]
    if not ids.str.fullmatch(r"\d+").all():
        return np.arange(len(ids))
    return np.argsort(ids.astype(int).to_numpy(), kind="stable")


def _part(repeat: int, fold: int, cases: pd.DataFrame, roles: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"repeat": repeat, "fold": fold, "case": cases["case"], "role": roles})


def quiet(split, *arguments):
    """Folds of a splitter without its warning about rare strata: the audit counts absent classes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            return list(split(*arguments))
        except ValueError as error:
            raise FoldError(f"protocol.folds: {error}; use fewer folds or fewer labels in protocol.stratify") from error
