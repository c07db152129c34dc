"""Tables from predictions: leaderboard, cross-validation, floors (trivial baselines), and the winner."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import CHOSEN, KEYS, VARIANT, only_best, winners
from auscult.evaluation.scoring import labelled_rows, score, variant_mark, with_intervals
from auscult.metrics import catalogue
from auscult.plan.names import NetworkName


def leaderboard(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per target and variant: metrics of the test cases of all folds, with 95 % intervals over subjects."""
    rows = []
    for key, part in predictions.groupby(["target", *VARIANT], sort=False):
        target = study.targets[key[0]]
        part = labelled_rows(part)
        row: dict[str, Any] = dict(zip(["target", *VARIANT], key, strict=True))
        row |= {"n": len(part), **with_intervals(study, target, part)}
        row["chosen_on"] = part["chosen_on"].iloc[0] if len(part) else ""
        row["leak"] = variant_mark(leak, part)
        rows.append(row)
    return pd.DataFrame(rows)


def with_sizes(
    board: pd.DataFrame, trainings: pd.DataFrame, ensembles: dict[str, list[str]], bag: bool = False
) -> pd.DataFrame:
    """Return the leaderboard with columns for the size and the training time of each system.

    `parameters`, `multiply_adds`: sums over all networks that score a test case, `multiply_adds` for one window; means
    over the folds, whose networks differ in size where their cases have other sites.
    `train_s`: seconds of all trainings of a fold, including those of its inner folds. `epoch_s`: seconds of one epoch
    of one network. The row `chosen` mixes systems, so its cells are empty.

    trainings: see `training.model_folder.read_trainings`. ensembles: systems by name of the ensemble; its sizes and
    times are the sums of theirs. bag: whether networks of inner folds score test cases too.
    """
    parts = [trainings[trainings["system"].isin(systems)].assign(system=name) for name, systems in ensembles.items()]
    trainings = pd.concat([trainings, *parts])
    names = trainings["network"].map(NetworkName.parse)
    folds = trainings.assign(fold=[str(name.outer) for name in names], inner=[name.is_inner for name in names])
    fold_seconds = folds.groupby(["system", "fold"])["seconds"].sum().groupby("system").mean()
    test_networks = folds[bag | ~folds["inner"]].groupby(["system", "fold"])
    sizes = test_networks[["parameters", "multiply_adds"]].sum().groupby("system").mean()
    epoch_seconds = (folds["seconds"] / folds["epochs"]).groupby(folds["system"]).mean()
    columns = {
        **{name: board["system"].map(sizes[name]).round().astype("Int64") for name in sizes},
        "train_s": board["system"].map(fold_seconds).round(1),
        "epoch_s": board["system"].map(epoch_seconds).round(2),
    }
    first = board.columns.get_loc("n") + 1
    board = board.copy()
    for number, (name, values) in enumerate(columns.items()):
        board.insert(first + number, name, values)
    return board


def cross_validation(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per variant, repeat and fold, and per variant a row with the mean and one with the standard deviation.

    If the folds are drawn several times, each repeat also has a row `pooled`: the scores of all its folds together.
    """
    rows = []
    for key, part in predictions.groupby(KEYS, sort=False):
        target = study.targets[key[0]]
        part = labelled_rows(part)
        rows.append({**dict(zip(KEYS, key, strict=True)), "n": len(part), **score(target, part)})
    if predictions["repeat"].nunique() > 1:
        for key, part in predictions.groupby(KEYS[:-1], sort=False):
            part = labelled_rows(part)
            values = score(study.targets[key[0]], part)
            rows.append({**dict(zip(KEYS, (*key, "pooled"), strict=True)), "n": len(part), **values})
    table = pd.DataFrame(rows)
    metrics = [c for c in table if c not in [*KEYS, "n"]]
    parts = []
    for key, part in table.groupby(["target", *VARIANT], sort=False):
        variant = dict(zip(["target", *VARIANT], key, strict=True))
        folds = part[part["fold"] != "pooled"]
        means = {**variant, "repeat": "all", "fold": "mean", "n": folds["n"].sum(), **folds[metrics].mean()}
        deviations = {**variant, "repeat": "all", "fold": "sd", "n": folds["n"].sum(), **folds[metrics].std(ddof=1)}
        parts += [part.astype(object), pd.DataFrame([means, deviations]).astype(object)]
    table = pd.concat(parts, ignore_index=True)
    marks = [
        [*key, rows["chosen_on"].iloc[0], variant_mark(leak, rows)]
        for key, rows in predictions.groupby(["target", *VARIANT], sort=False)
    ]
    marks = pd.DataFrame(marks, columns=["target", *VARIANT, "chosen_on", "leak"])
    return table.merge(marks, on=["target", *VARIANT], how="left")


def floors(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores of a trivial baseline on the same cases, always predicting one class: metrics without probabilities."""
    rows = []
    keys = [metric.key for metric in catalogue.metrics_of("floors")]
    for name, target in study.targets.items():
        if target.kind == "multilabel":
            continue
        part = labelled_rows(predictions[predictions["target"] == name])
        part = part.drop_duplicates(["repeat", "fold", "case"])
        for class_name in target.classes:
            values = score(target, part.assign(prediction=class_name))
            rows.append(
                {"target": name, "always": class_name, "n": len(part), **{key: values.get(key) for key in keys}}
            )
    return pd.DataFrame(rows, columns=["target", "always", "n", *keys])


def winner(board: pd.DataFrame, scores: pd.DataFrame, system: str | None = None) -> dict[str, Any]:
    """What is applied to new recordings, by target, see `winners`, with scores on the test cases.

    It is what the row `chosen` takes in every fold; with `system` the variant of this system or ensemble that has the
    best mean score over all folds. `system, stage, fit_on, decision`: the row of the leaderboard that has its
    `test_scores`. Those of a single variant are a little too high: the cases that it was chosen on, in some folds, are
    test cases of others.
    """
    if system:
        scores = scores[scores["system"] == system]
        scores = scores.assign(chosen=only_best(scores))
    result = winners(scores)
    metrics = [metric.key for metric in catalogue.metrics_of("winner")]
    for name, folds in result.items():
        variant = next(iter(folds["folds"].values()))[0]
        key = tuple(variant[column] for column in VARIANT) if system else CHOSEN
        row = board[board["target"] == name].set_index(VARIANT).loc[key]
        test_scores = {k: round(float(row[k]), 4) for k in metrics if k in row and pd.notna(row[k])}
        result[name] = {**dict(zip(VARIANT, key, strict=True)), **folds, "test_scores": test_scores}
    return result
