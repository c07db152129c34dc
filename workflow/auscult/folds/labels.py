"""Check the labels of cases and recordings: known words, one where one is taken, some of every task in each role."""

from __future__ import annotations

import re

import pandas as pd

from auscult.config.systems import Task
from auscult.config.targets import TargetClasses
from auscult.datasets.ids import plain
from auscult.folds.planned import FoldError


def check_labels(targets: dict[str, TargetClasses], tasks: dict[str, Task], cases: pd.DataFrame) -> None:
    """Raise FoldError for a target or head whose column is missing or has words that it cannot mean.

    A case of a multiclass target or head has one of its classes. Other targets and heads may have further words, but
    none that is one of their own in another writing, and a binary head has a positive case.
    """
    uses = [(f"targets.{name}", target.kind, target.label, target.classes) for name, target in targets.items()]
    for task_name, task in tasks.items():
        for name, head in task.heads.items():
            own_words = head.positive or head.classes
            uses.append((f"tasks.{task_name}.heads.{name}", head.kind, head.label, own_words))
    for key, kind, label, own_words in uses:
        if label not in cases:
            raise FoldError(f"the data set has no label column {label!r}; it has {', '.join(cases.columns[2:])}")
        words = {word for cell in cases[label].unique() if cell for word in str(cell).split("|")}
        if kind == "multiclass" and (unknown_words := words - set(own_words)):
            case, cell = _first_with(cases, label, min(unknown_words))
            raise FoldError(f"case {case!r}: {label} is {cell!r}, not one of the study's classes {own_words} ({key})")
        for word in sorted(words - set(own_words)):
            if meant := same_word(word, own_words):
                case, cell = _first_with(cases, label, word)
                raise FoldError(
                    f"case {case!r}: {label} is {cell!r}; {key} has {meant}: write {'|'.join(meant)!r} there, or, if "
                    f"it is another word, name {word!r} in {key} too"
                )
        if kind == "binary" and words and not words & set(own_words):
            raise FoldError(f"{key}.positive: no case has one of {own_words}; {label} has {sorted(words)[:10]}")


def same_word(word: str, own_words: list[str]) -> list[str]:
    """Return those of a study's words that a word is in another writing, or several of them in one word (`MI;AF`)."""
    own_of_form = {plain(own): own for own in own_words}
    if plain(word) in own_of_form:
        return [own_of_form[plain(word)]]
    parts = [plain(part) for part in re.split(r"[;,/+&\s]+", word) if part and plain(word) != "n/a"]
    return [own_of_form[part] for part in parts] if parts and set(parts) <= set(own_of_form) else []


def _first_with(cases: pd.DataFrame, label: str, word: str) -> tuple[str, str]:
    """The first case with a word, and its cell."""
    row = cases[[word in str(cell).split("|") for cell in cases[label]]].iloc[0]
    return row["case"], row[label]


def check_recording_labels(tasks: dict[str, Task], recordings: pd.DataFrame) -> None:
    """Raise FoldError if the `train_on` column of a head is missing, has none of the head's classes, or has others."""
    for task_name, task in tasks.items():
        for head_name, head in task.heads.items():
            if not head.train_on:
                continue
            key, column = f"tasks.{task_name}.heads.{head_name}.train_on", head.train_on.column
            if column not in recordings:
                raise FoldError(
                    f"{key}.column: the recordings have no column {column!r}; they have {', '.join(recordings)}"
                )
            values = {value for cell in recordings[column].unique() if cell for value in str(cell).split("|")}
            if not values & set(head.train_on.positive or head.classes):
                raise FoldError(
                    f"{key}: the column {column} has none of {head.train_on.positive or head.classes}; its values "
                    f"are {sorted(values)}"
                )
            own_words = head.train_on.positive or head.classes
            for value in sorted(values - set(own_words)):
                if meant := same_word(value, own_words):
                    raise FoldError(
                        f"{key}: the column {column} has {value!r}; is {'|'.join(meant)!r} meant? Write it so in "
                        "recordings.csv"
                    )
            if head.kind == "multiclass" and (unknown := values - set(head.classes)):
                raise FoldError(
                    f"{key}: the column {column} has the value {min(unknown)!r}, not one of the classes {head.classes}"
                )


def check_single_labels(
    targets: dict[str, TargetClasses], tasks: dict[str, Task], cases: pd.DataFrame, recordings: pd.DataFrame
) -> None:
    """Raise FoldError if a cell has several labels, joined by `|`, and a target or head of this column is multiclass.

    cases, recordings: of the manifest.
    """
    columns = [(f"targets.{name}", target.kind, target.label) for name, target in targets.items()]
    of_recordings = []
    for task_name, task in tasks.items():
        for name, head in task.heads.items():
            key = f"tasks.{task_name}.heads.{name}"
            columns.append((key, head.kind, head.label))
            if head.train_on:
                of_recordings.append((f"{key}.train_on", head.kind, head.train_on.column))
    for table, key_column, uses in ((cases, "case", columns), (recordings, "recording", of_recordings)):
        for key, kind, column in uses:
            if kind != "multiclass" or column not in table:
                continue
            is_joined = table[column].str.contains("|", regex=False)
            if is_joined.any():
                row = table[is_joined].iloc[0]
                raise FoldError(
                    f"{key_column}s.csv: {key_column} {row[key_column]!r}, column {column!r}: {row[column]!r} has "
                    f"several labels, and {key} is {kind} and takes one; leave one label in the cell, or set kind: "
                    "multilabel"
                )


def check_labelled(tasks: dict[str, Task], cases: pd.DataFrame, fold_rows: pd.DataFrame, fold: str) -> None:
    """Raise FoldError if no validation case of a fold has a label of a task, or no training case one of a head.

    fold_rows: `case, role` of the fold. fold: its name for the message. A head that is trained on labels of recordings
    needs labelled cases for validation only; see `check_labelled_recordings`.
    """
    cases_by_id = cases.set_index("case")
    for name, task in tasks.items():
        heads = task.heads.items()
        needs = [("validation", {head_name: head.label for head_name, head in heads})]
        needs += [("training", {head_name: head.label}) for head_name, head in heads if not head.train_on]
        for role, labels in needs:
            case_ids = fold_rows.loc[fold_rows["role"] == {"validation": "val", "training": "train"}[role], "case"]
            if (cases_by_id.loc[case_ids, sorted(set(labels.values()))] == "").to_numpy().all():
                columns = " and ".join(f"{head_name} (column {label!r})" for head_name, label in labels.items())
                raise FoldError(
                    f"{fold}: no {role} case has a label for tasks.{name}.heads: {columns}; label more cases, or use "
                    "another seed or share of validation cases"
                )


def check_labelled_recordings(tasks: dict[str, Task], recordings: pd.DataFrame, folds: pd.DataFrame) -> None:
    """Raise FoldError if no recording of a fold's training cases has a label that a head is trained on.

    folds: `repeat, fold, case, role`, and `inner` of inner folds.
    """
    keys = [key for key in ("repeat", "fold", "inner") if key in folds]
    for name, task in tasks.items():
        for head_name, head in task.heads.items():
            if not head.train_on:
                continue
            column = head.train_on.column
            cases = set(recordings.loc[recordings[column] != "", "case"])
            for fold, rows in folds[folds["role"] == "train"].groupby(keys):
                if not cases & set(rows["case"]):
                    place = ", ".join(f"{key} {number}" for key, number in zip(keys, fold, strict=True))
                    raise FoldError(
                        f"{place}: no training recording has a label for tasks.{name}.heads.{head_name}.train_on "
                        f"(column {column!r}); label more recordings, or use another seed"
                    )
