"""The model card of a packed winner: what it is, on which cases it was tested and how well, and its limits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.decisions.winner import VARIANT, summary
from auscult.metrics import catalogue
from auscult.report.facts import outside_training

MIN_CASES = 10  # of a subgroup that the card shows


def card(
    name: str,
    study: Study,
    winners: dict[str, dict[str, Any]],
    own: Manifest,
    board: pd.DataFrame,
    subgroups: pd.DataFrame,
    commit: str,
) -> str:
    """Markdown. board, subgroups: leaderboard.csv and subgroups.csv of the study `name`."""
    protocol = ", ".join(f"{key} {value}" for key, value in study.protocol.model_dump().items() if value is not None)
    others = outside_training(study)
    lines = [
        f"# {name}",
        "",
        study.description,
        "",
        "Research software, not a medical device: nothing here may decide about a patient.",
        "",
        "## Data and protocol",
        "",
        f"Trained on the data set {study.dataset.name}: {len(own.cases)} cases of {own.cases['subject'].nunique()} "
        f"subjects, {len(own.recordings)} recordings at {study.dataset.rate_hz} Hz. Protocol: {protocol}. "
        f"{'Besides: ' + '; '.join(others) + '. ' if others else ''}"
        f"The networks of every fold predict, and the folds vote. Commit {commit}.",
    ]
    for target, winner in winners.items():
        row = board[board["target"] == target].set_index(VARIANT).loc[tuple(winner[key] for key in VARIANT)]
        procedure = "the procedure that takes these variants in every fold without its test cases (row `chosen`)"
        single = "this variant, a little too high since it was chosen on cases that other folds test"
        lines += ["", f"## {target}: {', '.join(study.targets[target].classes)}", ""]
        cases = "cases of inner folds" if winner["scored_on"] == "inner" else "validation cases"
        lines += [f"Decided by {summary(winner)}; in a fold with several variants these vote. Chosen on {cases}.", ""]
        lines += [f"Test scores of {procedure if winner['system'] == 'chosen' else single}:", ""]
        lines += [f"- {line}" for line in _scores(row)]
        if str(row.get("leak", "")) not in ("", "nan"):
            lines.append(f"- LEAK: {row['leak']}")
        groups = subgroups[(subgroups["target"] == target) & (subgroups["n"] >= MIN_CASES)]
        if len(groups):
            lines += ["", "Test scores of the study's row `chosen` in groups of cases:", ""]
            lines += [f"- {row['by']} {row['group']}: {'; '.join(_scores(row))}" for row in groups.to_dict("records")]
    lines += [
        "",
        "## Limits",
        "",
        "- The scores are of held-out test cases of the same data set. Each fold was tested alone; the vote of all "
        "folds was not tested. Performance on other devices and populations is unknown.",
        f"- Recordings shorter than {study.dataset.short_s:g} s are padded at their end and listed in `problems`.",
        "- Cases of the study itself are marked in `problems`. Other recordings of its subjects are "
        "recognised by the subject's id alone.",
    ]
    return "\n".join(lines) + "\n"


def elsewhere(table: pd.DataFrame) -> str:
    """Markdown: the scores on other data sets, rows of `evaluation.external.external_table`; '' without any."""
    if table.empty:
        return ""
    lines = ["", "## On other recordings", ""]
    for row in table[table["by"].isna()].to_dict("records"):
        mark = f"; {row['leak']}" if isinstance(row["leak"], str) else ""
        left_out = f"{row['known']} cases of the study and {row['unlabelled']} without a label were left out"
        lines.append(f"- {row['data']}, {row['target']}: {'; '.join(_scores(row))}; {left_out}{mark}")
    return "\n".join(lines) + "\n"


def _scores(row: Any) -> list[str]:
    """`<metric> <value> (<low> to <high>)` of a row, and its number of cases."""
    scores = [f"{int(row['n'])} predictions of cases"]
    for name in [metric.key for metric in catalogue.with_interval()]:
        if pd.notna(row.get(name)):
            ends = [row.get(f"{name}_low"), row.get(f"{name}_high")]
            interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if pd.notna(ends).all() else ""
            scores.append(f"{name} {row[name]:.3f}{interval}")
    return scores
