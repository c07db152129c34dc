"""Tables from predictions: leaderboard, cross-validation, floors, the winner; written as CSV, Markdown, HTML, LaTeX."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.decisions.winner import KEYS, VARIANT, best_variants
from auscult.metrics import formulas, intervals
from auscult.provenance import write_text

INTERVALS = ("w_acc", "uar", "auroc", "ece", "score", "f")
FLOOR_METRICS = ["w_acc", "uar", "accuracy", "score", "cost"]


def leaderboard(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per target and variant: pooled out-of-fold metrics with 95 % intervals (bootstrap over subjects)."""
    rows = []
    for key, part in predictions.groupby(["target", *VARIANT], sort=False):
        target = study.targets[key[0]]
        part = scored(part)
        row: dict[str, Any] = dict(zip(["target", *VARIANT], key, strict=True))
        row |= {"n": len(part), **with_intervals(study, target, part)}
        row["chosen_on"] = part["chosen_on"].iloc[0] if len(part) else ""
        row["leak"] = variant_mark(leak, row["fit_on"])
        rows.append(row)
    return pd.DataFrame(rows)


def with_sizes(
    board: pd.DataFrame, trainings: pd.DataFrame, ensembles: dict[str, list[str]], bag: bool = False
) -> pd.DataFrame:
    """The leaderboard with what each system takes.

    `parameters` and `multiply_adds` of all networks that score a judged case, the latter for one window; `train_s`,
    seconds of all trainings of a fold, those of its inner folds too; `epoch_s`, seconds of one epoch of one network.

    trainings: see `training.job.read_trainings`. ensembles: systems by name of an ensemble, which has the sums of
    theirs. bag: whether networks of inner folds score judged cases too. The row `chosen`, which mixes systems, has
    none of them.
    """
    parts = [trainings[trainings["system"].isin(systems)].assign(system=name) for name, systems in ensembles.items()]
    trainings = pd.concat([trainings, *parts])
    folds = trainings.assign(fold=trainings["network"].str.extract(r"^(r\d+f\d+)", expand=False))
    each = folds.groupby(["system", "fold"])["seconds"].sum().groupby("system").mean()
    judging = folds[bag | ~folds["network"].str.contains("i")].groupby(["system", "fold"])
    sizes = judging[["parameters", "multiply_adds"]].sum().groupby("system").mean()
    epoch = (folds["seconds"] / folds["epochs"]).groupby(folds["system"]).mean()
    taken = {
        **{name: board["system"].map(sizes[name]).astype("Int64") for name in sizes},
        "train_s": board["system"].map(each).round(1),
        "epoch_s": board["system"].map(epoch).round(2),
    }
    at = board.columns.get_loc("n") + 1
    board = board.copy()
    for number, (name, values) in enumerate(taken.items()):
        board.insert(at + number, name, values)
    return board


def cross_validation(study: Study, predictions: pd.DataFrame, leak: str) -> pd.DataFrame:
    """One row per variant, repeat and fold, and for each variant a row with mean and one with standard deviation.

    Where the folds were drawn several times, each repeat has a row `pooled` too: all its folds scored together.
    """
    rows = []
    for key, part in predictions.groupby(KEYS, sort=False):
        target = study.targets[key[0]]
        values = score(target, scored(part))
        rows.append({**dict(zip(KEYS, key, strict=True)), "n": len(scored(part)), **values})
    if predictions["repeat"].nunique() > 1:
        for key, part in predictions.groupby(KEYS[:-1], sort=False):
            part = scored(part)
            values = score(study.targets[key[0]], part)
            rows.append({**dict(zip(KEYS, (*key, "pooled"), strict=True)), "n": len(part), **values})
    table = pd.DataFrame(rows)
    metrics_ = [c for c in table if c not in [*KEYS, "n"]]
    parts = []
    for key, part in table.groupby(["target", *VARIANT], sort=False):
        head = dict(zip(["target", *VARIANT], key, strict=True))
        folds = part[part["fold"] != "pooled"]
        means = {**head, "repeat": "all", "fold": "mean", "n": folds["n"].sum(), **folds[metrics_].mean()}
        spread = {**head, "repeat": "all", "fold": "sd", "n": folds["n"].sum(), **folds[metrics_].std(ddof=1)}
        parts += [part.astype(object), pd.DataFrame([means, spread]).astype(object)]
    table = pd.concat(parts, ignore_index=True)
    on = predictions.drop_duplicates(["target", *VARIANT])[["target", *VARIANT, "chosen_on"]]
    table = table.merge(on, on=["target", *VARIANT], how="left")
    table["leak"] = [variant_mark(leak, fit_on) for fit_on in table["fit_on"]]
    return table


