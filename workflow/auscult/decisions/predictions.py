"""predictions.csv: every variant's decision on every judged case, and the row `chosen`."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.decisions.decide import Decided, Outputs, decide
from auscult.heads.outputs import output_names
from auscult.heads.uncertainty import entropy

VARIANT = ["system", "stage", "fit_on", "decision"]
KEYS = ["target", *VARIANT, "repeat", "fold"]


ON = {"inner": "inner", "val": "stopping"}  # which cases choose, in the words of the tables


@dataclass(frozen=True)
class FoldOutputs:
    """Tables of one system and fold: `cases` and `recordings` of `aggregate`, `fused` of `fuse` (or None).

    Outputs of inner folds' networks for the cases that these held back are in them as role `inner`.
    """

    system: str
    repeat: int
    fold: int
    cases: pd.DataFrame
    recordings: pd.DataFrame
    fused: pd.DataFrame | None


def predict(study: Study, manifest: Manifest, outputs: list[FoldOutputs]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decide every fold; returns predictions and the scores of the variants on its own cases.

    Predictions: see design of predictions.csv; besides, `information` and `variance` sum the mutual information and
    the variance of the passes over the target's heads (empty for a second stage), `chosen_on` says which cases chose the
    rule (`none`: nothing was chosen; `inner`: all cases that the fold does not judge, scored by networks of inner
    folds; `stopping`: validation cases, which also stopped the network; `twice` after it: they tuned the second stage
    too; `test`: the judged cases chose the epoch, a leak) and `should_refer` is the truth of the Challenge cost.
    Scores: `target, system, stage, fit_on, decision, repeat, fold, scored_on, score, chosen`.
    """
    cases = manifest.cases.set_index("case")
    rows, scores = [], []
    for part in outputs:
        system = study.systems[part.system]
        for name, target in study.targets_of(system).items():
            for stage, fit_on, scored_on, one in _variants(name, target.classes, part):
                scored_on = "test" if system.training.select == "test" else scored_on
                labels = cases.loc[one.val["case"], target.label]
                for rule, decided in decide(target, one, labels, cases["subject"], study.evaluation.choose_by).items():
                    key = dict(
                        zip(
                            KEYS,
                            [name, part.system, stage, fit_on, rule, part.repeat, part.fold],
                            strict=True,
                        )
                    )
                    scores.append({**key, "scored_on": scored_on, "score": decided.inner_score})
                    on = _chosen_on(study, stage, fit_on, scored_on, decided)
                    table = _rows(key, target, one.test["case"], decided, cases, on)
                    passes = one.test if stage == "network" else None
                    rows.append(_with_passes(table, passes, target, study.heads_of(system)))
    predictions, scores = pd.concat(rows, ignore_index=True), pd.DataFrame(scores)
    chosen, scores = choose(predictions, scores)
    return pd.concat([predictions, chosen], ignore_index=True), scores


def choose(predictions: pd.DataFrame, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows `chosen`: each fold takes the variant that is best on its own inner score.

    Ties go to the variant that stands first.
    """
    candidates = comparable(scores).fillna({"score": float("-inf")})
    best = candidates.groupby(["target", "repeat", "fold"], sort=False)["score"].transform("max") == candidates["score"]
    first = candidates[best].drop_duplicates(["target", "repeat", "fold"])
    picked = predictions.merge(first[KEYS], on=KEYS)
    mark = {
        "system": "chosen",
        "stage": "chosen",
        "fit_on": "none",
        "decision": "chosen",
        "chosen_on": candidates["scored_on"].iloc[0],
    }
    return picked.assign(**mark), scores.assign(chosen=scores.index.isin(first.index))


def comparable(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores that choose: those on inner folds, where there are any, else those on validation cases.

    A booster fitted on the network's own training cases is not among them, nor is an epoch that judged cases chose.
    """
    scores = scores[(scores["fit_on"] != "train") & (scores["scored_on"] != "test")]
    inner = scores["scored_on"] == "inner"
    return scores[inner] if inner.any() else scores


def role_of(table: pd.DataFrame) -> str:
    """The role whose cases choose: `inner` where there is one."""
    return "inner" if (table["role"] == "inner").any() else "val"


def _variants(target: str, classes: list[str], part: FoldOutputs):
    """(stage, fit_on, what chooses, outputs) of the network, and of each second stage.

    Thresholds and calibration are chosen on the role `inner` where there is one, else on `val`.
    """
    rename = {f"{target}:{c}": c for c in classes}

    def of(table: pd.DataFrame, role: str) -> pd.DataFrame:
        return table[table["role"] == role].rename(columns=rename)

    cases, heard = part.cases, part.recordings
    role = role_of(cases)
    yield "network", "none", ON[role], Outputs(*(of(table, r) for table in (cases, heard) for r in (role, "test")))
    if part.fused is not None:
        fused = part.fused[part.fused["target"] == target].rename(columns={f"p_{c}": c for c in classes})
        for (stage, fit_on), table in fused.groupby(["stage", "fit_on"], sort=False):
            role = role_of(table)
            yield stage, fit_on, ON[role], Outputs(of(table, role), of(table, "test"))


def _chosen_on(study: Study, stage: str, fit_on: str, scored_on: str, decided: Decided) -> str:
    """Which cases chose a variant; `twice` where they chose the settings of its learner, and then scored it."""
    if scored_on == "test":
        return scored_on
    if stage != "network" and fit_on != "train":
        return f"{scored_on} twice" if study.fusion.tuning else scored_on
    return scored_on if decided.chosen else "none"


def _with_passes(table: pd.DataFrame, passes: pd.DataFrame | None, target: Target, heads: dict[str, Head]):
    """What the spread of the stochastic passes says of each case; empty for a second stage, which has no passes."""
    outputs = output_names({name: heads[name] for name in target.heads})
    for column, parts in {
        "information": [f"information_{name}" for name in target.heads],
        "variance": [f"variance_{name}" for name in outputs],
    }.items():
        table[column] = float("nan") if passes is None else passes[parts].sum(axis=1, skipna=False).to_numpy()
    return table


def _rows(key: dict, target, ids: pd.Series, decided: Decided, cases: pd.DataFrame, chosen_on: str) -> pd.DataFrame:
    table = pd.DataFrame({**key, "case": ids.to_numpy()})
    table["subject"] = cases.loc[ids, "subject"].to_numpy()
    table["label"] = cases.loc[ids, target.label].to_numpy()
    if target.kind == "multilabel":
        picks = [[c for c, yes in zip(target.classes, row, strict=True) if yes] for row in decided.decision]
        table["prediction"] = ["|".join(pick) for pick in picks]
    else:
        table["prediction"] = [target.classes[number] for number in decided.decision]
    table[[f"p_{c}" for c in target.classes]] = decided.p
    table["uncertainty"] = entropy(decided.p, target.kind)
    table["chosen_on"] = chosen_on
    table["should_refer"] = ""
    if target.referral:
        truth = cases.loc[ids, target.referral.label]
        refer = truth.isin(target.referral.positive).astype(int).astype(str)
        table["should_refer"] = refer.where(truth != "", "").to_numpy()
    return table
