"""An HTML page of predictions: recordings, winner, predictions by target, and problems with files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.decisions.winner import summary
from auscult.report.templating import template


def render(
    study: str,
    root: str,
    winners: dict[str, dict[str, Any]],
    table: pd.DataFrame,
    new: Manifest,
    seconds: float,
    commit: str,
) -> str:
    """HTML that loads nothing from the internet; all text from the data is escaped.

    root: folder of the new recordings. winners: winner.json. table: all predictions, with `target`. seconds: how long
    they took.
    """
    facts = {"Recordings": f"{len(new.recordings)}, of {len(new.cases)} cases, in {root}"}
    facts |= {f"Winner of {name}": summary(winner) for name, winner in winners.items()}
    facts |= {"Time": f"{seconds:.1f} s, {seconds / max(1, len(new.cases)):.2f} s a case", "Commit": commit}
    return template("auscult.prediction", "predictions.html.j2").render(
        study=study,
        facts=facts,
        targets=[_target(name, rows.drop(columns="target")) for name, rows in table.groupby("target", sort=False)],
        problems=_texts(new.quality),
    )


def _target(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """The predictions of one target, and how many cases have each."""
    counts = rows.loc[rows["recordings"] > 0, "prediction"].value_counts()
    parts = [f"{number} {label or 'none'}" for label, number in counts.items()]
    if silent := int((rows["recordings"] == 0).sum()):
        parts.append(f"{silent} without a readable recording (their numbers are class frequencies, no prediction)")
    table = _texts(rows.replace("", None).dropna(axis=1, how="all"))
    return {"name": name, "cases": len(rows), "counts": ", ".join(parts), "table": table}


def _texts(table: pd.DataFrame) -> dict[str, list]:
    """Columns and rows of a table as texts: three decimals, '' for a missing cell."""
    rows = table.map(lambda cell: "" if pd.isna(cell) else f"{cell:.3f}" if isinstance(cell, float) else str(cell))
    return {"columns": list(table.columns), "rows": rows.to_numpy().tolist()}
