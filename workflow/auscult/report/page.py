"""The page report.html of a study: what it is, how it was judged, what came out, what it was made from.

Functions here turn tables into sentences, cells and numbers; the template lays them out, and escapes all it is given.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT
from auscult.folds.protocols import stratify_labels
from auscult.metrics import catalogue
from auscult.report import sections
from auscult.report.cells import METRICS, cell, duration, number, table, with_interval

LISTED = 1000  # rows of a long list on the page; the CSV has all
SHARED = ("shared_", "identical_audio")  # findings of the audit that cross the roles

GROUPS: dict[str, list[str]] = {}  # columns of metrics by group
for _metric in catalogue.METRICS:
    GROUPS.setdefault(_metric.group, []).append(_metric.key)
CHOSEN_ON = ("stopping", "inner", "stopping twice", "inner twice", "test")  # words of the tables that get a mark
BY_CLASS = tuple(metric.key for metric in catalogue.class_metrics())  # beginnings of columns
CHOOSE = {"both": "mean of W.acc and UAR"}
SIZE = {
    "n": ("Cases", "Judged cases with a label."),
    "parameters": ("Parameters", "Of all networks that score a case."),
    "multiply_adds": ("Multiply-adds", "Of one window through these networks."),
    "train_s": ("Training", "Seconds that the networks of one fold trained."),
}
FINDINGS = {
    "identical_audio": "the same samples in both roles",
    "class_absent": "classes without a case in this role",
    "subjects_unknown": "the data set names no subjects",
    "weights_heard": "the weights that the system starts from heard these subjects",
    "weights_unknown": "nothing declares what the weights that the system starts from heard",
}


def render(
    study_name: str,
    study: Study,
    tables: dict[str, pd.DataFrame],
    figures: list[pd.DataFrame],
    folders: list[Path],
    facts: dict[str, Any],
    published: pd.DataFrame,
) -> str:
    """The page as HTML, with figures, style and script inside: it asks nothing of any network.

    Parameters
    ----------
    tables : `leaderboard`, `cross_validation`, `floors`, `uncertainty`, `comparison`, `subgroups`, `audit`, `quality`,
        and `cases` (`target, class, n`, `(no label)` for cases without one).
    figures : `file, title, alt, caption` of the figures, and of the explanations.
    folders : where the files of each lie.
    facts : `commit`, `digest`, `versions`, `folds`, `repeats`, `counts` (cases, subjects, recordings), `leak` (the
        mark), `winner` (per target), `made` (a date), `trainings` (`system, task, network, parameters, epochs,
        seconds` of each).
    published : resources/published.csv.
    """
    loader = PackageLoader("auscult.report")
    rooms = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    board, rounds, floors = (tables[key] for key in ("leaderboard", "cross_validation", "floors"))
    names, pairs = list(study.targets), tables["comparison"]
    return rooms.get_template("report.html.j2").render(
        stratified=stratify_labels(study.protocol, study.targets),
        name=study_name,
        study=study,
        facts=facts,
        leak=_leak(study, facts["leak"]),
        results=[_result(name, study, _of(board, name), _of(floors, name), facts["winner"]) for name in names],
        classes=[(name, _class_counts(_of(tables["cases"], name))) for name in names],
        audit=_audit(tables["audit"]),
        boards=[(name, _board(_of(board, name), facts["leak"])) for name in names],
        rounds=[(name, _means(_of(rounds, name)), _folds(_of(rounds, name))) for name in names],
        floors=_plain(floors),
        uncertainty=[(name, sections.uncertainty(_of(tables["uncertainty"], name))) for name in names],
        published=[(name, sections.published(study, name, published, _of(board, name))) for name in names],
        comparison=[(name, sections.comparison(pairs[pairs["target"] == name])) for name in names],
        subgroups=[(name, sections.subgroups(_of(tables["subgroups"], name))) for name in names],
        metrics=[
            METRICS[key] for key in METRICS if any(_key(column) == key for column in board.dropna(axis=1, how="all"))
        ],
        choose_by=CHOOSE.get(study.evaluation.choose_by) or METRICS[study.evaluation.choose_by][0],
        quality=_quality(tables["quality"]),
        figures=[_figure(row, folders[0]) for row in figures[0].to_dict("records")],
        explained=[_figure(row, folders[1]) for row in figures[1].to_dict("records")],
        systems=_systems(study),
        trainings=_trainings(facts["trainings"]),
    )


# Sentences


def _leak(study: Study, mark: str) -> dict[str, str] | None:
    """The box that says what leaks: red for what the roles share, a warning for what is unknown."""
    if not mark:
        return None
    shared = any(word in mark for word in (*SHARED, "weights_heard"))
    return {"kind": "leak" if shared else "warning", "mark": mark, "because": study.leak.because if shared else ""}


def _result(name: str, study: Study, board: pd.DataFrame, floors: pd.DataFrame, winner: dict[str, Any]) -> dict:
    """What the row `chosen` of one target scored, beside the floors: sentences, and numbers for the strips."""
    chosen = board[board["system"] == "chosen"].to_dict("records") if len(board) else []
    if not chosen or not chosen[0]["n"]:
        return {"name": name, "text": "No case was judged.", "verdict": "", "strips": [], "winner": ""}
    row, below = chosen[0], floors.to_dict("records")
    target = study.targets[name]
    place = "text of multilabel" if target.kind == "multilabel" else "text of normal" if target.normal else "text"
    metrics = [metric for metric in catalogue.shown(place) if pd.notna(row.get(metric.key))]
    shown = [metric.key for metric in metrics]
    said = " and ".join(f"{metric.name} {with_interval(row, metric.key)}" for metric in metrics)
    text = f"On {row['n']} judged cases the row chosen reaches {said or 'no defined score'}."
    strips, clear, not_clear = [], [], []
    for metric in shown:
        marks = [(floor["always"], float(floor[metric])) for floor in below if pd.notna(floor.get(metric))]
        if metric == "auroc":
            marks = [("guessing", 0.5)]
        low, high = (row.get(f"{metric}_{end}", np.nan) for end in ("low", "high"))
        strips.append({"metric": METRICS[metric][0], "value": row[metric], "low": low, "high": high, "floors": marks})
        if marks and pd.notna(low):
            (clear if low > max(value for _, value in marks) else not_clear).append(METRICS[metric][0])
    for floor in below:
        scores = " and ".join(f"{METRICS[m][0]} {number(floor[m])}" for m in shown if m in floor)
        text += f" Always saying {floor['always']} scores {scores}." if scores else ""
    verdict = f"The whole interval of {' and of '.join(clear)} lies above the floor." if clear else ""
    if not_clear:
        verdict += f" The interval of {' and of '.join(not_clear)} reaches down to the floor: no proof of a gain."
    kept = winner.get(name)
    if kept:
        kept = f"{kept['system']}, {_stage(kept)}, decision {kept['decision']}"
        score = "not defined" if (mean := winner[name]["inner_score"]) is None else f"{mean:.3f}"
        kept += f" (mean {'inner' if study.inner_folds else 'validation'} score {score})"
    return {"name": name, "text": text, "verdict": verdict, "strips": strips, "winner": kept or ""}


def _of(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """Rows of a target, without columns that are empty there."""
    return table[table["target"] == target].dropna(axis=1, how="all") if len(table) else table


def _key(column: str) -> str:
    """The key of METRICS that a column of a table belongs to; '' if none."""
    if column in METRICS or column.endswith(("_low", "_high")):
        return column if column in METRICS else ""
    return next((key for key in BY_CLASS if column.startswith(key)), "")


def _columns(table: pd.DataFrame) -> list[tuple[str, list[tuple[str, tuple[str, str]]]]]:
    """Groups of metrics in a table: (group, [(column, (label, explanation))])."""
    found = []
    for group, columns in GROUPS.items():
        found.append((group, [(c, METRICS[c]) for c in columns if c in table]))
    for key in BY_CLASS:
        each = [c for c in table if _key(c) == key and c != key]
        found.append((METRICS[key][0], [(c, (c.removeprefix(key), METRICS[key][1])) for c in each]))
    return [(group, columns) for group, columns in found if columns]


def _variant(row: dict) -> dict:
    """Cell with stage, what it was fitted on, decision, and the marks of a variant."""
    on = row.get("chosen_on")
    badges = [("bad" if on == "test" else "mild", f"chosen_on: {on}")] if on in CHOSEN_ON else []
    badges += [("bad", "fit_on: train")] if row["fit_on"] == "train" else []
    name = "best in each fold" if row["stage"] == "chosen" else f"{_stage(row)} · {row['decision']}"
    return cell(name, badges=badges)


def _stage(row: dict) -> str:
    return row["stage"] + ("" if row["fit_on"] in ("", "none") else f" on {row['fit_on']}")


def _grid(rows: pd.DataFrame, extra: list[str], write: Callable[[dict, str], dict]) -> dict:
    """A table of variants: names, marks, `extra` columns, groups of metrics whose cells `write(row, c)` makes, n."""
    size = [(column, label) for column, label in SIZE.items() if column in rows]
    groups = [*_columns(rows), ("Size", size)]
    heads = ["System", "Stage · decision", *map(str.capitalize, extra)]
    spans = [("Variant", len(heads)), *((group, len(columns)) for group, columns in groups)]
    metrics = [column for _, columns in groups[:-1] for column, _ in columns]
    body, kinds = [], []
    for row in rows.to_dict("records"):
        names = [str(row["system"]), _variant(row), *(cell(str(row[name])) for name in extra)]
        sizes = [cell("" if pd.isna(row[column]) else int(row[column])) for column, _ in size]
        body.append([*names, *(write(row, column) for column in metrics), *sizes])
        kinds.append("chosen" if row["system"] == "chosen" else "leaky" if row["fit_on"] == "train" else "")
    return table([*heads, *(head for _, columns in groups for _, head in columns)], body, spans, kinds)


def _board(rows: pd.DataFrame, mark: str) -> dict | None:
    """The leaderboard of a target, `chosen` first."""
    if rows.empty:
        return None
    rows = rows.sort_values("system", key=lambda names: names != "chosen", kind="stable")
    return _grid(rows, [], lambda row, column: cell(row[column], with_interval(row, column)))


def _means(rows: pd.DataFrame) -> dict | None:
    """Mean ± standard deviation over the folds, a row for each variant, `chosen` first."""
    if rows.empty:
        return None
    rows = rows.sort_values("system", key=lambda names: names != "chosen", kind="stable")
    fold = rows["fold"].astype(str)
    spread = {tuple(row[key] for key in VARIANT): row for row in rows[fold == "sd"].to_dict("records")}

    def write(row: dict, column: str) -> dict:
        sd = spread.get(tuple(row[key] for key in VARIANT), {}).get(column)
        text = number(row[column])
        return cell(row[column], f"{text} ± {number(sd)}" if text and sd is not None and pd.notna(sd) else text)

    return _grid(rows[fold == "mean"], [], write)


def _folds(rows: pd.DataFrame) -> dict | None:
    """Every fold of every variant."""
    rows = rows[~rows["fold"].astype(str).isin(["mean", "sd"])] if len(rows) else rows
    return None if rows.empty else _grid(rows, ["repeat", "fold"], lambda row, column: cell(row[column]))


def _plain(values: pd.DataFrame) -> dict | None:
    """A table as it is, with the names of metrics."""
    if values.empty:
        return None
    values = values.dropna(axis=1, how="all")
    names = {"n": "Cases", "always": "Always said"}
    heads = [METRICS.get(column, (names.get(column, column.capitalize()), "")) for column in values]
    return table(heads, [list(row.values()) for row in values.to_dict("records")])


def _class_counts(cases: pd.DataFrame) -> list[dict[str, Any]]:
    """Number and share of the cases of every class, the largest with a bar of full length."""
    rows = [(str(row["class"] or ""), int(row["n"])) for row in cases.fillna({"class": ""}).to_dict("records")]
    total, most = sum(n for _, n in rows) or 1, max([n for _, n in rows], default=1) or 1
    return [{"name": name, "n": n, "share": n / total, "bar": n / most} for name, n in rows]


def _audit(findings: pd.DataFrame) -> dict[str, Any]:
    """What the audit found, as a sentence and, where there is something, a table."""
    findings = findings.astype(object).fillna("")
    found = findings["finding"].astype(str)
    shared = findings[found.str.startswith(SHARED)]
    text = "The audit found nothing shared between the roles."
    if len(shared):
        text = f"The audit found {int(shared['count'].astype(int).sum())} cases that share something across the roles."
    if (found == "subjects_unknown").any():
        unknown = "The data set names no subjects: the audit could not check that none stands in two roles."
        text = f"{unknown} {text}" if len(shared) else unknown
    rows = []
    for row in findings.to_dict("records"):
        name, ids = str(row["finding"]), str(row["ids"])
        words = FINDINGS.get(name, f"the same {name.removeprefix('shared_')} in both roles")
        ids = ids if len(ids) <= 200 else f"{ids[:200]} …"
        rows.append([str(row["repeat"]), str(row["fold"]), name, words, str(row["roles"]), row["count"], ids])
    heads = ["Repeat", "Fold", "Finding", "Meaning", "Roles", "Count", "Ids"]
    return {"text": text, "table": table(heads, rows) if rows else None}


def _quality(problems: pd.DataFrame) -> dict[str, Any] | None:
    """Counts of recordings by problem and action, and the list."""
    if problems.empty:
        return None
    counts = problems.groupby(["problem", "action"]).size().sort_values(ascending=False, kind="stable")
    columns = ["recording", "problem", "action", "detail"]
    listed = problems[columns].head(LISTED).astype(object).fillna("").astype(str)
    return {
        "counts": table(["Problem", "Action", "Recordings"], [[*key, int(n)] for key, n in counts.items()]),
        "list": table([column.capitalize() for column in columns], listed.to_numpy().tolist()),
        "listed": len(listed),
        "all": len(problems),
    }


def _systems(study: Study) -> dict:
    """What each system is, a row each."""
    rows = []
    for name, one in study.systems.items():
        window = f"{one.segment.seconds:g} s, every {one.segment.hop_s:g} s"
        epochs = {"last": "all of {}", "test": "the best on judged cases of {}"}.get(one.training.select, "at most {}")
        learnt = f"{epochs.format(one.training.epochs)} epochs, {one.training.optimiser}"
        rows.append([name, one.front_end.name, window, one.network.name, ", ".join(one.tasks), learnt])
        rows[-1].append(f"{one.inference.passes} stochastic passes")
    for name, one in study.ensembles.items():
        weighed = ", weighed by validation score" if one.weigh == "validation" else ""
        tasks = ", ".join(study.systems[one.systems[0]].tasks)
        rows.append([name, "", "", f"mean of {', '.join(one.systems)}{weighed}", tasks, "", ""])
    return table(["System", "Front end", "Windows", "Network", "Tasks", "Training", "Scoring"], rows)


def _trainings(trainings: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Sizes, epochs and durations by system and task."""
    if not trainings:
        return None
    made, rows = pd.DataFrame(trainings), []
    for (system, task), part in made.groupby(["system", "task"], sort=False):
        size, epochs = f"{int(part['parameters'].max()):,}".replace(",", " "), part["epochs"].astype(int)
        ran = f"{epochs.min()}" if epochs.min() == epochs.max() else f"{epochs.min()}–{epochs.max()}"
        times = [cell(float(s), duration(s)) for s in (part["seconds"].mean(), part["seconds"].sum())]
        rows.append([system, task, len(part), cell(int(part["parameters"].max()), size), cell(epochs.mean(), ran)])
        rows[-1] += times
    heads = ["System", "Task", "Networks", "Parameters", "Epochs", "Time each", "Time in all"]
    return {"table": table(heads, rows), "count": len(made), "time": duration(float(made["seconds"].sum()))}


def _figure(row: dict[str, str], folder: Path) -> dict[str, str]:
    """A figure with its file as a data URI; the file must lie in `folder` itself."""
    if Path(row["file"]).name != row["file"]:
        raise ValueError(f"figure {row['file']!r}: should be the name of a file in {folder}")
    kind = mimetypes.guess_type(row["file"])[0] or "image/svg+xml"
    content = base64.b64encode((folder / row["file"]).read_bytes()).decode("ascii")
    return {"uri": f"data:{kind};base64,{content}", "alt": row["alt"], "caption": row["caption"], "title": row["title"]}