def floors(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """What always saying one class scores on the same cases: the metrics that need no probability."""
    rows = []
    for name, target in study.targets.items():
        if target.kind == "multilabel":
            continue
        part = scored(predictions[predictions["target"] == name])
        part = part.drop_duplicates(["repeat", "fold", "case"])
        for said in target.classes:
            values = score(target, part.assign(prediction=said))
            rows.append(
                {"target": name, "always": said, "n": len(part), **{key: values.get(key) for key in FLOOR_METRICS}}
            )
    return pd.DataFrame(rows, columns=["target", "always", "n", *FLOOR_METRICS])


def scored(part: pd.DataFrame) -> pd.DataFrame:
    """Rows with a label, sorted so that no result depends on the order of a table."""
    return part[part["label"] != ""].sort_values(["repeat", "fold", "case"])


def variant_mark(leak: str, fit_on: str) -> str:
    """The column `leak` of a variant."""
    own = "fitted on the network's training cases" if fit_on == "train" else ""
    return "; ".join(part for part in (leak, own) if part)


def score(target: Target, part: pd.DataFrame) -> dict[str, float]:
    """All metrics of some predictions; undefined ones are NaN."""
    p = part[[f"p_{c}" for c in target.classes]].to_numpy(dtype=float)
    if target.kind == "multilabel":
        return _score_multilabel(target, part, p)
    truth, said = _numbers(target, part["label"]), _numbers(target, part["prediction"])
    matrix = formulas.confusion(truth, said, len(target.classes))
    values = {
        "w_acc": formulas.weighted_accuracy(matrix, target.class_weights()),
        "uar": formulas.uar(matrix),
        "accuracy": formulas.accuracy(matrix),
        "f": formulas.f_measure(matrix),
        "auroc": formulas.macro_auroc(truth, p),
        "auprc": formulas.macro(formulas.auprc(truth, p)),
        "cost": _cost(target, part),
        "ece": formulas.ece(truth, p),
        "brier": formulas.brier(truth, p),
        "nll": formulas.nll(truth, p),
    }
    if target.normal:
        values |= formulas.against_normal(matrix, target.classes.index(target.normal))
    recalls = formulas.recalls(matrix)
    values |= {f"recall_{name}": recalls[number] for number, name in enumerate(target.classes)}
    per_class = formulas.auroc(truth, p)
    values |= {f"auroc_{name}": per_class[number] for number, name in enumerate(target.classes)}
    return {name: float(value) for name, value in values.items()}


def _score_multilabel(target: Target, part: pd.DataFrame, p: np.ndarray) -> dict[str, float]:
    truth, said = _sets(target, part["label"]), _sets(target, part["prediction"])
    counts = formulas.multilabel_counts(truth, said)
    recalls = formulas.multilabel_recalls(counts)
    values = {
        "uar": formulas.macro(recalls),
        "accuracy": formulas.exact_match(truth, said),
        "f": formulas.macro_f1(counts),
        "auroc": formulas.macro_auroc(truth, p),
        "auprc": formulas.macro(formulas.auprc(truth, p)),
        "brier": formulas.brier(truth, p),
        "nll": formulas.nll(truth, p),
        "classes_without_auroc": int(np.isnan(formulas.auroc(truth, p)).sum()),
    }
    values |= {f"recall_{name}": recalls[number] for number, name in enumerate(target.classes)}
    per_class = zip(target.classes, formulas.multilabel_f1(counts), formulas.auroc(truth, p), strict=True)
    for name, f1, area in per_class:
        values |= {f"f1_{name}": f1, f"auroc_{name}": area}
    return {name: float(value) for name, value in values.items()}


def resampled(study: Study, target: Target, part: pd.DataFrame) -> dict[str, np.ndarray]:
    """The metrics that have intervals, of predictions with labels, in every bootstrap draw of subjects: (draws,) each.

    Two variants of the same cases get the same draws.
    """
    draws = intervals.subject_draws(part["subject"].to_numpy(dtype=str), study.evaluation.draws, study.evaluation.seed)
    p = part[[f"p_{c}" for c in target.classes]].to_numpy(dtype=float)
    if target.kind == "multilabel":
        truth, said = _sets(target, part["label"]), _sets(target, part["prediction"])
        counts = formulas.multilabel_counts(truth, said, draws)
        return {
            "uar": formulas.macro(formulas.multilabel_recalls(counts)),
            "f": formulas.macro_f1(counts),
            "auroc": formulas.macro(formulas.auroc(truth, p, draws)),
        }
    truth, said = _numbers(target, part["label"]), _numbers(target, part["prediction"])
    matrices = formulas.confusion(truth, said, len(target.classes), draws)
    normal = formulas.against_normal(matrices, target.classes.index(target.normal))["score"] if target.normal else None
    return {
        **({} if normal is None else {"score": normal}),
        "w_acc": formulas.weighted_accuracy(matrices, target.class_weights()),
        "uar": formulas.uar(matrices),
        "f": formulas.f_measure(matrices),
        "auroc": formulas.macro(formulas.auroc(truth, p, draws)),
        "ece": formulas.ece(truth, p, weights=draws),
    }


def with_intervals(study: Study, target: Target, part: pd.DataFrame) -> dict[str, float]:
    """All metrics of predictions with labels, each of `INTERVALS` followed by the ends of its interval.

    Intervals are of percentiles. That of `ece` is turned about the value (the basic bootstrap): gaps are magnitudes, so
    that drawing cases again makes them larger.
    """
    drawn = resampled(study, target, part) if len(part) else {}
    row = {}
    for name, value in score(target, part).items():
        row[name] = value
        if name in INTERVALS:
            low, high = intervals.interval(drawn[name]) if name in drawn else (float("nan"), float("nan"))
            if name == "ece":
                low, high = np.clip(2 * value - high, 0, value), np.maximum(2 * value - low, value)
            row |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return row


def _cost(target: Target, part: pd.DataFrame) -> float:
    known = part[part["should_refer"].astype(str) != ""]
    if target.referral is None or known.empty:
        return float("nan")
    referred = known["prediction"].isin(target.referral.classes).to_numpy()
    return float(formulas.challenge_cost(referred, known["should_refer"].astype(int).to_numpy(dtype=bool)))


def _numbers(target: Target, names: pd.Series) -> np.ndarray:
    return names.map({name: number for number, name in enumerate(target.classes)}).to_numpy(dtype=int)


def _sets(target: Target, cells: pd.Series) -> np.ndarray:
    rows = [[c in cell.split("|") for c in target.classes] for cell in cells]
    return np.array(rows, dtype=int).reshape(-1, len(target.classes))


def winner(board: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Any]:
    """For every target its best variant, see `best_variants`, with its test scores as `judged`."""
    variants = best_variants(scores)
    for name, variant in variants.items():
        key = tuple(variant[word] for word in VARIANT)
        row = board[board["target"] == name].set_index(VARIANT).loc[key]
        names = ("w_acc", "uar", "auroc")
        variant["judged"] = {k: round(float(row[k]), 4) for k in names if k in row and pd.notna(row[k])}
    return variants


def write_table(table: pd.DataFrame, path: Path, caption: str) -> None:
    """`path` with the endings .csv (full precision), .md, .html and .tex (three decimals), with a caption."""
    shown = table.map(_short)
    write_text(path.with_suffix(".csv"), table.to_csv(index=False))
    lines = [" | ".join(map(str, row)) for row in [shown.columns, ["---"] * shown.shape[1], *shown.to_numpy()]]
    write_text(path.with_suffix(".md"), f"{caption}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n")
    table_html = shown.to_html(index=False, escape=True, border=0)
    heading = f"<caption>{html.escape(caption)}</caption><thead>"
    write_text(path.with_suffix(".html"), table_html.replace("<thead>", heading))
    columns = [_latex(str(c)) for c in shown.columns]
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in shown.to_numpy()]
    begin = [
        r"\begin{tabular}{" + "l" * len(columns) + "}",
        r"\hline",
        " & ".join(columns) + r" \\",
        r"\hline",
    ]
    write_text(
        path.with_suffix(".tex"),
        "\n".join([f"% {caption}", *begin, *body, r"\hline", r"\end{tabular}"]) + "\n",
    )


