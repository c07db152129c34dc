"""An HTML page of predictions: recordings, winner, predictions by target, and problems with files."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from auscult.datasets.base import Manifest
from auscult.decisions.winner import summary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left; } th { background: #f4f4f4; }
@media screen and (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd; } th { background: #2a2a2a; }
}
"""


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
    count = max(1, len(new.cases))
    facts = {"Recordings": f"{len(new.recordings)} of {len(new.cases)} cases in {root}"}
    for name, winner in winners.items():
        facts[f"Winner of {name}"] = summary(winner)
    facts |= {"Time": f"{seconds:.1f} s, {seconds / count:.2f} s a case", "Commit": commit}
    facts_html = "".join(
        f"<dt><b>{html.escape(key)}</b></dt><dd>{html.escape(text)}</dd>" for key, text in facts.items()
    )
    title = f"Predictions of {html.escape(study)}"
    sections = [f"<h1>{title}</h1><p>Research software, not a medical device.</p><dl>{facts_html}</dl>"]
    for name, rows in table.groupby("target", sort=False):
        counts = rows.loc[rows["recordings"] > 0, "prediction"].value_counts()
        parts = [f"{number} {label or 'none'}" for label, number in counts.items()]
        if silent := int((rows["recordings"] == 0).sum()):
            parts.append(f"{silent} without a readable recording (their numbers are class frequencies, no prediction)")
        cells = _html(rows.drop(columns="target").replace("", None).dropna(axis=1, how="all"))
        sections.append(
            f"<h2>{html.escape(name)}</h2><p>{len(rows)} cases: {html.escape(', '.join(parts))}.</p>{cells}"
        )
    if len(new.quality):
        sections.append(f"<h2>Recordings with problems</h2>{_html(new.quality)}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(sections)}</body></html>\n'


def _html(table: pd.DataFrame) -> str:
    return table.to_html(index=False, escape=True, border=0, float_format=lambda value: f"{value:.3f}", na_rep="")
