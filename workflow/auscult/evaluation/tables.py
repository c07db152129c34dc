"""Tables from predictions: leaderboard, cross-validation, floors, the winner."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import KEYS, VARIANT, best_variants
from auscult.evaluation.scoring import score, scored, variant_mark, with_intervals
from auscult.metrics import catalogue
from auscult.plan.names import NetworkName


def leaderboard(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per target and variant: pooled out-of-fold metrics with 95 % intervals (bootstrap over subjects)."""
    rows = []
    for key, part in predictions.groupby(["target", *VARIANT], sort=False):
        target = study.targets[key[0]]
        part = scored(part)
        row: dict[str, Any] = dict(zip(["target", *VARIANT], key, strict=True))
        row |= {"n": len(part), **with_intervals(study, target, part)}
        row["chosen_on"] = part["chosen_on"].iloc[0] if len(part) else ""
        row["leak"] = variant_mark(leak, row["fit_on"])
        rows.append(row)
    return pd.DataFrame(rows)


def with_sizes(
    board: pd.DataFrame, trainings: pd.DataFrame, ensembles: dict[str, list[str]], bag: bool = False
) -> pd.DataFrame:
    """The leaderboard with what each system takes.

    `parameters` and `multiply_adds` of all networks that score a judged case, the latter for one window; `train_s`,
    seconds of all trainings of a fold, those of its inner folds too; `epoch_s`, seconds of one epoch of one network.

    trainings: see `training.train.read_trainings`. ensembles: systems by name of an ensemble, which has the sums of
    theirs. bag: whether networks of inner folds score judged cases too. The row `chosen`, which mixes systems, has
    none of them.
    """
    parts = [trainings[trainings["system"].isin(systems)].assign(system=name) for name, systems in ensembles.items()]
    trainings = pd.concat([trainings, *parts])
    names = trainings["network"].map(NetworkName.parse)
    folds = trainings.assign(fold=[str(name.outer) for name in names], inner=[name.is_inner for name in names])
    each = folds.groupby(["system", "fold"])["seconds"].sum().groupby("system").mean()
    judging = folds[bag | ~folds["inner"]].groupby(["system", "fold"])
    sizes = judging[["parameters", "multiply_adds"]].sum().groupby("system").mean()
    epoch = (folds["seconds"] / folds["epochs"]).groupby(folds["system"]).mean()
    taken = {
        **{name: board["system"].map(sizes[name]).astype("Int64") for name in sizes},
        "train_s": board["system"].map(each).round(1),
        "epoch_s": board["system"].map(epoch).round(2),
    }
    at = board.columns.get_loc("n") + 1
    board = board.copy()
    for number, (name, values) in enumerate(taken.items()):
        board.insert(at + number, name, values)
    return board


def cross_validation(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per variant, repeat and fold, and for each variant a row with mean and one with standard deviation.

    Where the folds were drawn several times, each repeat has a row `pooled` too: all its folds scored together.
    """
    rows = []
    for key, part in predictions.groupby(KEYS, sort=False):
        target = study.targets[key[0]]
        values = score(target, scored(part))
        rows.append({**dict(zip(KEYS, key, strict=True)), "n": len(scored(part)), **values})
    if predictions["repeat"].nunique() > 1:
        for key, part in predictions.groupby(KEYS[:-1], sort=False):
            part = scored(part)
            values = score(study.targets[key[0]], part)
            rows.append({**dict(zip(KEYS, (*key, "pooled"), strict=True)), "n": len(part), **values})
    table = pd.DataFrame(rows)
    metrics_ = [c for c in table if c not in [*KEYS, "n"]]
    parts = []
    for key, part in table.groupby(["target", *VARIANT], sort=False):
        head = dict(zip(["target", *VARIANT], key, strict=True))
        folds = part[part["fold"] != "pooled"]
        means = {**head, "repeat": "all", "fold": "mean", "n": folds["n"].sum(), **folds[metrics_].mean()}
        spread = {**head, "repeat": "all", "fold": "sd", "n": folds["n"].sum(), **folds[metrics_].std(ddof=1)}
        parts += [part.astype(object), pd.DataFrame([means, spread]).astype(object)]
    table = pd.concat(parts, ignore_index=True)
    on = predictions.drop_duplicates(["target", *VARIANT])[["target", *VARIANT, "chosen_on"]]
    table = table.merge(on, on=["target", *VARIANT], how="left")
    table["leak"] = [variant_mark(leak, fit_on) for fit_on in table["fit_on"]]
    return table


def floors(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """What always saying one class scores on the same cases: the metrics that need no probability."""
    rows = []
    keys = [metric.key for metric in catalogue.shown("floors")]
    for name, target in study.targets.items():
        if target.kind == "multilabel":
            continue
        part = scored(predictions[predictions["target"] == name])
        part = part.drop_duplicates(["repeat", "fold", "case"])
        for said in target.classes:
            values = score(target, part.assign(prediction=said))
            rows.append({"target": name, "always": said, "n": len(part), **{key: values.get(key) for key in keys}})
    return pd.DataFrame(rows, columns=["target", "always", "n", *keys])


def winner(board: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    """For every target its best variant, see `best_variants`, with its test scores as `judged`."""
    variants = best_variants(scores)
    for name, variant in variants.items():
        key = tuple(variant[word] for word in VARIANT)
        row = board[board["target"] == name].set_index(VARIANT).loc[key]
        names = [metric.key for metric in catalogue.shown("winner")]
        variant["judged"] = {k: round(float(row[k]), 4) for k in names if k in row and pd.notna(row[k])}
    return variants
