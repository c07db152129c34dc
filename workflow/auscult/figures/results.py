"""Figures of a study, drawn from its tables alone: ROC, precision–recall, confusion, reliability, forest, learning.

Every figure is an SVG whose bytes depend on the tables only, on a white ground, in colours that colour-blind
readers tell apart, with an alternative text and a caption that say its key numbers in words.
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

from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.evaluation import scoring, selective
from auscult.figures.drawing import (
    MARKERS,
    NAMED,
    PALETTE,
    STYLE,
    WIDTH,
    Curve,
    Drawn,
    blank,
    legend,
    line_styles,
    said,
    save,
    shortened,
    square,
)
from auscult.figures.importances import importance_figures
from auscult.metrics import catalogue, formulas

BINS = 15  # of the reliability diagram, as in the tables' `ece`
WORDS = {metric.key: metric.name for metric in catalogue.shown("figures")}
UNSCORED = {
    "last": "The last epoch is kept.",
    "test": "The judged cases chose the epoch, a leak; no validation case was scored.",
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
    """Draw every figure of a study into `folder` as SVG; returns a table `file, title, alt, caption, sha256`.

    `predictions`, `board`: predictions.csv and leaderboard of the study. `histories`: `system, task, network, epoch,
    train_loss, val_score` of all trainings. `importances`: see `importance_figures`.
    """
    predictions = predictions.assign(label=predictions["label"].astype(object).fillna(""))
    with matplotlib.rc_context(STYLE):
        drawn = chain(_figures(study, predictions, board, histories), importance_figures(importances))
        return save(drawn, folder)


def _figures(study: Study, predictions: pd.DataFrame, board: pd.DataFrame, histories: pd.DataFrame) -> Iterator[Drawn]:
    for name, target in study.targets.items():
        part = predictions[predictions["target"] == name]
        chosen = part[part["system"] == "chosen"]
        yield forest(name, board[board["target"] == name])
        if target.kind == "multiclass":
            yield confusion(name, target, chosen)
            yield from referral(name, target, part)
        yield roc(name, target, chosen)
        yield roc_variants(name, target, part)
        yield precision_recall(name, target, chosen)
        yield reliability(name, target, part)
    for (system, task), part in histories.groupby(["system", "task"], sort=False):
        yield learning(system, task, part, study.systems[system].training.select)


def roc(name: str, target: Target, chosen: pd.DataFrame) -> Drawn:
    """ROC of every class against the rest, of the row `chosen`, judged cases of all folds pooled."""
    truth, p = _truth_and_scores(target, chosen)
    values = formulas.auroc(truth.astype(int), p)
    shown = np.flatnonzero(~np.isnan(values))
    curves = [Curve(target.classes[k], *_roc_points(truth[:, k], p[:, k]), values[k]) for k in shown]
    caption = (
        f"How well the probabilities of the row chosen rank {len(truth)} judged cases: sensitivity against false "
        f"alarms as the threshold moves, each class against the rest; the grey diagonal is guessing."
    )
    notes = _notes(target, curves, values, "without cases, or without others to compare with")
    return _roc(f"roc-{name}.svg", f"{name}: ROC of each class", curves, caption, notes)


def roc_variants(name: str, target: Target, part: pd.DataFrame) -> Drawn:
    """ROC of the target's first class, one curve for each network and second stage and one for `chosen`."""
    curves, every, first = [], _variants(part), target.classes[0]
    for label, rows in every[:NAMED]:
        truth, p = _truth_and_scores(target, rows)
        value = formulas.auroc(truth[:, :1].astype(int), p[:, :1])[0]
        if not np.isnan(value):
            curves.append(Curve(label, *_roc_points(truth[:, 0], p[:, 0]), value))
    caption = f"The class {first} against the rest, ranked by each network, by each second stage and by the row chosen."
    notes = f" The first {NAMED} of {len(every)} variants are drawn." if len(every) > NAMED else ""
    notes += "" if curves else f" Not drawn: {first} has no judged cases, or no others to compare with."
    return _roc(f"roc-variants-{name}.svg", f"{name}: ROC of {shortened(first)}, by variant", curves, caption, notes)


