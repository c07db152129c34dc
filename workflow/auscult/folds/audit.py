"""The audit of folds: it counts what the roles of a fold share, and stops a study whose leaks are not allowed."""

from __future__ import annotations

import posixpath
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from auscult.config.protocols import Leak, Protocol, group_of
from auscult.config.targets import TargetClasses
from auscult.datasets.base import Manifest
from auscult.folds.planned import FoldError

COLUMNS = ["repeat", "fold", "finding", "roles", "count", "ids"]
LEAKS = ("shared_subject", "identical_audio", "near_identical_audio", "overlapping_intervals", "weights_heard")
# by protocol: which keys to change when the training cases lack a class
REMEDIES = {
    "group_cv": "lower protocol.folds or protocol.val, change protocol.seed",
    "cv10": "set protocol.stratified, lower protocol.val",
    "walker": "change protocol.seeds, lower protocol.val",
    "m2d3": "leave the list out of protocol.lists",
    "fixed": "change the roles in protocol.file, lower protocol.val where it is drawn",
    "column": "change protocol.val or protocol.test",
}
INNER_REMEDY = "raise inner_folds.folds, lower inner_folds.val, change inner_folds.seed"


class LeakError(Exception):
    """A fold has a leak that the study does not allow by its key `leak`."""


def audit(
    protocol: Protocol,
    targets: dict[str, TargetClasses],
    manifest: Manifest,
    folds: pd.DataFrame,
    copies: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return what the roles of each fold share: a table `repeat, fold, finding, roles, count, ids`.

    `roles` is a pair such as `train+test`, or the one role of `class_absent`. For a pair, `count` is the number of
    cases of the second role, and `ids` are their ids, joined by spaces.

    Findings:

    - `shared_subject`: cases whose subject is also in the first role (a leak),
    - `shared_<group column>`: the same for the data set's other groups,
    - `identical_audio`: cases with a recording that is also in the first role (a leak),
    - `near_identical_audio`: cases with a copy of a recording of the first role, cut or changed (a leak),
    - `overlapping_intervals`: cases with an interval of a file that an interval of the first role overlaps (a leak),
    - `shared_file`: cases with an interval of a file of which the first role has other intervals,
    - `class_absent`: classes without a case in a role; `count` and `ids` are of these classes,
    - `subjects_unknown`: one row when the data set names no subjects.

    copies: pairs of recordings, see `features.copies.find_copies`. Raises FoldError when a class has no training case.
    """
    cases = manifest.cases.set_index("case")
    units = {f"shared_{column}": _by_case(cases[column]) for column in ["subject", *manifest.columns.groups]}
    samples, signals = _audio_by_case(manifest.recordings, copies)
    files = _by_case(manifest.recordings.set_index("case")["path"].map(posixpath.normpath))
    rows = []
    for (repeat, fold), fold_rows in folds.groupby(["repeat", "fold"]):
        by_role = fold_rows[fold_rows["role"] != "unused"].groupby("role")
        cases_of_role = {role: sorted(case_ids) for role, case_ids in by_role["case"]}
        for first, second in combinations([role for role in ("train", "val", "test") if role in cases_of_role], 2):
            roles, first_cases, second_cases = f"{first}+{second}", cases_of_role[first], cases_of_role[second]
            common = {finding: _shared(unit, first_cases, second_cases) for finding, unit in units.items()}
            common["identical_audio"] = _shared(samples, first_cases, second_cases)
            near = _shared(signals, first_cases, second_cases)
            common["near_identical_audio"] = [case for case in near if case not in common["identical_audio"]]
            same_file = _shared(files, first_cases, second_cases)
            common["overlapping_intervals"] = _overlapping(manifest.recordings, first_cases, same_file)
            common["shared_file"] = [case for case in same_file if case not in common["overlapping_intervals"]]
            rows += [(repeat, fold, finding, roles, len(ids), " ".join(ids)) for finding, ids in common.items()]
        for role, case_ids in cases_of_role.items():
            absent_classes = _absent_classes(targets, cases, case_ids)
            if absent_classes and role == "train":
                raise FoldError(
                    f"fold {fold} of repeat {repeat}: no training case is {absent_classes[0]}; "
                    f"{INNER_REMEDY if 'i' in str(fold) else REMEDIES[protocol.name]}, or merge the class in targets"
                )
            if absent_classes:
                rows.append((repeat, fold, "class_absent", role, len(absent_classes), " ".join(absent_classes)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table[table["count"] > 0]
    if not manifest.subjects_known:
        unknown_row = pd.DataFrame([("", "", "subjects_unknown", "", len(cases), "")], columns=COLUMNS)
        table = pd.concat([table.astype(object), unknown_row])
    return table.reset_index(drop=True)


def as_folds(inner: pd.DataFrame) -> pd.DataFrame:
    """Return inner folds as a table of folds, for the audit; inner fold 2 of fold 0 becomes fold `0i2`."""
    names = inner["fold"].astype(str) + "i" + inner["inner"].astype(str)
    return inner.assign(fold=names)[["repeat", "fold", "case", "role"]]


def _by_case(values: pd.Series) -> dict[str, set]:
    """Return the values of each case; '' is unknown and not a value. values: indexed by case."""
    return values[values != ""].groupby(level=0).agg(set).to_dict()


def _shared(values: dict[str, set], first_cases: list[str], second_cases: list[str]) -> list[str]:
    """Return the second cases that have a value of the first cases."""
    first_values = set().union(*(values.get(case, set()) for case in first_cases))
    return [case for case in second_cases if first_values & values.get(case, set())]


def _audio_by_case(recordings: pd.DataFrame, copies: pd.DataFrame | None) -> tuple[dict, dict]:
    """Return, by case, numbers of its samples and of its signals; identical and near-identical ones share them."""
    pairs = copies if copies is not None else pd.DataFrame(columns=["recording", "other", "kind"])
    names, position = recordings["recording"], pd.Index(recordings["recording"])
    same_samples = pd.DataFrame(
        {"recording": names, "other": recordings.groupby("sha256")["recording"].transform("first")}
    )
    by_case = []
    for kinds in (["identical"], ["identical", "near_identical"]):
        edges = pd.concat([same_samples, pairs.loc[pairs["kind"].isin(kinds), ["recording", "other"]]])
        ends = [position.get_indexer(edges[column]) for column in ("recording", "other")]
        if (np.array(ends) < 0).any():
            raise FoldError("copies.csv names a recording that the data set does not have; delete this file")
        graph = coo_array((np.ones(len(edges)), ends), shape=(len(names), len(names)))
        numbers = connected_components(graph, directed=False)[1]  # copies of copies are copies
        by_case.append(_by_case(pd.Series(numbers, index=recordings["case"])))
    return tuple(by_case)


def _overlapping(recordings: pd.DataFrame, first_cases: list[str], second_cases: list[str]) -> list[str]:
    """Return the second cases with an interval that overlaps one of the first cases in the same file."""
    intervals = recordings[["case", "onset_s", "offset_s"]].assign(
        path=recordings["path"].map(posixpath.normpath),
        onset_s=recordings["onset_s"].fillna(0.0),
        offset_s=recordings["offset_s"].fillna(float("inf")),
    )
    first = intervals[intervals["case"].isin(first_cases)]
    second = intervals[intervals["case"].isin(second_cases)]
    pairs = second.merge(first, on="path", suffixes=("", "_first"))
    overlap = (pairs["onset_s"] < pairs["offset_s_first"]) & (pairs["onset_s_first"] < pairs["offset_s"])
    return sorted(set(pairs.loc[overlap, "case"]))


def _absent_classes(targets: dict[str, TargetClasses], cases: pd.DataFrame, case_ids: list[str]) -> list[str]:
    """Return the targets' classes that none of these cases has, as `label=class`."""
    absent_classes = []
    for target in targets.values():
        present = {value for cell in cases.loc[case_ids, target.label] for value in cell.split("|")}
        absent_classes += [f"{target.label}={name}" for name in target.classes if name not in present]
    return list(dict.fromkeys(absent_classes))


def leaks(protocol: Protocol, findings: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are leaks.

    Leaks are the findings of `LEAKS`, and shared groups of the column that the protocol keeps together.
    """
    group = group_of(protocol)
    return findings[findings["finding"].isin([*LEAKS, f"shared_{group}"])]


def mark(protocol: Protocol, findings: pd.DataFrame) -> str:
    """Return the text for the column `leak` of a study's tables, '' without a leak. Counts are sums over folds."""
    texts = []
    if (findings["finding"] == "subjects_unknown").any():
        texts.append("subjects unknown")
    for system in findings.loc[findings["finding"] == "weights_unknown", "roles"].unique():
        texts.append(f"training subjects of the weights of {system} unknown")
    leak_rows = leaks(protocol, findings)
    for (finding, roles), rows in leak_rows.groupby(["finding", "roles"]):
        texts.append(f"{finding} {roles}: {int(rows['count'].sum())}")
    return "; ".join(texts)


def refuse_leaks(protocol: Protocol, leak: Leak, findings: pd.DataFrame) -> None:
    """Raise LeakError when there are leaks and the study does not set `leak.allow`."""
    leak_rows = leaks(protocol, findings)
    if len(leak_rows) and not leak.allow:
        lines = [
            f"  repeat {row.repeat} fold {row.fold}: {row.finding} {row.roles}: {row.count} cases ({row.ids[:80]})"
            for row in leak_rows.itertuples()
        ]
        advice = "; ".join(dict.fromkeys(_advice(finding) for finding in leak_rows["finding"]))
        raise LeakError(
            "the folds leak:\n" + "\n".join(lines) + f"\nTo do: {advice}; or write in the study "
            'leak: {allow: true, because: "…"}: the column `leak` of every table will then state these leaks.'
        )


def _advice(finding: str) -> str:
    """What to do about a leak."""
    if finding == "weights_heard":
        return "start from weights that were not trained on cases of val and test"
    if finding in ("identical_audio", "near_identical_audio"):
        return "give the copies of a recording (copies.csv) one subject, or remove one of them"
    if finding == "overlapping_intervals":
        return "give the cases of one file one subject"
    return "use the protocol group_cv, and the column that they share as its group"
