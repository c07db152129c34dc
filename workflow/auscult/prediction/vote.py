"""Decisions of a study's folds to one per new case: the mean of their probabilities, and their vote."""

from __future__ import annotations

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.decisions.decide import Decided, Outputs, decide
from auscult.inference.uncertainty import entropy


def of_fold(study: Study, target: Target, rule: str, outputs: Outputs, own: Manifest) -> Decided:
    """New cases (`outputs.test`) decided by one rule, fitted on the fold's own cases (`outputs.val`) of the study."""
    cases = own.cases.set_index("case")
    one = target.model_copy(update={"decisions": [rule]})
    labels = cases.loc[outputs.val["case"], target.label]
    return decide(one, outputs, labels, cases["subject"], study.evaluation.choose_by)[rule]


def vote(target: Target, folds: list[Decided], cases: list[str]) -> pd.DataFrame:
    """`case, prediction, p_<class>…, agreement, uncertainty, refer`.

    prediction: the class that most folds decide for (of equal ones the more probable); of a multilabel target every
    class that more than half of them name. agreement: the share of folds that say the same. uncertainty: entropy of
    the mean probabilities, in nats. refer: 1 where the prediction is one that the target sends on, else 0; empty
    without a rule for that.
    """
    p = np.mean([one.p for one in folds], axis=0)
    table = pd.DataFrame({"case": cases})
    if target.kind == "multilabel":
        named = np.mean([one.decision for one in folds], axis=0)
        said = (named + 1e-6 * (p - 0.5)) > 0.5
        table["prediction"] = ["|".join(np.array(target.classes)[row]) for row in said]
        same = np.mean([(one.decision == said).all(axis=1) for one in folds], axis=0)
    else:
        votes = np.mean([np.eye(len(target.classes))[one.decision] for one in folds], axis=0)
        said = np.argmax(votes + 1e-6 * p, axis=1)
        table["prediction"] = np.array(target.classes)[said]
        same = votes[np.arange(len(said)), said]
    table[[f"p_{name}" for name in target.classes]] = p
    table["agreement"] = same
    table["uncertainty"] = entropy(p, target.kind)
    referred = table["prediction"].isin(target.referral.classes).astype(int) if target.referral else ""
    return table.assign(refer=referred)


def known_cases(new: Manifest, own: Manifest) -> pd.DataFrame:
    """New cases that the study has itself, `case, problem`: by their samples, or by the id of one of its subjects."""
    samples = set(own.recordings["sha256"])
    heard = new.recordings.loc[new.recordings["sha256"].isin(samples), "case"].unique()
    ids = {part for subject in own.cases["subject"] for part in subject.split("+")} | set(own.cases["case"])
    named = new.cases.loc[new.cases["case"].isin(ids) | new.cases["subject"].isin(ids), "case"]
    rows = [(case, "the study has these samples: it may have trained on them") for case in heard]
    rows += [(case, "the study has a subject of this id") for case in named if case not in set(heard)]
    return pd.DataFrame(rows, columns=["case", "problem"])


def with_problems(table: pd.DataFrame, new: Manifest, known: pd.DataFrame) -> pd.DataFrame:
    """The table with `recordings`, how many were used of each case, and `problems`, all that was wrong with them."""
    count = new.recordings.groupby("case").size()
    found: dict[str, list[str]] = {}
    owner = new.recordings.set_index("recording")["case"].to_dict()
    for row in new.quality.itertuples():
        case = owner.get(row.recording) or _owner(row.recording, table["case"])
        found.setdefault(case, []).append(f"{row.recording}: {row.problem} ({row.action})")
    for row in known.itertuples():
        found.setdefault(row.case, []).append(row.problem)
    used = table["case"].map(count).fillna(0).astype(int)
    for case in table["case"][used == 0]:
        found.setdefault(case, []).append(
            "no recording could be used: the probabilities are those of the training cases"
        )
    return table.assign(recordings=used, problems=["; ".join(found.get(case, [])) for case in table["case"]])


def _owner(recording: str, cases: pd.Series) -> str:
    """The case of a dropped recording by its name, which begins with the case's in all forms that name them so."""
    fitting = [case for case in cases if recording == case or recording.startswith(f"{case}_")]
    return max(fitting, key=len, default="")
