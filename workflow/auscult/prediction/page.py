"""A small page of predictions: what was asked, what came out, what was wrong with which file."""

from __future__ import annotations

import html

import pandas as pd

from auscult.datasets.base import Manifest

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
    winners: dict[str, dict[str, str]],
    table: pd.DataFrame,
    new: Manifest,
    seconds: float,
    commit: str,
) -> str:
    """HTML that asks nothing of any network; every word of the data is escaped.

    root: folder of the new recordings. winners: winner.json. table: all predictions, with `target`. seconds: how long
    they took.
    """
    count = max(1, len(new.cases))
    facts = {"Recordings": f"{len(new.recordings)} of {len(new.cases)} cases in {root}"}
    for name, winner in winners.items():
        words = [winner[key] for key in ("system", "stage", "fit_on", "decision")]
        facts[f"Winner of {name}"] = ", ".join(word for word in words if word != "none")
    facts |= {"Time": f"{seconds:.1f} s, {seconds / count:.2f} s a case", "Commit": commit}
    facts_html = "".join(
        f"<dt><b>{html.escape(key)}</b></dt><dd>{html.escape(text)}</dd>" for key, text in facts.items()
    )
    title = f"Predictions of {html.escape(study)}"
    parts = [f"<h1>{title}</h1><p>Research software, not a medical device.</p><dl>{facts_html}</dl>"]
    for name, part in table.groupby("target", sort=False):
        counts = part["prediction"].value_counts()
        words = ", ".join(f"{number} {label or 'none'}" for label, number in counts.items())
        shown = part.drop(columns="target").dropna(axis=1, how="all")
        parts.append(f"<h2>{html.escape(name)}</h2><p>{len(part)} cases: {html.escape(words)}.</p>{_html(shown)}")
    if len(new.quality):
        parts.append(f"<h2>Recordings with problems</h2>{_html(new.quality)}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _html(table: pd.DataFrame) -> str:
    return table.to_html(index=False, escape=True, border=0, float_format=lambda value: f"{value:.3f}", na_rep="")
