"""Draw the figures of a study from its tables: ROC, precision–recall, confusion, reliability, forest, learning.

The bytes of every SVG depend on the tables only. Figures have a white ground, colours that colour-blind readers can
tell apart, and an alternative text and a caption with their main numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from auscult.config.study import PRETRAININGS, Study
from auscult.config.targets import Target
from auscult.evaluation import scoring, selective
from auscult.figures.drawing import (
    MARKERS,
    MOST_COLOURS,
    PALETTE,
    STYLE,
    WIDTH,
    Curve,
    Plot,
    blank,
    legend,
    line_styles,
    save,
    shortened,
    square,
    values_text,
)
from auscult.figures.importances import importance_figures
from auscult.figures.trade_off import trade_off
from auscult.heads.outputs import class_columns
from auscult.metrics import catalogue, formulas

BINS = 15  # of the reliability diagram, as in the tables' `ece`
METRIC_NAMES = {metric.key: metric.name for metric in catalogue.metrics_of("figures")}
UNSCORED = {
    "last": "The weights of the last epoch are used; no validation case was scored.",
    "test": "The test cases chose the epoch, a leak; no validation case was scored.",
}
SELECT = {"auroc": "AUROC", "loss": "minus log loss", "balanced_accuracy": "balanced accuracy"}


def draw_all(
    study: Study,
    predictions: pd.DataFrame,
    board: pd.DataFrame,
    histories: pd.DataFrame,
    importances: pd.DataFrame,
    folder: Path,
) -> pd.DataFrame:
    """Draw every figure of a study into `folder` as SVG. Returns a table `file, title, alt, caption, sha256`.

    predictions, board: predictions.csv and leaderboard of the study. histories: `system, task, network, epoch,
    train_loss, val_score` of all trainings. importances: see `importance_figures`.
    """
    predictions = predictions.assign(label=predictions["label"].astype(object).fillna(""))
    with matplotlib.rc_context(STYLE):
        plots = chain(_figures(study, predictions, board, histories), importance_figures(importances))
        return save(plots, folder)


def _figures(study: Study, predictions: pd.DataFrame, board: pd.DataFrame, histories: pd.DataFrame) -> Iterator[Plot]:
    for name, target in study.targets.items():
        part = predictions[predictions["target"] == name]
        rows_chosen = part[part["system"] == "chosen"]
        yield forest(name, board[board["target"] == name])
        if target.kind == "multiclass":
            yield confusion(name, target, rows_chosen)
            yield from trade_off(study, name, target, rows_chosen)
            yield from referral(name, target, part)
        yield roc(name, target, rows_chosen)
        yield roc_variants(name, target, part)
        yield precision_recall(name, target, rows_chosen)
        yield reliability(name, target, part)
    for (system, task), part in histories.groupby(["system", "task"], sort=False):
        select = "last" if system == PRETRAININGS else study.systems[system].training.select
        yield learning(system, task, part, select)


def roc(name: str, target: Target, rows_chosen: pd.DataFrame) -> Plot:
    """ROC curve of every class against the rest: the row `chosen`, test cases of all folds pooled."""
    truth, p = _truth_and_scores(target, rows_chosen)
    values = _aurocs(target, rows_chosen)
    with_value = np.flatnonzero(~np.isnan(values))
    curves = [Curve(target.classes[k], *_roc_points(truth[:, k], p[:, k]), values[k]) for k in with_value]
    caption = (
        f"Sensitivity against false-alarm rate at all thresholds of the row chosen's probabilities, each class against "
        f"the rest, on {scoring.count_text(rows_chosen)} of all folds together; the grey diagonal is guessing. The "
        f"AUROC compares cases of the same fold."
    )
    notes = _notes(target, curves, values, "because no case, or every case, is of the class")
    return _roc(f"roc-{name}.svg", f"{name}: ROC of each class", curves, caption, notes)


def roc_variants(name: str, target: Target, part: pd.DataFrame) -> Plot:
    """ROC curves of the target's first class: one for each network and second stage, and one for the row `chosen`."""
    curves, variants, first = [], _variants(part), target.classes[0]
    for label, rows in variants[:MOST_COLOURS]:
        truth, p = _truth_and_scores(target, rows)
        value = _aurocs(target, rows)[0]
        if not np.isnan(value):
            curves.append(Curve(label, *_roc_points(truth[:, 0], p[:, 0]), value))
    caption = (
        f"The class {first} against the rest, for each network, each second stage and the row chosen, whose AUROC "
        "compares cases of the same fold."
    )
    notes = ""
    if len(variants) > MOST_COLOURS:
        notes = f" The first {MOST_COLOURS} of {len(variants)} variants are drawn."
    notes += "" if curves else f" Not drawn: no test case, or every test case, is of the class {first}."
    return _roc(f"roc-variants-{name}.svg", f"{name}: ROC of {shortened(first)}, by variant", curves, caption, notes)


