"""Write the page report.html of a study: its data, protocol, results, figures, trainings and versions.

The functions here turn tables into sentences, cells and numbers. The template lays them out and escapes all of them.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT, summary
from auscult.folds.stratify import stratify_labels
from auscult.metrics import catalogue
from auscult.plan.networks import has_sounds
from auscult.report import sections
from auscult.report.cells import METRICS, cell, duration, number, table, with_interval
from auscult.report.facts import outside_training
from auscult.report.templating import template

MOST_PROBLEMS = 1000  # rows of the list of problems on the page; quality.csv has all
# findings of the audit about two roles: their names, or prefixes of these
SHARED = ("shared_", "identical_audio", "near_identical_audio", "overlapping_intervals")

GROUPS: dict[str, list[str]] = {}  # columns of metrics by group
for _metric in catalogue.METRICS:
    GROUPS.setdefault(_metric.group, []).append(_metric.key)
CHOSEN_ON = ("stopping", "inner", "stopping twice", "inner twice", "test")  # values of `chosen_on` with a badge
BY_CLASS = tuple(metric.key for metric in catalogue.class_metrics())  # prefixes of columns
SIZE = {
    "n": ("Cases", "Number of test cases with a label, once for each repeat of the folds."),
    "parameters": ("Parameters", "Of all networks whose outputs are averaged for a case."),
    "multiply_adds": ("Multiply-adds", "Of these networks, for one window."),
    "train_s": ("Training", "Training time of the networks of one fold, in seconds."),
}
FINDINGS = {
    "identical_audio": "the same samples in both roles",
    "near_identical_audio": "copies of a recording, cut or changed, in both roles",
    "overlapping_intervals": "overlapping intervals of a file in both roles",
    "shared_file": "different intervals of a file in both roles",
    "class_absent": "classes without a case in this role",
    "subjects_unknown": "the data set names no subjects",
    "weights_heard": "the system’s initial weights were trained on these subjects",
    "weights_unknown": "it is not declared which subjects the system’s initial weights were trained on",
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
    """Return the page as HTML, with figures, style and script inside: it loads nothing from the internet.

    Parameters
    ----------
    tables : `leaderboard`, `cross_validation`, `floors`, `uncertainty`, `comparison`, `subgroups`, `label_issues`,
        `external` (empty where nothing was validated), `audit`, `quality`, and `cases` (`target, class, n`, `(no
        label)` for cases without one).
    figures : tables `file, title, alt, caption`: of the figures, and of the explanations where there are any.
    folders : the folders with the files of these tables.
    facts : `commit`, `digest`, `versions`, `folds`, `repeats`, `counts` (cases, subjects, recordings), `leak` (the
        mark), `winner` (per target), `date`, `trainings` (`system, task, network, parameters, epochs, seconds` of
        each).
    published : the table resources/published.csv.
    """
    board, fold_scores, floors = (tables[key] for key in ("leaderboard", "cross_validation", "floors"))
    names, pairs = list(study.targets), tables["comparison"]
    return template("auscult.report", "report.html.j2").render(
        stratified=stratify_labels(study.protocol, study.targets),
        name=study_name,
        study=study,
        facts=facts,
        leak=_leak(study, facts["leak"]),
        results=[_result(name, study, _of(board, name), _of(floors, name), facts) for name in names],
        classes=[(name, _class_counts(_of(tables["cases"], name), facts["counts"]["cases"])) for name in names],
        audit=_audit(tables["audit"]),
        boards=[(name, _board(_of(board, name), facts["leak"])) for name in names],
        folds=[(name, _means(_of(fold_scores, name)), _folds(_of(fold_scores, name))) for name in names],
        floors=_floors(floors),
        uncertainty=[(name, sections.uncertainty(_of(tables["uncertainty"], name))) for name in names],
        published=[(name, sections.published(study, name, published, _of(board, name))) for name in names],
        comparison=[(name, sections.comparison(pairs[pairs["target"] == name])) for name in names],
        subgroups=[(name, sections.subgroups(_of(tables["subgroups"], name))) for name in names],
        external=[
            (name, sections.external(_of(tables["external"], name))) for name in names if len(tables["external"])
        ],
        metrics=[
            METRICS[key] for key in METRICS if any(_key(column) == key for column in board.dropna(axis=1, how="all"))
        ],
        choose_by=_choose_by(study),
        outside_training=outside_training(study),
        quality=_quality(tables["quality"]),
        has_sounds=has_sounds(study),
        doubtful=sections.doubtful_labels(tables["label_issues"]),
        figures=[_figure(row, folders[0]) for row in figures[0].to_dict("records")],
        can_be_explained=len(figures) > 1,
        explanations=[
            _figure(row, folder)
            for table, folder in zip(figures[1:], folders[1:], strict=True)
            for row in table.to_dict("records")
        ],
        systems=_systems(study),
        trainings=_trainings(facts["trainings"]),
    )


# Sentences


def _leak(study: Study, mark: str) -> dict[str, str] | None:
    """The box at the top of the page: a red one for a leak, a warning where leaks cannot be ruled out."""
    if not mark:
        return None
    findings = [text for text in mark.split("; ") if text.startswith((*SHARED, "weights_heard"))]
    between_others = [text for text in findings if " train+val:" in text]
    doubts = []
    if "subjects unknown" in mark:
        doubts.append("whether recordings of one person are in both the training and the test set of a fold")
    if "subjects of the weights" in mark:
        doubts.append("whether the weights that systems start from were trained on test cases")
    return {
        "kind": "leak" if findings else "warning",
        "effect": "what is chosen on validation cases rests on training cases too"
        if findings == between_others
        else "its scores are too high",
        "mark": mark,
        "because": study.leak.because if findings else "",
        "doubt": " and ".join(doubts),
    }


def _choose_by(study: Study) -> str:
    """The score by which variants are chosen; of multilabel targets it is always one that needs no class weights."""
    names = {"both": "mean of W.acc and UAR"}
    key = study.evaluation.choose_by
    of_multiclass = names.get(key) or METRICS[key][0]
    of_multilabel = of_multiclass if key in ("auroc", "f") else METRICS["uar"][0]
    kinds = {target.kind for target in study.targets.values()}
    texts = [of_multiclass] * ("multiclass" in kinds) + [of_multilabel] * ("multilabel" in kinds)
    return ", of targets with several labels ".join(dict.fromkeys(texts))


def _result(name: str, study: Study, board: pd.DataFrame, floors: pd.DataFrame, facts: dict[str, Any]) -> dict:
    """Scores of one target's row `chosen` beside those of the floors: sentences, and numbers for the strips."""
    rows_chosen = board[board["system"] == "chosen"].to_dict("records") if len(board) else []
    if not rows_chosen or not rows_chosen[0]["n"]:
        return {"name": name, "text": "There are no test cases.", "verdict": "", "strips": [], "winner": ""}
    row, baselines = rows_chosen[0], floors.to_dict("records")
    target = study.targets[name]
    place = "text of multilabel" if target.kind == "multilabel" else "text of normal" if target.normal else "text"
    metrics = [metric for metric in catalogue.metrics_of(place) if pd.notna(row.get(metric.key))]
    scores = " and ".join(f"{metric.name} {with_interval(row, metric.key)}" for metric in metrics)
    repeats, winner = facts["repeats"], facts["winner"]
    cases = "test cases" if repeats == 1 else f"predictions of test cases, in {repeats} repeats of the folds"
    text = f"On {row['n']} {cases}, the row chosen reaches {scores or 'no defined score'}."
    strips: list[dict[str, Any]] = []
    places: dict[str, list[str]] = {"above": [], "about": [], "below": []}  # where intervals lie
    for key in [metric.key for metric in metrics]:
        marks = [(f"always {floor['always']}", float(floor[key])) for floor in baselines if pd.notna(floor.get(key))]
        if key == "auroc":
            marks = [("guessing", 0.5)]
        low, high = (row.get(f"{key}_{end}", np.nan) for end in ("low", "high"))
        strips.append({"metric": METRICS[key][0], "value": row[key], "low": low, "high": high, "floors": marks})
        if marks and pd.notna(low):
            highest = max(value for _, value in marks)
            places["above" if low > highest else "below" if high < highest else "about"].append(METRICS[key][0])
    for floor in baselines:
        scores = " and ".join(
            f"{metric.label} {number(floor[metric.key])}" for metric in metrics if metric.key in floor
        )
        text += f" Always predicting {floor['always']} reaches {scores}." if scores else ""
    sentences = {
        "above": "The whole interval of {} lies above the highest floor.",
        "about": "The interval of {} contains the highest floor: no proof of a gain.",
        "below": "The whole interval of {} lies below the highest floor.",
    }
    verdict = " ".join(
        sentences[place].format(" and of ".join(metrics)) for place, metrics in places.items() if metrics
    )
    variants = summary(winner[name]) if name in winner else ""
    return {"name": name, "text": text, "verdict": verdict, "strips": strips, "winner": variants}