def _roc(file: str, title: str, curves: list[Curve], caption: str, notes: str) -> Drawn:
    figure, axes = square(title, "False alarms (1 − specificity)", "Sensitivity", diagonal=True)
    for curve, style in zip(curves, line_styles(curves), strict=True):
        axes.plot(curve.x, curve.y, **style)
    legend(figure, axes, curves, [f"{c.value:.3f}" for c in curves])
    alt = f"ROC curves of {title.replace(': ROC of', ',')}. Area under the curve: {said(curves)}."
    return Drawn(file, figure, title, alt, f"{caption} Area under the curve (AUROC): {said(curves)}.{notes}")


def precision_recall(name: str, target: Target, chosen: pd.DataFrame) -> Drawn:
    """Precision against recall of every class, of the row `chosen`, judged cases of all folds pooled."""
    truth, p = _truth_and_scores(target, chosen)
    values = formulas.auprc(truth.astype(int), p)
    shown = np.flatnonzero(~np.isnan(values))
    curves = [Curve(target.classes[k], *_pr_points(truth[:, k], p[:, k]), values[k]) for k in shown]
    rates = [truth[:, k].mean() for k in shown]
    title = f"{name}: precision and recall of each class"
    figure, axes = square(title, "Recall (share of the class that is found)", "Precision (share that is right)")
    for curve, style, rate in zip(curves, line_styles(curves), rates, strict=True):
        axes.plot(curve.x, curve.y, drawstyle="steps-pre", **style)
        if len(curves) <= 4:
            axes.axhline(rate, color=style["color"], lw=1, ls=":")
    legend(figure, axes, curves, [f"{c.value:.3f} (chance {r:.2f})" for c, r in zip(curves, rates, strict=True)])
    each = [f"{c.name} {c.value:.3f}, by chance {r:.3f}" for c, r in zip(curves, rates, strict=True)]
    said = "; ".join(each) or "not defined"
    alt = f"Precision–recall curves of {name}, one for each class. Average precision: {said}."
    caption = (
        f"What share of a class is found (recall), and what share of the cases named so is right (precision), as the "
        f"threshold moves; row chosen, {len(truth)} judged cases. Average precision (AUPRC): {said}"
        f"{' (dotted)' if 0 < len(curves) <= 4 else ''}.{_notes(target, curves, values, 'without cases')}"
    )
    return Drawn(f"pr-{name}.svg", figure, title, alt, caption)


