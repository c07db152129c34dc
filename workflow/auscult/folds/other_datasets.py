"""The audit of other data sets that a study is trained on: what they share with the cases that judge."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from auscult.datasets.base import Manifest, ids_of
from auscult.folds.audit import COLUMNS


@dataclass(frozen=True)
class OtherDataset:
    """A data set that cases or an encoder of the study come from, beside its own.

    same_ids: whether its ids are those of the study's data set, because the same adapter reads both. copies:
    recordings of the study's data set that are copies of its own, see `features.copies.copies_in`.
    """

    name: str
    manifest: Manifest
    same_ids: bool
    copies: set[str]


def audit_others(manifest: Manifest, tables: list[pd.DataFrame], others: list[OtherDataset]) -> pd.DataFrame:
    """Return rows for the audit: validation and test cases that other data sets know. All of them are leaks.

    `roles` is a data set and a role, such as `cinc2016+test`. Findings are `shared_subject` (where ids are the same),
    `identical_audio` (the same samples) and `near_identical_audio` (a copy, cut or changed). tables: of folds, and of
    inner folds as `audit.as_folds` gives them.
    """
    subjects = manifest.cases.set_index("case")["subject"]
    recordings = manifest.recordings
    rows = []
    for other in others:
        ids = {name for subject in set(other.manifest.cases["subject"]) for name in ids_of(subject)}
        identical = set(recordings.loc[recordings["sha256"].isin(set(other.manifest.recordings["sha256"])), "case"])
        near = set(recordings.loc[recordings["recording"].isin(other.copies), "case"]) - identical
        same_subject = {case for case, subject in subjects.items() if other.same_ids and ids & ids_of(subject)}
        findings = {"shared_subject": same_subject, "identical_audio": identical, "near_identical_audio": near}
        for table in tables:
            judging_rows = table[table["role"].isin(["val", "test"])]
            for (repeat, fold, role), cases in judging_rows.groupby(["repeat", "fold", "role"])["case"]:
                for finding, leaky in findings.items():
                    if leaks := sorted(leaky & set(cases)):
                        rows.append((repeat, fold, finding, f"{other.name}+{role}", len(leaks), " ".join(leaks)))
    return pd.DataFrame(rows, columns=COLUMNS)
