"""The table of predictions of new cases: the vote of the folds, known cases, problems with recordings."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pandas as pd

from auscult.config.targets import Target
from auscult.datasets.base import Manifest, ids_of
from auscult.datasets.ids import folded
from auscult.decisions.vote import vote
from auscult.heads.labels import decode
from auscult.heads.outputs import class_columns
from auscult.heads.uncertainty import entropy
from auscult.provenance import digest


def vote_table(target: Target, folds: list[tuple[np.ndarray, np.ndarray]], cases: list[str]) -> pd.DataFrame:
    """A table `case, prediction, p_<class>…, agreement, uncertainty, refer`, a row per case.

    folds: probabilities and decisions of each, which are combined by `decisions.vote`. agreement: the share of folds
    with this prediction. uncertainty: entropy of the mean probabilities, in nats. refer: 1 where the prediction has a
    class of the target's `referral`, else 0; empty without a `referral`.
    """
    p, decisions, agreement = vote(target, folds)
    table = pd.DataFrame({"case": cases})
    table["prediction"] = decode(decisions, target.classes)
    table[class_columns(target.classes)] = p
    table["agreement"] = agreement
    table["uncertainty"] = entropy(p, target.kind)
    if not target.referral:
        return table.assign(refer="")
    classes = set(target.referral.classes)
    return table.assign(refer=[int(bool(classes & set(cell.split("|")))) for cell in table["prediction"]])


def repeated_cases(
    new: Manifest, samples: Set[str], case_ids: Set[str], subject_ids: Set[str], copies: Set[str]
) -> pd.DataFrame:
    """New cases that are cases of the study, `case, problem`: they have the same samples, a copy, or the same id.

    samples, case_ids, subject_ids: digests of what the study has, see `pack.Packed`. copies: new recordings that are
    copies of the study's.
    """
    same_samples = set(new.recordings.loc[new.recordings["sha256"].isin(samples), "case"])
    with_copy = set(new.recordings.loc[new.recordings["recording"].isin(copies), "case"])
    has_case_id = new.cases["case"].map(lambda case: digest(folded(case)) in case_ids)
    has_subject_id = new.cases["subject"].map(
        lambda subject: any(digest(folded(name)) in subject_ids for name in ids_of(subject))
    )
    of_subject, of_case = (set(new.cases.loc[has_id, "case"]) for has_id in (has_subject_id, has_case_id))
    problems = {
        "the study has these samples: it may have trained on them": same_samples,
        "the study has a copy of these samples: it may have trained on it": with_copy - same_samples,
        "the study has a subject of this id": of_subject - same_samples - with_copy,
        "the study has a case of this id": of_case - of_subject - same_samples - with_copy,
    }
    rows = [(case, problem) for problem, cases in problems.items() for case in new.cases["case"] if case in cases]
    return pd.DataFrame(rows, columns=["case", "problem"])


def with_problems(table: pd.DataFrame, new: Manifest, known_cases: pd.DataFrame) -> pd.DataFrame:
    """The table with two more columns: `recordings`, how many of a case were used, and `problems` with them.

    known_cases: see `repeated_cases`.
    """
    count = new.recordings.groupby("case").size()
    problems: dict[str, list[str]] = {}
    case_of_recording = {**new.case_of_dropped, **new.recordings.set_index("recording")["case"]}
    for row in new.quality.itertuples():
        # a row about a file that no table lists belongs to no case
        case = case_of_recording.get(row.recording, "")
        problems.setdefault(case, []).append(f"{row.recording}: {row.problem} ({row.action})")
    for row in known_cases.itertuples():
        problems.setdefault(row.case, []).append(row.problem)
    counts = table["case"].map(count).fillna(0).astype(int)
    for case in table["case"][counts == 0]:
        problems.setdefault(case, []).append(
            "no recording could be used: the probabilities are those of the training cases"
        )
    return table.assign(recordings=counts, problems=["; ".join(problems.get(case, [])) for case in table["case"]])