def _short(cell: Any) -> str:
    if isinstance(cell, float):
        if np.isnan(cell):
            return ""
        return f"{cell:.0f}" if abs(cell) >= 100 or (cell == round(cell) and abs(cell) > 1) else f"{cell:.3f}"
    return str(cell).replace("|", "/")


LATEX = {sign: "\\" + sign for sign in "&%_#${}"} | {"\\": r"\textbackslash{}", "~": r"\~{}", "^": r"\^{}"}


def _latex(cell: str) -> str:
    return "".join(LATEX.get(sign, sign) for sign in cell)


def write_challenge(study: Study, predictions: pd.DataFrame, folder: Path) -> None:
    """Official Challenge output files: one CSV per case of the first repeat, from the rows `chosen`."""
    rows = predictions[(predictions["system"] == "chosen") & (predictions["repeat"] == predictions["repeat"].min())]
    targets = {name: t for name, t in study.targets.items() if t.kind == "multiclass"}
    folder.mkdir(parents=True, exist_ok=True)
    for case, part in rows.groupby("case"):
        by_target = part.set_index("target")
        names, said, p = [], [], []
        for name, target in targets.items():
            if name in by_target.index:
                row = by_target.loc[name]
                names += target.classes
                said += [str(int(c == row["prediction"])) for c in target.classes]
                p += [f"{row[f'p_{c}']:.6g}" for c in target.classes]
        if names:
            lines = [f"#{case}", ",".join(names), ",".join(said), ",".join(p)]
            write_text(folder / f"{case}.csv", "\n".join(lines) + "\n")