def _roc(file: str, title: str, curves: list[Curve], caption: str, notes: str) -> Plot:
    figure, axes = square(title, "False-alarm rate (1 − specificity)", "Sensitivity", diagonal=True)
    for curve, style in zip(curves, line_styles(curves), strict=True):
        axes.plot(curve.x, curve.y, **style)
    legend(figure, axes, curves, [f"{c.value:.3f}" for c in curves])
    alt = f"ROC curves of {title.replace(': ROC of', ',')}. Area under the curve: {values_text(curves)}."
    return Plot(file, figure, title, alt, f"{caption} Area under the curve (AUROC): {values_text(curves)}.{notes}")


def precision_recall(name: str, target: Target, rows_chosen: pd.DataFrame) -> Plot:
    """Precision against recall of every class: the row `chosen`, test cases of all folds pooled."""
    truth, p = _truth_and_scores(target, rows_chosen)
    values = formulas.auprc(truth.astype(int), p)
    with_value = np.flatnonzero(~np.isnan(values))
    curves = [Curve(target.classes[k], *_pr_points(truth[:, k], p[:, k]), values[k]) for k in with_value]
    rates = [truth[:, k].mean() for k in with_value]
    title = f"{name}: precision and recall of each class"
    figure, axes = square(title, "Recall (share of the class that is found)", "Precision (share that is right)")
    for curve, style, rate in zip(curves, line_styles(curves), rates, strict=True):
        axes.plot(curve.x, curve.y, drawstyle="steps-pre", **style)
        if len(curves) <= 4:
            axes.axhline(rate, color=style["color"], lw=1, ls=":")
    legend(figure, axes, curves, [f"{c.value:.3f} (chance {r:.2f})" for c, r in zip(curves, rates, strict=True)])
    values_of_classes = [f"{c.name} {c.value:.3f}, by chance {r:.3f}" for c, r in zip(curves, rates, strict=True)]
    text = "; ".join(values_of_classes) or "not defined"
    alt = f"Precision–recall curves of {name}, one for each class. Average precision: {text}."
    caption = (
        f"Recall (share of the cases of a class that are predicted as it) and precision (share of the cases predicted "
        f"as a class that are of it) at all thresholds; row chosen, {scoring.count_text(rows_chosen)}. Average "
        f"precision (AUPRC): {text}{' (dotted)' if 0 < len(curves) <= 4 else ''}."
        f"{_notes(target, curves, values, 'because no case is of the class')}"
    )
    return Plot(f"pr-{name}.svg", figure, title, alt, caption)