def _of(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows of a target, without the columns that are empty in them."""
    return table[table["target"] == target].dropna(axis=1, how="all") if len(table) else table


def _key(column: str) -> str:
    """The key of METRICS that a column of a table belongs to; an empty text if none."""
    if column in METRICS:
        return column
    prefix_and_class = catalogue.class_of(column)
    return prefix_and_class[0] if prefix_and_class else ""


def _columns(table: pd.DataFrame) -> list[tuple[str, list[tuple[str, tuple[str, str]]]]]:
    """Groups of metrics in a table: (group, [(column, (label, explanation))])."""
    groups = []
    for group, columns in GROUPS.items():
        groups.append((group, [(c, METRICS[c]) for c in columns if c in table]))
    for key in BY_CLASS:
        columns = [c for c in table if _key(c) == key and c != key]
        groups.append((METRICS[key][0], [(c, (catalogue.class_of(c)[1], METRICS[key][1])) for c in columns]))
    return [(group, columns) for group, columns in groups if columns]


def _variant(row: dict) -> dict:
    """A cell with a variant's stage, `fit_on` and decision, and its badges."""
    chosen_on = row.get("chosen_on")
    badges = [("bad" if chosen_on == "test" else "mild", f"chosen_on: {chosen_on}")] if chosen_on in CHOSEN_ON else []
    badges += [("bad", "fit_on: train")] if row["fit_on"] == "train" else []
    name = "vote of the best in each fold" if row["stage"] == "chosen" else f"{_stage(row)} · {row['decision']}"
    return cell(name, badges=badges)


def _stage(row: dict) -> str:
    return row["stage"] + ("" if row["fit_on"] in ("", "none") else f" on {row['fit_on']}")


def _grid(rows: pd.DataFrame, extra: list[str], write: Callable[[dict, str], dict]) -> dict:
    """A table of variants: names and badges, the columns `extra`, metrics by group, sizes.

    `write(row, column)` returns the cell of a metric.
    """
    size_columns = [(column, label) for column, label in SIZE.items() if column in rows]
    groups = [*_columns(rows), ("Size", size_columns)]
    heads = ["System", "Stage · decision", *map(str.capitalize, extra)]
    spans = [("Variant", len(heads)), *((group, len(columns)) for group, columns in groups)]
    metrics = [column for _, columns in groups[:-1] for column, _ in columns]
    body, kinds = [], []
    for row in rows.to_dict("records"):
        names = [str(row["system"]), _variant(row), *(cell(str(row[name])) for name in extra)]
        sizes = [cell("" if pd.isna(row[column]) else int(row[column])) for column, _ in size_columns]
        body.append([*names, *(write(row, column) for column in metrics), *sizes])
        kinds.append("chosen" if row["system"] == "chosen" else "leaky" if row["fit_on"] == "train" else "")
    return table([*heads, *(head for _, columns in groups for _, head in columns)], body, spans, kinds)


def _board(rows: pd.DataFrame, mark: str) -> dict | None:
    """The leaderboard of a target, the row `chosen` first."""
    if rows.empty:
        return None
    rows = rows.sort_values("system", key=lambda names: names != "chosen", kind="stable")
    return _grid(rows, [], lambda row, column: cell(row[column], with_interval(row, column)))


def _means(rows: pd.DataFrame) -> dict | None:
    """Mean ± standard deviation over the folds, one row per variant, the row `chosen` first."""
    if rows.empty:
        return None
    rows = rows.sort_values("system", key=lambda names: names != "chosen", kind="stable")
    fold = rows["fold"].astype(str)
    deviations = {tuple(row[key] for key in VARIANT): row for row in rows[fold == "sd"].to_dict("records")}

    def write(row: dict, column: str) -> dict:
        sd = deviations.get(tuple(row[key] for key in VARIANT), {}).get(column)
        text = number(row[column])
        return cell(row[column], f"{text} ± {number(sd)}" if text and sd is not None and pd.notna(sd) else text)

    return _grid(rows[fold == "mean"], [], write)


def _folds(rows: pd.DataFrame) -> dict | None:
    """Scores of every fold of every variant."""
    rows = rows[~rows["fold"].astype(str).isin(["mean", "sd"])] if len(rows) else rows
    return None if rows.empty else _grid(rows, ["repeat", "fold"], lambda row, column: cell(row[column]))


def _floors(floors: pd.DataFrame) -> dict | None:
    """The table floors.csv, with the labels of its metrics."""
    if floors.empty:
        return None
    floors = floors.dropna(axis=1, how="all")
    labels = {"n": "Cases", "always": "Class always predicted"}
    heads = [METRICS.get(column, (labels.get(column, column.capitalize()), "")) for column in floors]
    return table(heads, [list(row.values()) for row in floors.to_dict("records")])


def _class_counts(cases: pd.DataFrame, total: int) -> list[dict[str, Any]]:
    """Number of the cases of every class, their share of all cases, and the bar relative to the largest class."""
    rows = [(str(row["class"] or ""), int(row["n"])) for row in cases.fillna({"class": ""}).to_dict("records")]
    largest = max([n for _, n in rows], default=1) or 1
    return [{"name": name, "n": n, "share": n / max(1, total), "bar": n / largest} for name, n in rows]


def _audit(findings: pd.DataFrame) -> dict[str, Any]:
    """The findings of the audit, as a sentence and, if there are any, as a table."""
    findings = findings.astype(object).fillna("")
    names = findings["finding"].astype(str)
    shared_rows = findings[names.str.startswith(SHARED)]
    text = "The audit found nothing that training, validation and test cases of a fold share."
    if len(shared_rows):
        outer = shared_rows["fold"].astype(str).str.partition("i")[0]  # inner folds have names such as 0i2
        folds = len(set(zip(shared_rows["repeat"], outer, strict=True)))
        text = f"In {folds} of the folds, cases with different roles share a subject, a recording or another unit."
    if (names == "subjects_unknown").any():
        unknown = "The data set names no subjects: the audit could not check whether a subject has cases in two roles."
        text = f"{unknown} {text}" if len(shared_rows) else unknown
    rows = []
    for row in findings.to_dict("records"):
        name, ids = str(row["finding"]), str(row["ids"])
        meaning = FINDINGS.get(name, f"the same {name.removeprefix('shared_')} in both roles")
        ids = ids if len(ids) <= 200 else f"{ids[:200]} …"
        rows.append([str(row["repeat"]), str(row["fold"]), name, meaning, str(row["roles"]), row["count"], ids])
    heads = ["Repeat", "Fold", "Finding", "Meaning", "Roles", "Count", "Ids"]
    return {"text": text, "table": table(heads, rows) if rows else None}


def _quality(problems: pd.DataFrame) -> dict[str, Any] | None:
    """Number of rows of quality.csv by problem and action, and the first rows."""
    if problems.empty:
        return None
    counts = problems.groupby(["problem", "action"]).size().sort_values(ascending=False, kind="stable")
    columns = ["recording", "problem", "action", "detail"]
    first = problems[columns].head(MOST_PROBLEMS).astype(object).fillna("").astype(str)
    return {
        "counts": table(["Problem", "Action", "Rows"], [[*key, int(n)] for key, n in counts.items()]),
        "list": table([column.capitalize() for column in columns], first.to_numpy().tolist()),
        "list_length": len(first),
        "problem_count": len(problems),
    }


def _systems(study: Study) -> dict:
    """Front end, network, tasks and training of each system and ensemble, a row each."""
    rows = []
    for name, system in study.systems.items():
        of_case = " of all recordings of a case" if system.segment.of == "case" else ""
        window = f"{system.segment.seconds:g} s{of_case}, every {system.segment.hop_s:g} s"
        epochs = {"last": "last of {} epochs", "test": "best on test cases of {} epochs"}.get(
            system.training.select, "at most {} epochs"
        )
        training = f"{epochs.format(system.training.epochs)}, {system.training.optimiser}"
        if system.training.labels < 1:
            training += f", labels of {system.training.labels:.0%} of the subjects"
        if system.training.teacher:
            training += f", taught by {system.training.teacher.system}"
        network = system.network.name
        if system.network.pretraining:
            network += f", pre-trained as {system.network.pretraining}"
        if system.network.frozen:
            network += ", encoder frozen"
        rows.append([name, system.front_end.name, window, network, ", ".join(system.tasks), training])
        rows[-1].append(f"{system.inference.passes} stochastic passes")
    for name, ensemble in study.ensembles.items():
        weights = ", weighted by validation score" if ensemble.weigh == "validation" else ""
        tasks = ", ".join(study.systems[ensemble.systems[0]].tasks)
        rows.append([name, "", "", f"mean of {', '.join(ensemble.systems)}{weights}", tasks, "", ""])
    return table(["System", "Front end", "Windows", "Network", "Tasks", "Training", "Inference"], rows)


def _trainings(trainings: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Sizes, epochs and durations by system and task."""
    if not trainings:
        return None
    all_networks, rows = pd.DataFrame(trainings), []
    for (system, task), networks in all_networks.groupby(["system", "task"], sort=False):
        size, epochs = f"{int(networks['parameters'].max()):,}".replace(",", " "), networks["epochs"].astype(int)
        epoch_range = f"{epochs.min()}" if epochs.min() == epochs.max() else f"{epochs.min()}–{epochs.max()}"
        rows.append([system, task, len(networks), cell(int(networks["parameters"].max()), size)])
        rows[-1].append(cell(epochs.mean(), epoch_range))
        rows[-1] += [cell(float(s), duration(s)) for s in (networks["seconds"].mean(), networks["seconds"].sum())]
    heads = ["System", "Task", "Networks", "Parameters", "Epochs", "Time per network", "Time in total"]
    total = duration(float(all_networks["seconds"].sum()))
    return {"table": table(heads, rows), "count": len(all_networks), "time": total}


def _figure(row: dict[str, str], folder: Path) -> dict[str, str]:
    """A figure with its file as a data URI. Raises ValueError if the file does not lie in `folder` itself."""
    if Path(row["file"]).name != row["file"]:
        raise ValueError(f"figure {row['file']!r}: should be the name of a file in {folder}")
    kind = mimetypes.guess_type(row["file"])[0] or "image/svg+xml"
    content = base64.b64encode((folder / row["file"]).read_bytes()).decode("ascii")
    return {"uri": f"data:{kind};base64,{content}", "alt": row["alt"], "caption": row["caption"], "title": row["title"]}
