"""Labels that are probably wrong: confident learning on out-of-fold probabilities (Northcutt et al. 2021, cleanlab).

A label is listed where the networks that were not trained on it give another class a probability that is high for that
class, and by `MARGIN` higher than that of the label. Nothing is listed where the probabilities rank no better than
chance. Nothing is changed by it: test labels stay as they are, and the list is for a person to look at, or listen to.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.config.targets import Target
from auscult.datasets.base import Manifest
from auscult.heads.labels import has_any
from auscult.heads.outputs import class_columns
from auscult.metrics import formulas

MARGIN = 0.1  # smaller differences of two probabilities say nothing
SHUFFLES = 200
COLUMNS = ["target", "level", "case", "recording", "site", "label", "suggested", "p_label", "p_suggested"]


def label_issues(
    study: Study, predictions: pd.DataFrame, manifest: Manifest, recordings: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return the labels that are probably wrong, the least probable ones first: columns `COLUMNS`.

    level: `case`, from the row `chosen` of predictions.csv; or `recording`, of a head with a label by recording. For
    the latter, `target` is the head, and the probability is the mean over the systems with this head. `suggested`: the
    class that is more probable; of a target whose cases have several classes, a class that is missing or too many.

    recordings: of each system, the test rows of its recordings.csv.
    """
    tables = []
    for name, target in study.targets.items():
        rows = predictions[(predictions["target"] == name) & (predictions["system"] == "chosen")]
        # a case without a recording has the class frequencies: they say nothing about its label
        rows = rows[(rows["label"] != "") & rows["case"].isin(manifest.recordings["case"])]
        p = rows.groupby("case")[class_columns(target.classes)].mean()
        labels = rows.groupby("case")["label"].first()[p.index]
        tables.append(_of_target(target, labels, p).assign(target=name, level="case"))
    of_heads = {}
    for system_name, table in recordings.items():
        for head_name, head in study.heads_of(study.systems[system_name]).items():
            if head.train_on and head.kind == "binary":
                p = table.groupby("recording")[f"p_{head_name}"].mean()
                of_heads.setdefault(head_name, (head, []))[1].append(p)
    for name, (head, columns) in of_heads.items():
        p = pd.concat(columns, axis=1).mean(axis=1)
        tables.append(_of_head(head, manifest, p).assign(target=name, level="recording"))
    issues = pd.concat([pd.DataFrame(columns=COLUMNS), *(table for table in tables if len(table))])
    return issues[COLUMNS].fillna({"recording": "", "site": ""}).reset_index(drop=True)


def _of_target(target: Target, labels: pd.Series, p: pd.DataFrame) -> pd.DataFrame:
    """Issues of the cases of a target. labels, p: by case."""
    if target.kind == "multiclass":
        return _issues(labels.to_numpy(), p.to_numpy(), target.classes).assign(case=lambda t: p.index[t.pop("row")])
    tables = []
    for name, column in zip(target.classes, p, strict=True):
        has_class = np.array([name if name in cell.split("|") else f"not {name}" for cell in labels])
        both = np.stack([p[column], 1 - p[column]], axis=1)
        issues = _issues(has_class, both, [name, f"not {name}"])
        tables.append(issues.assign(case=lambda t: p.index[t.pop("row")]))
    return pd.concat(tables).sort_values("p_label", ignore_index=True)


def _of_head(head: Head, manifest: Manifest, p: pd.Series) -> pd.DataFrame:
    """Issues of the recordings that have a label of their own. p: of the head's class, by recording."""
    table = manifest.recordings.set_index("recording").loc[p.index]
    labels = table[head.train_on.column]
    table, p, labels = table[labels != ""], p[labels != ""], labels[labels != ""]
    word = "|".join(head.train_on.positive)
    of_class = np.where(has_any(labels, head.train_on.positive), word, f"not {word}")
    issues = _issues(of_class, np.stack([p, 1 - p], axis=1), [word, f"not {word}"])
    rows = table.iloc[issues.pop("row")]
    return issues.assign(recording=rows.index, case=rows["case"].to_numpy(), site=rows["site"].to_numpy())


def _issues(labels: np.ndarray, p: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """Return `row, label, suggested, p_label, p_suggested` of the labels (n,) that are probably wrong.

    p: (n, classes). Classes without a label are left out; of a single class nothing can be said.
    """
    from cleanlab.filter import find_label_issues  # takes a second to load

    there = [number for number, name in enumerate(classes) if (labels == name).any()]
    p = p[:, there] / np.maximum(p[:, there].sum(axis=1, keepdims=True), np.finfo(float).tiny)
    names = np.array([classes[number] for number in there])
    numbers = np.array([names.tolist().index(label) for label in labels])
    if len(names) < 2 or not _is_above_chance(numbers, p):
        return pd.DataFrame(columns=["row", "label", "suggested", "p_label", "p_suggested"]).astype({"row": int})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with few examples, for which nothing may be found
        rows = find_label_issues(numbers, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    others = p[rows].copy()
    others[np.arange(len(rows)), numbers[rows]] = -1
    best_other = others.argmax(axis=1)
    is_clear = p[rows, best_other] - p[rows, numbers[rows]] >= MARGIN
    rows, best_other = rows[is_clear], best_other[is_clear]
    return pd.DataFrame(
        {
            "row": rows,
            "label": labels[rows],
            "suggested": names[best_other],
            "p_label": p[rows, numbers[rows]],
            "p_suggested": p[rows, best_other],
        }
    )


def _is_above_chance(numbers: np.ndarray, p: np.ndarray) -> bool:
    """Whether the mean AUROC of the classes is above 95 % of those of shuffled labels. numbers: of the labels (n,)."""
    rng = np.random.default_rng(0)
    by_chance = [formulas.macro(formulas.auroc(rng.permutation(numbers), p)) for _ in range(SHUFFLES)]
    return bool(formulas.macro(formulas.auroc(numbers, p)) > np.quantile(by_chance, 0.95))