def _roc_points(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """False-alarm rate and sensitivity at each distinct score; points on straight segments are left out."""
    hits, total = _ranked(positive, score)
    x, y = np.append(0, total - hits), np.append(0, hits)
    dx, dy = np.diff(x), np.diff(y)
    corner = np.concatenate([[True], dx[1:] * dy[:-1] != dx[:-1] * dy[1:], [True]])
    return x[corner] / x[-1], y[corner] / y[-1]


def _pr_points(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Recall and precision at each distinct score; a precision applies from the previous recall to its own."""
    hits, total = _ranked(positive, score)
    precision = hits / total
    return np.append(0, hits / hits[-1]), np.append(precision[0], precision)


def _ranked(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Number of positives, and of all cases, at or above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    return np.cumsum(positive[order])[last], last + 1


def confusion(name: str, target: Target, rows_chosen: pd.DataFrame) -> Plot:
    """Confusion matrix of the row `chosen`: number of cases, and per cent of each true class."""
    part, classes = scoring.labelled_rows(rows_chosen), target.classes
    number = {c: k for k, c in enumerate(classes)}
    truth, decisions = (part[column].map(number).to_numpy(dtype=int) for column in ("label", "prediction"))
    counts = formulas.confusion(truth, decisions, len(classes))
    totals = counts.sum(axis=1)
    shares = [np.full(len(classes), np.nan) if not n else 100 * row / n for row, n in zip(counts, totals, strict=True)]
    title = f"{name}: predicted and true classes"
    figure = blank(WIDTH * 0.9, title)
    axes = figure.add_subplot(xlabel="Predicted class", ylabel="True class")
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=115)
    for (i, j), count in np.ndenumerate(counts):
        share = "–" if np.isnan(shares[i][j]) else f"{shares[i][j]:.0f} %"
        style = {"fontsize": max(6.0, 14.5 - len(classes)), "color": "white" if shares[i][j] > 72 else "#111111"}
        axes.text(j, i, f"{count}\n{share}", ha="center", va="center", **style)
    ticks = [shortened(c, 14) for c in classes]
    angle = 90 if len(classes) > 7 else 45 if len(classes) > 4 else 0
    axes.set_xticks(range(len(classes)), ticks, rotation=angle, ha="right" if angle == 45 else "center")
    axes.set_yticks(range(len(classes)), [f"{tick}\n{n} cases" for tick, n in zip(ticks, totals, strict=True)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    correct = zip(classes, counts.diagonal(), totals, strict=True)
    text = "; ".join(f"{c}, {k} of {n} correct ({100 * k / n:.0f} %)" if n else f"{c}, no cases" for c, k, n in correct)
    alt = f"Confusion matrix of {name}, true classes in rows, predicted classes in columns. {text}."
    caption = (
        f"Predictions of the row chosen on {scoring.count_text(part)}: their number, and per cent of the true class "
        f"(each row adds up to 100 %). The diagonal has the correct predictions: {text}."
    )
    return Plot(f"confusion-{name}.svg", figure, title, alt, caption)


def reliability(name: str, target: Target, part: pd.DataFrame) -> Plot:
    """Reliability diagram of the row `chosen` and of each network alone.

    Multiclass targets: the most probable class of every case. Multilabel targets: every class of every case.
    """
    rows = pd.concat([part[part["system"] == "chosen"], scoring.networks_alone(part)])
    curves = []
    for label, variant_rows in _variants(rows)[:MOST_COLOURS]:
        truth, p = _truth_and_scores(target, variant_rows)
        if target.kind == "multiclass":
            truth, p = (np.take_along_axis(values, p.argmax(axis=1)[:, None], axis=1) for values in (truth, p))
        if len(truth):
            curves.append(Curve(label, *_binned(p.ravel(), truth.ravel())))
    title = f"{name}: reliability of the probabilities"
    figure, axes = square(title, "Predicted probability", "Observed frequency", diagonal=True)
    for curve, style, marker in zip(curves, line_styles(curves), MARKERS, strict=False):
        axes.plot(curve.x, curve.y, **style | {"lw": 1.2})
        axes.scatter(curve.x, curve.y, 12 + 160 * curve.weight, color=style["color"], marker=marker, lw=0)
    legend(figure, axes, curves, [f"error {c.value:.3f}" for c in curves], MARKERS)
    count = scoring.count_text(part[part["system"] == "chosen"])
    events = "every class of every case" if target.kind == "multilabel" else "the most probable class of every case"
    alt = f"Reliability diagram of {name}: observed frequency against probability. Error: {values_text(curves)}."
    caption = (
        f"For {events} ({count}), in {BINS} bins of equal width: the mean predicted probability and the "
        f"observed frequency. On the diagonal the probabilities are calibrated; below it they are too high. Larger "
        f"marks stand for more cases. Calibration error (mean distance from the diagonal): {values_text(curves)}."
    )
    return Plot(f"reliability-{name}.svg", figure, title, alt, caption)


def referral(name: str, target: Target, part: pd.DataFrame) -> Iterator[Plot]:
    """Error rate of the first network when the most uncertain cases are referred, by each measure of uncertainty."""
    rows = scoring.labelled_rows(scoring.networks_alone(part))
    rows = rows[rows["system"] == rows["system"].iloc[0]] if len(rows) else rows
    if rows.empty:
        return
    wrong = (rows["prediction"] != rows["label"]).to_numpy(dtype=float)
    curves = []
    for key, (label, _) in selective.MEASURES.items():
        values = selective.measure(rows, target, key)
        if values is not None:
            coverage, risk = selective.risk_coverage(wrong, values)
            half = coverage >= 0.5  # the error rate of fewer cases is mostly chance
            curves.append(Curve(label, 1 - coverage[half], risk[half], selective.aurc(wrong, values)))
    title = f"{name}: error rate when the most uncertain cases are referred"
    figure = blank(0.8 * WIDTH, title)
    axes = figure.add_subplot(xlabel="Share of cases referred", ylabel="Error rate of the other cases", xlim=(0, 0.5))
    axes.set_ylim(0, max(0.05, 1.15 * max(curve.y.max() for curve in curves)))
    axes.grid()
    axes.axhline(wrong.mean(), color="#999999", lw=1, zorder=0)
    for curve, style in zip(curves, line_styles(curves), strict=True):
        axes.plot(curve.x, curve.y, **style)
    legend(figure, axes, curves, [f"{c.value:.3f}" for c in curves])
    text = values_text(curves)
    alt = f"Error rate of {name} against the share of cases referred. Area under the risk–coverage curve: {text}."
    caption = (
        f"System {rows['system'].iloc[0]} (decision {rows['decision'].iloc[0]}, {scoring.count_text(rows)}): error "
        f"rate of the cases that are left when the most uncertain ones, by each measure, are referred to an expert. "
        f"The grey line is the error rate when cases are referred at random ({wrong.mean():.3f}). Area under the "
        f"risk–coverage curve (AURC, lower is better): {text}."
    )
    yield Plot(f"referral-{name}.svg", figure, title, alt, caption)


def _binned(confidence: NDArray, correct: NDArray) -> tuple[NDArray, NDArray, float, NDArray]:
    """Mean confidence and observed frequency of the bins with cases, calibration error, share of cases per bin."""
    bin_numbers = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    n = np.bincount(bin_numbers, minlength=BINS)
    has_cases = n > 0
    x, y = (np.bincount(bin_numbers, values, BINS)[has_cases] / n[has_cases] for values in (confidence, correct))
    share = n[has_cases] / n.sum()
    return x, y, float((share * np.abs(y - x)).sum()), share


def forest(name: str, board: pd.DataFrame) -> Plot:
    """Two metrics of the leaderboard with their intervals, a line for each variant, the row `chosen` first."""
    metrics = [m for m in METRIC_NAMES if m in board and board[m].notna().any()][:2]
    systems = sorted(board["system"].unique(), key=lambda system: system != "chosen")
    title = f"{name}: all variants, with 95 % intervals"
    figure = blank(1.5 + 0.34 * len(board) + 0.4 * len(systems), title)
    axes = figure.add_subplot()
    y, ticks = 0.0, {}
    for system in systems:
        if system != "chosen":
            ticks[y] = shortened(system)
            y += 0.9
        for row in board[board["system"] == system].to_dict("records"):
            ticks[y] = "chosen" if system == "chosen" else f"{row['stage']}{_fitted(row['fit_on'])} · {row['decision']}"
            for metric, colour, marker, height in zip(metrics, PALETTE, "os", (y - 0.15, y + 0.15), strict=False):
                low_high = [row.get(f"{metric}_{end}", np.nan) for end in ("low", "high")]
                axes.plot(low_high, [height] * 2, color=colour, lw=2.4 if system == "chosen" else 1.4)
                axes.plot(row[metric], height, marker, color=colour, ms=7 if system == "chosen" else 5.5)
            y += 1
        y += 0.4
    axes.set_yticks(list(ticks), list(ticks.values()))
    for text in axes.get_yticklabels():
        text.set_fontweight("normal" if " · " in text.get_text() else "bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(y - 0.6, 1), -0.7)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    text = "nothing to show"
    if metrics:
        handles = [axes.plot([], [], f"{'os'[k]}-", color=PALETTE[k])[0] for k in range(len(metrics))]
        figure.legend(handles, [METRIC_NAMES[m] for m in metrics], loc="outside lower center", ncols=2)
        first = board[board["system"] == systems[0]].iloc[0]
        text = f"the row {systems[0]} has {' and '.join(f'{METRIC_NAMES[m]} {_interval(first, m)}' for m in metrics)}"
    alt = f"Dots with interval bars for {len(board)} variants of {name}; {text}."
    caption = (
        f"Test cases of all folds pooled, intervals from a bootstrap over subjects: {text}. The study's result is the "
        f"row chosen."
    )
    return Plot(f"forest-{name}.svg", figure, title, alt, caption)


def learning(system: str, task: str, history: pd.DataFrame, select: str) -> Plot:
    """Training loss and validation score by epoch, a thin line for each network; a dot marks its best epoch.

    If no validation case is scored (`select` is `last` or `test`), there is no second panel.
    """
    what = f"pre-training {task}" if system == PRETRAININGS else f"{system}, task {task}"
    title = f"{what}: learning curves"
    figure = blank(WIDTH, title)
    panels = ["train_loss"] if select in UNSCORED else ["train_loss", "val_score"]
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    all_axes[0].set_ylabel("Training loss")
    all_axes[-1].set_xlabel("Epoch")
    best, lengths = [], []
    for _, epochs in history.sort_values("epoch").groupby("network"):
        lengths.append(len(epochs))
        style = {"color": PALETTE[0], "lw": 1, "alpha": 0.75, "marker": "." * (len(epochs) == 1)}
        for axes, column in zip(all_axes, panels, strict=True):
            axes.plot(epochs["epoch"], epochs[column], **style)
        if epochs["val_score"].notna().any():
            top = epochs.loc[epochs["val_score"].idxmax()]
            best.append(float(top["val_score"]))
            all_axes[-1].plot(top["epoch"], top["val_score"], "o", color=PALETTE[1], ms=5)
    for axes in all_axes:
        axes.grid()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    count = f"{min(lengths)}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
    runs = f"{len(lengths)} training{'s' * (len(lengths) != 1)} of {count} epochs"
    name = f"learning-{system}-{task}.svg"
    if select in UNSCORED:
        alt = f"Training loss of {what}: {runs}. {UNSCORED[select]}"
        return Plot(name, figure, title, alt, f"A thin line for each training ({runs}). {UNSCORED[select]}")
    all_axes[-1].set_ylabel(f"Validation\n{SELECT[select]}")
    scores = f"{np.mean(best):.3f} on average, {min(best):.3f} to {max(best):.3f}" if best else "not defined"
    alt = f"Learning curves of {system}, task {task}: {runs}. Best validation {SELECT[select]}: {scores}."
    caption = (
        f"A thin line for each training ({runs}). Dots: the epochs whose weights are used; validation {SELECT[select]} "
        f"of these epochs: {scores}."
    )
    return Plot(name, figure, title, alt, caption)


def _aurocs(target: Target, part: pd.DataFrame) -> NDArray:
    """AUROC of each class (classes,), as the tables have it."""
    columns = class_columns(target.classes)
    scores = scoring.score(target, scoring.labelled_rows(part).dropna(subset=columns))
    return np.array([scores[catalogue.class_column("auroc_", name)] for name in target.classes])


def _truth_and_scores(target: Target, part: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Truth (booleans) and probabilities, (cases, classes) each, of the rows that have a label and probabilities."""
    part = scoring.labelled_rows(part)
    p = part.reindex(columns=class_columns(target.classes)).to_numpy(dtype=float)
    complete = ~np.isnan(p).any(axis=1)
    labels = [set(cell.split("|")) if target.kind == "multilabel" else {cell} for cell in part["label"]]
    truth = np.array([[c in classes for c in target.classes] for classes in labels], dtype=bool)
    return truth.reshape(-1, len(target.classes))[complete], p[complete]


def _variants(part: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Label and rows of the row `chosen`, the networks and the second stages, in this order, one decision of each.

    The decision is `reference`, or the first one where there is no `reference`.
    """
    rows_by_label = {}
    for (system, stage, fit_on), rows in part.groupby(["system", "stage", "fit_on"], sort=False):
        label = "chosen" if stage == "chosen" else f"{system}, {stage}{_fitted(fit_on)}"
        rows_by_label[label] = scoring.of_one_decision(rows)
    return sorted(rows_by_label.items(), key=lambda item: (item[0] != "chosen", item[1]["stage"].iloc[0] != "network"))


def _fitted(fit_on: str) -> str:
    return "" if fit_on == "none" else f" on {fit_on}"


def _notes(target: Target, curves: list[Curve], values: NDArray, reason: str) -> str:
    """Sentences on classes that are in grey, or not drawn for `reason`."""
    notes = ""
    if len(curves) > MOST_COLOURS:
        notes = f" The first {MOST_COLOURS} classes are in colour, the others in grey."
    names = [c for c, value in zip(target.classes, values, strict=True) if np.isnan(value)]
    return notes + (f" Not drawn {reason}: {', '.join(names)}." if names else "")


def _interval(row: pd.Series, metric: str) -> str:
    low, high = row.get(f"{metric}_low", np.nan), row.get(f"{metric}_high", np.nan)
    return f"{row[metric]:.3f}" + (f" ({low:.2f}–{high:.2f})" if pd.notna(low) and pd.notna(high) else "")
