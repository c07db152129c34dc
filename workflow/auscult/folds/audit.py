"""The audit: counts what the roles of a fold share, and stops a study that leaks without saying why."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from auscult.config.protocols import Leak, Protocol
from auscult.config.targets import TargetClasses
from auscult.datasets.base import Manifest
from auscult.folds.planned import FoldError

COLUMNS = ["repeat", "fold", "finding", "roles", "count", "ids"]
LEAKS = ("shared_subject", "identical_audio", "weights_heard")
# what may bring a class into the training cases of a protocol
REMEDIES = {
    "group_cv": "lower protocol.folds or protocol.val, change protocol.seed",
    "cv10": "set protocol.stratified, lower protocol.val",
    "walker": "change protocol.seeds, lower protocol.val",
    "m2d3": "leave the list out of protocol.lists",
    "fixed": "change the roles in protocol.file, lower protocol.val where it is drawn",
    "column": "change protocol.val or protocol.test",
}


class LeakError(Exception):
    """A fold leaks, and the study does not say why that is allowed."""


def audit(
    protocol: Protocol, targets: dict[str, TargetClasses], manifest: Manifest, folds: pd.DataFrame
) -> pd.DataFrame:
    """What every fold's roles share: a table `repeat, fold, finding, roles, count, ids`.

    `count` is a number of cases of the second role (`train+test`: of test); `ids` joins them by a space.
    Findings: `shared_subject` and `identical_audio` are leaks; `shared_<group column>` counts the other units;
    `class_absent` counts classes without a case; `subjects_unknown` stands where the data set names no subjects.
    Raises FoldError when a class has no training case.
    """
    cases = manifest.cases.set_index("case")
    audio = manifest.recordings.groupby("case")["sha256"].agg(set)
    rows = []
    for (repeat, fold), part in folds.groupby(["repeat", "fold"]):
        members = {role: sorted(ids["case"]) for role, ids in part.groupby("role") if role != "unused"}
        for first, second in combinations([r for r in ("train", "val", "test") if r in members], 2):
            roles = f"{first}+{second}"
            for column in ["subject", *manifest.columns.groups]:
                seen = set(cases.loc[members[first], column]) - {""}  # an unknown unit is not a shared one
                shared = [case for case in members[second] if cases.at[case, column] in seen]
                rows.append((repeat, fold, f"shared_{column}", roles, len(shared), " ".join(shared)))
            seen = set().union(*(audio.get(case, set()) for case in members[first]))
            same = [case for case in members[second] if seen & audio.get(case, set())]
            rows.append((repeat, fold, "identical_audio", roles, len(same), " ".join(same)))
        for role, ids in members.items():
            absent = _absent(targets, cases, ids)
            if absent and role == "train":
                raise FoldError(
                    f"fold {fold} of repeat {repeat}: no training case is {absent[0]}; "
                    f"{REMEDIES[protocol.name]}, or merge the class in targets"
                )
            if absent:
                rows.append((repeat, fold, "class_absent", role, len(absent), " ".join(absent)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table[table["count"] > 0]
    if not manifest.subjects_known:
        unknown = pd.DataFrame([("", "", "subjects_unknown", "", len(cases), "")], columns=COLUMNS)
        table = pd.concat([table.astype(object), unknown])
    return table.reset_index(drop=True)


def _absent(targets: dict[str, TargetClasses], cases: pd.DataFrame, ids: list[str]) -> list[str]:
    """Classes of the targets that no case among `ids` has, as `label=class`."""
    absent = []
    for target in targets.values():
        there = {value for cell in cases.loc[ids, target.label] for value in cell.split("|")}
        absent += [f"{target.label}={name}" for name in target.classes if name not in there]
    return list(dict.fromkeys(absent))


def leaks(protocol: Protocol, findings: pd.DataFrame) -> pd.DataFrame:
    """The rows of an audit that are leaks: subjects, audio, and the group that the protocol promised not to split."""
    group = getattr(protocol, "group", "subject")
    return findings[findings["finding"].isin([*LEAKS, f"shared_{group}"])]


def mark(protocol: Protocol, findings: pd.DataFrame) -> str:
    """What every table of the study says in its column `leak`; '' without a leak. Counts are summed over the folds."""
    parts = []
    if (findings["finding"] == "subjects_unknown").any():
        parts.append("subjects unknown")
    for system in findings.loc[findings["finding"] == "weights_unknown", "roles"]:
        parts.append(f"what the weights of {system} heard is unknown")
    found = leaks(protocol, findings)
    for (finding, roles), rows in found.groupby(["finding", "roles"]):
        parts.append(f"{finding} {roles}: {int(rows['count'].sum())}")
    return "; ".join(parts)


def gate(protocol: Protocol, leak: Leak, findings: pd.DataFrame) -> None:
    """Raise LeakError when there are leaks that the study does not allow."""
    found = leaks(protocol, findings)
    if len(found) and not leak.allow:
        lines = [
            f"  repeat {r.repeat} fold {r.fold}: {r.finding} {r.roles}: {r.count} cases ({r.ids[:80]})"
            for r in found.itertuples()
        ]
        raise LeakError(
            "the folds leak:\n" + "\n".join(lines) + "\nUse protocol group_cv, or say in the study "
            'leak: {allow: true, because: "…"}; every table will then carry the mark.'
        )