def _roc_points(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Share of false alarms and sensitivity at each distinct score, corners only."""
    hits, named = _ranked(positive, score)
    x, y = np.append(0, named - hits), np.append(0, hits)
    dx, dy = np.diff(x), np.diff(y)
    corner = np.concatenate([[True], dx[1:] * dy[:-1] != dx[:-1] * dy[1:], [True]])
    return x[corner] / x[-1], y[corner] / y[-1]


def _pr_points(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Recall and precision at each distinct score; each precision holds back to the recall before it."""
    hits, named = _ranked(positive, score)
    precision = hits / named
    return np.append(0, hits / hits[-1]), np.append(precision[0], precision)


def _ranked(positive: NDArray, score: NDArray) -> tuple[NDArray, NDArray]:
    """Positives, and all cases, at or above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    return np.cumsum(positive[order])[last], last + 1


def confusion(name: str, target: Target, chosen: pd.DataFrame) -> Drawn:
    """Confusion matrix of the row `chosen`: counts, and per cent of each true class."""
    part, classes = scoring.scored(chosen), target.classes
    number = {c: k for k, c in enumerate(classes)}
    truth, said = (part[column].map(number).to_numpy(dtype=int) for column in ("label", "prediction"))
    counts = formulas.confusion(truth, said, len(classes))
    totals = counts.sum(axis=1)
    shares = [np.full(len(classes), np.nan) if not n else 100 * row / n for row, n in zip(counts, totals, strict=True)]
    title = f"{name}: what was said of each class"
    figure = blank(WIDTH * 0.9, title)
    axes = figure.add_subplot(xlabel="Decision", ylabel="True class")
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=115)
    for (i, j), count in np.ndenumerate(counts):
        share = "–" if np.isnan(shares[i][j]) else f"{shares[i][j]:.0f} %"
        style = {"fontsize": max(6.0, 14.5 - len(classes)), "color": "white" if shares[i][j] > 72 else "#111111"}
        axes.text(j, i, f"{count}\n{share}", ha="center", va="center", **style)
    ticks = [shortened(c, 14) for c in classes]
    turn = 90 if len(classes) > 7 else 45 if len(classes) > 4 else 0
    axes.set_xticks(range(len(classes)), ticks, rotation=turn, ha="right" if turn == 45 else "center")
    axes.set_yticks(range(len(classes)), [f"{tick}\n{n} cases" for tick, n in zip(ticks, totals, strict=True)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    right = zip(classes, counts.diagonal(), totals, strict=True)
    found = "; ".join(f"{c}, {k} of {n} right ({100 * k / n:.0f} %)" if n else f"{c}, no cases" for c, k, n in right)
    alt = f"Confusion matrix of {name}, true classes in rows, decisions in columns. {found}."
    caption = (
        f"Decisions of the row chosen on {len(part)} judged cases: number, and per cent of the true class (each row "
        f"adds to 100 %). Right are those on the diagonal: {found}."
    )
    return Drawn(f"confusion-{name}.svg", figure, title, alt, caption)


def reliability(name: str, target: Target, part: pd.DataFrame) -> Drawn:
    """Reliability diagram of `chosen` and of each network's decision `reference`.

    Multi-label: every class of every case is one event, and its probability is the confidence.
    """
    rows = part[(part["system"] == "chosen") | ((part["stage"] == "network") & (part["decision"] == "reference"))]
    curves, cases = [], 0
    for label, one in _variants(rows)[:NAMED]:
        truth, p = _truth_and_scores(target, one)
        if target.kind == "multiclass":
            truth, p = (np.take_along_axis(values, p.argmax(axis=1)[:, None], axis=1) for values in (truth, p))
        if len(truth):
            curves.append(Curve(label, *_binned(p.ravel(), truth.ravel())))
            cases = max(cases, len(truth))
    title = f"{name}: do the probabilities mean what they say?"
    figure, axes = square(title, "Probability given", "Share that came true", diagonal=True)
    for curve, style, marker in zip(curves, line_styles(curves), MARKERS, strict=False):
        axes.plot(curve.x, curve.y, **style | {"lw": 1.2})
        axes.scatter(curve.x, curve.y, 12 + 160 * curve.weight, color=style["color"], marker=marker, lw=0)
    legend(figure, axes, curves, [f"error {c.value:.3f}" for c in curves], MARKERS)
    what = "every class of every case" if target.kind == "multilabel" else "the most probable class of every case"
    alt = f"Reliability diagram of {name}: share that came true against probability. Error: {said(curves)}."
    caption = (
        f"For {what} ({cases} cases), in {BINS} bins of equal width: the mean probability given and the share that "
        f"came true. Points on the diagonal mean what they say; below it, the probabilities are too high. Larger marks "
        f"hold more cases. Calibration error (mean distance from the diagonal): {said(curves)}."
    )
    return Drawn(f"reliability-{name}.svg", figure, title, alt, caption)


def referral(name: str, target: Target, part: pd.DataFrame) -> Iterator[Drawn]:
    """Errors left when the least sure cases are referred, by each measure of uncertainty, of the first network."""
    rows = scoring.scored(part[(part["stage"] == "network") & (part["decision"] == "reference")])
    rows = rows[rows["system"] == rows["system"].iloc[0]] if len(rows) else rows
    if rows.empty:
        return
    wrong = (rows["prediction"] != rows["label"]).to_numpy(dtype=float)
    curves = []
    for key, (word, _) in selective.MEASURES.items():
        values = selective.measure(rows, target, key)
        if values is not None:
            coverage, risk = selective.risk_coverage(wrong, values)
            half = coverage >= 0.5  # of fewer cases the rate is mostly chance
            curves.append(Curve(word, 1 - coverage[half], risk[half], selective.aurc(wrong, values)))
    title = f"{name}: errors left when the least sure are referred"
    figure = blank(0.8 * WIDTH, title)
    axes = figure.add_subplot(xlabel="Share of cases referred", ylabel="Share of the rest that is wrong", xlim=(0, 0.5))
    axes.set_ylim(0, max(0.05, 1.15 * max(curve.y.max() for curve in curves)))
    axes.grid()
    axes.axhline(wrong.mean(), color="#999999", lw=1, zorder=0)
    for curve, style in zip(curves, line_styles(curves), strict=True):
        axes.plot(curve.x, curve.y, **style)
    legend(figure, axes, curves, [f"{c.value:.3f}" for c in curves])
    alt = f"Errors of {name} left over against the share referred. Area under risk and coverage: {said(curves)}."
    caption = (
        f"Cases of {rows['system'].iloc[0]} (decision reference, {len(rows)} judged) are sent on in the order of each "
        f"measure, the least sure first; the grey line is what chance would leave ({wrong.mean():.3f}). Area under "
        f"risk and coverage (AURC, lower is better): {said(curves)}."
    )
    yield Drawn(f"referral-{name}.svg", figure, title, alt, caption)


def _binned(sure: NDArray, right: NDArray) -> tuple[NDArray, NDArray, float, NDArray]:
    """Mean confidence and observed share of the bins in use, calibration error, share of cases per bin."""
    place = np.digitize(sure, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    n = np.bincount(place, minlength=BINS)
    used = n > 0
    x, y = (np.bincount(place, values, BINS)[used] / n[used] for values in (sure, right))
    share = n[used] / n.sum()
    return x, y, float((share * np.abs(y - x)).sum()), share


def forest(name: str, board: pd.DataFrame) -> Drawn:
    """Two metrics of the leaderboard with their intervals, a line for each variant, `chosen` first."""
    shown = [m for m in WORDS if m in board and board[m].notna().any()][:2]
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
            for metric, colour, marker, at in zip(shown, PALETTE, "os", (y - 0.15, y + 0.15), strict=False):
                low_high = [row.get(f"{metric}_{end}", np.nan) for end in ("low", "high")]
                axes.plot(low_high, [at, at], color=colour, lw=2.4 if system == "chosen" else 1.4)
                axes.plot(row[metric], at, marker, color=colour, ms=7 if system == "chosen" else 5.5)
            y += 1
        y += 0.4
    axes.set_yticks(list(ticks), list(ticks.values()))
    for text in axes.get_yticklabels():
        text.set_fontweight("normal" if " · " in text.get_text() else "bold")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(y - 0.6, 1), -0.7)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    best = "nothing to show"
    if shown:
        handles = [axes.plot([], [], f"{'os'[k]}-", color=PALETTE[k])[0] for k in range(len(shown))]
        figure.legend(handles, [WORDS[m] for m in shown], loc="outside lower center", ncols=2)
        first = board[board["system"] == systems[0]].iloc[0]
        best = f"the row {systems[0]} has {' and '.join(f'{WORDS[m]} {_interval(first, m)}' for m in shown)}"
    alt = f"Dots with interval bars for {len(board)} variants of {name}; {best}."
    caption = f"All judged cases pooled, intervals from a bootstrap over subjects: {best}. The claim is the row chosen."
    return Drawn(f"forest-{name}.svg", figure, title, alt, caption)


def learning(system: str, task: str, history: pd.DataFrame, select: str) -> Drawn:
    """Training loss and validation score by epoch, a thin line for each network; a dot marks the epoch that was kept.

    Where no validation case is scored (`select` is `last` or `test`) there is no second panel.
    """
    title = f"{system}, task {task}: learning"
    figure = blank(WIDTH, title)
    panels = ["train_loss"] if select in UNSCORED else ["train_loss", "val_score"]
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    drawn[0].set_ylabel("Training loss")
    drawn[-1].set_xlabel("Epoch")
    best, lengths = [], []
    for _, one in history.sort_values("epoch").groupby("network"):
        lengths.append(len(one))
        for axes, column in zip(drawn, panels, strict=True):
            axes.plot(one["epoch"], one[column], color=PALETTE[0], lw=1, alpha=0.75, marker="." * (len(one) == 1))
        if one["val_score"].notna().any():
            top = one.loc[one["val_score"].idxmax()]
            best.append(float(top["val_score"]))
            drawn[-1].plot(top["epoch"], top["val_score"], "o", color=PALETTE[1], ms=5)
    for axes in drawn:
        axes.grid()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    runs = f"{len(lengths)} trainings, {min(lengths)} to {max(lengths)} epochs long"
    name = f"learning-{system}-{task}.svg"
    if select in UNSCORED:
        alt = f"Training loss of {system}, task {task}: {runs}. {UNSCORED[select]}"
        return Drawn(name, figure, title, alt, f"A thin line for each training ({runs}). {UNSCORED[select]}")
    drawn[-1].set_ylabel(f"Validation\n{SELECT[select]}")
    kept = f"{np.mean(best):.3f} on average, {min(best):.3f} to {max(best):.3f}" if best else "not defined"
    alt = f"Learning curves of {system}, task {task}: {runs}. Best validation {SELECT[select]}: {kept}."
    caption = (
        f"A thin line for each training ({runs}). Dots: the epochs kept; validation {SELECT[select]} there: {kept}."
    )
    return Drawn(name, figure, title, alt, caption)


def _truth_and_scores(target: Target, part: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Truth (cases, classes) as booleans and probabilities of the rows that have a label and probabilities."""
    part = scoring.scored(part)
    p = part.reindex(columns=[f"p_{c}" for c in target.classes]).to_numpy(dtype=float)
    known = ~np.isnan(p).any(axis=1)
    cells = [set(cell.split("|")) if target.kind == "multilabel" else {cell} for cell in part["label"]]
    truth = np.array([[c in cell for c in target.classes] for cell in cells], dtype=bool)
    return truth.reshape(-1, len(target.classes))[known], p[known]


def _variants(part: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Name and rows of `chosen`, of networks, and of second stages, each with its first decision (`reference`)."""
    found = {}
    for (system, stage, fit_on), rows in part.groupby(["system", "stage", "fit_on"], sort=False):
        rule = "reference" if (rows["decision"] == "reference").any() else rows["decision"].iloc[0]
        label = "chosen" if stage == "chosen" else f"{system}, {stage}{_fitted(fit_on)}"
        found[label] = rows[rows["decision"] == rule]
    return sorted(found.items(), key=lambda item: (item[0] != "chosen", item[1]["stage"].iloc[0] != "network"))


def _fitted(fit_on: str) -> str:
    return "" if fit_on == "none" else f" on {fit_on}"


def _notes(target: Target, curves: list[Curve], values: NDArray, why: str) -> str:
    notes = f" The first {NAMED} classes are in colour, the others in grey." if len(curves) > NAMED else ""
    names = [c for c, value in zip(target.classes, values, strict=True) if np.isnan(value)]
    return notes + (f" Not drawn, {why}: {', '.join(names)}." if names else "")


def _interval(row: pd.Series, metric: str) -> str:
    low, high = row.get(f"{metric}_low", np.nan), row.get(f"{metric}_high", np.nan)
    return f"{row[metric]:.3f}" + (f" ({low:.2f}–{high:.2f})" if pd.notna(low) and pd.notna(high) else "")
