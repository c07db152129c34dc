"""The listening page: its cases as the template lays them out, in one file that loads nothing from the internet."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.heads.outputs import class_columns
from auscult.listening.cases import REASONS
from auscult.listening.sounds import COLUMNS, HEIGHT, LONGEST_S, Sound
from auscult.report.templating import template

HEART_RATE_HZ = 8000
"""Up to this rate the sounds lie where small loudspeakers play little: the page offers to play them higher."""
BAND_FRONT_ENDS = ("band1k", "reference", "fbank")
"""Front ends whose frames are bands from low to high frequencies."""
MOST_RECORDINGS = 5
"""Recordings of a case that the page has."""


def render(
    name: str,
    study: Study,
    selection: pd.DataFrame,
    predictions: pd.DataFrame,
    issues: pd.DataFrame,
    sounds: dict[str, list[Sound]],
    left_out: dict[str, int],
    front_end: str,
    meaning: str,
    system: str,
    leak: str,
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    selection : the cases, see `cases.chosen_cases`. predictions : predictions.csv. issues : label_issues.csv.
    sounds : the recordings of each case. left_out : how many recordings of a case the page does not have.
    front_end : whose frames are drawn. meaning : what the colours mean, '' without any. system : whose network they
        explain. leak : the mark of the study's audit.
    """
    cases = [
        _case(case, study, rows, predictions[predictions["case"] == case], issues)
        | {"sounds": sounds[case], "left_out": left_out.get(case, 0)}
        for case, rows in selection.groupby("case", sort=False)
    ]
    phases = {phase: colour for case in cases for sound in case["sounds"] for phase, colour, _ in sound.phases}
    size = sum(sound.size for case in cases for sound in case["sounds"])
    return template("auscult.listening", "listen.html.j2").render(
        name=name,
        description=study.description,
        cases=cases,
        reasons=list(REASONS.values()),
        phases=phases,
        explained=meaning,
        system=system,
        leak=leak,
        has_bands=front_end in BAND_FRONT_ENDS,
        mebibytes=size / 2**20,
        longest=LONGEST_S,
        box=(COLUMNS, HEIGHT),
        higher=study.dataset.rate_hz <= HEART_RATE_HZ,
    )


def _case(case: str, study: Study, reasons: pd.DataFrame, rows: pd.DataFrame, issues: pd.DataFrame) -> dict[str, Any]:
    """The reasons for a case, and for every target its label, decision and probabilities."""
    why = list(dict.fromkeys(_reason(row, len(study.targets) > 1) for row in reasons.to_dict("records")))
    first = rows["repeat"].min()
    targets = [
        _target(target_name, study, rows[(rows["target"] == target_name) & (rows["repeat"] == first)])
        for target_name in study.targets
    ]
    of_case = issues[issues["case"] == case].fillna("")
    doubts = [
        f"{' of '.join(filter(None, [row['target'], row['recording']]))}: {row['label']}, but {row['suggested']} is "
        f"more probable ({row['p_suggested']:.2f})"
        for row in of_case.to_dict("records")
    ]
    return {"case": case, "why": why, "targets": [target for target in targets if target], "doubts": doubts}


def _reason(row: dict[str, str], several: bool) -> str:
    """One reason as words; with several targets it names the target."""
    of_class = f" ({row['of_class']})" if row["of_class"] else ""
    target = f"{row['target']}: " if several and row["reason"] != "asked" else ""
    return f"{target}{REASONS[row['reason']]}{of_class}"


def _classes(cell: str, classes: list[str]) -> set[str]:
    """The classes of a target in a cell, which may have several in any order, and words that are no class."""
    return set(cell.split("|")) & set(classes)


def _target(name: str, study: Study, rows: pd.DataFrame) -> dict[str, Any] | None:
    """Label, decision and probabilities of one target of a case; None where it was not tested. rows: of one repeat."""
    rows_chosen = rows[rows["system"] == "chosen"]
    if rows_chosen.empty:
        return None
    row, classes = rows_chosen.iloc[0], study.targets[name].classes
    others = rows[rows["system"] != "chosen"]
    stages = [
        {
            "name": system if stage == "network" else f"{system}, {stage} fitted to {fit_on.replace('_', ' ')}",
            "p": [float(part.iloc[0][column]) for column in class_columns(classes)],
        }
        for (system, stage, fit_on), part in others.groupby(["system", "stage", "fit_on"], sort=False)
    ]
    return {
        "name": name,
        "classes": classes,
        "label": row["label"] or "no label",
        "decision": row["prediction"],
        "is_right": _classes(row["label"], classes) == _classes(row["prediction"], classes),
        "p": [float(row[column]) for column in class_columns(classes)],
        "stages": stages,
        "agreeing": int((others["prediction"] == row["prediction"]).sum()),
        "variants": len(others),
    }
