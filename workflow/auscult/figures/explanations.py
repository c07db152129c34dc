"""Figures of what a network's output is based on: explanation maps beside the signal, and shares of phases."""

from __future__ import annotations

import matplotlib
import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.evaluation.scoring import labelled_rows, networks_alone
from auscult.figures.drawing import PALETTE, STYLE, WIDTH, Plot, blank
from auscult.heads.outputs import class_columns
from auscult.inference.explanation_maps import BY_CHANNEL, NotExplainable
from auscult.inference.explanations import Explain, Explanation, explained_class, phases_table, pick
from auscult.progress import note

WINDOW_S = 5.0  # seconds of a recording in a figure
KINDS = {"hit": "detected", "miss": "missed", "uncertain": "among the most uncertain"}
LEADS_S, MM_PER_S, MM_PER_UNIT, LEAD_MM = 10.0, 25, 10, 15  # ECG paper: longest signal, scales, height of a channel


def explain_system(
    study: Study,
    system: str,
    predictions: pd.DataFrame,
    manifest: Manifest,
    explain: Explain,
) -> tuple[list[Plot], pd.DataFrame]:
    """Return figures of a system's typical cases, and its shares of the annotated phases as figure and table.

    explain: see `explainer`. The class is that of `explained_class`. The table is that of `phases_table`.
    """
    name, positive, output = explained_class(study, system)
    head = study.heads_of(study.systems[system])[study.targets[name].heads[0]]
    rows = predictions[(predictions["target"] == name) & (predictions["system"] == system)]
    rows = labelled_rows(networks_alone(rows))
    rows = rows[rows["repeat"] == rows["repeat"].min()]  # a case is shown once
    is_positive, is_predicted = (
        [positive in cell.split("|") for cell in rows[column]] for column in ("label", "prediction")
    )
    other = f"not {positive}"  # never `positive` itself, whatever the classes are called
    rows = rows.assign(label=np.where(is_positive, positive, other), prediction=np.where(is_predicted, positive, other))
    (probability,) = class_columns([positive])
    kind_of_case = pick(rows, positive).set_index("case")["kind"].to_dict()
    plots, shares = [], []
    for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
        of_class = set(part.loc[part["label"] == positive, "case"])
        if not (cases := of_class | (set(part["case"]) & set(kind_of_case))):
            continue
        try:
            explanations = explain(repeat, fold, output, cases)
        except NotExplainable as reason:  # a network need not have maps
            note(str(reason))
            break
        for case in sorted(explanations):
            row = part[part["case"] == case].iloc[0]
            if case in of_class:
                with_class = [
                    item for item in explanations[case] if _has_class(manifest, item.recording, head, positive)
                ]
                shares += [item.shares().assign(recording=item.recording, case=case) for item in with_class]
            if case in kind_of_case:
                label = positive if case in of_class else f"not {positive}"
                title = f"{case}: {label}, {KINDS[kind_of_case.pop(case)]}"
                draw = picture if len(explanations[case][0].samples) == 1 else leads
                meaning = f"probability of {positive} {row[probability]:.2f}"
                plots.append(draw(case, explanations[case][0], title, meaning))
    shares = pd.concat(shares) if shares else pd.DataFrame(columns=["recording", "case", "state", "energy", "time"])
    subjects = manifest.cases.set_index("case")["subject"]
    table = phases_table(shares, subjects, manifest.columns.states)
    bars = phases_figure(table, shares["recording"].nunique(), positive)
    return ([bars] if bars else []) + plots, table


def _has_class(manifest: Manifest, recording: str, head: Head, positive: str) -> bool:
    """Whether this recording has the class of its case; always true where recordings are not labelled themselves."""
    if not head.train_on:
        return True
    row = manifest.recordings.loc[manifest.recordings["recording"] == recording].iloc[0]
    return row[head.train_on.column] in (head.train_on.positive or [positive])


def picture(name: str, explanation: Explanation, title: str, meaning: str) -> Plot:
    """Waveform, front end and map of one channel, in the five seconds in which the map is brightest."""
    with matplotlib.rc_context(STYLE):
        first, last = _brightest(explanation)
        times, rate_hz, all_states = explanation.times, explanation.rate_hz, explanation.states
        inside = (times >= first) & (times < last)
        cam, features = explanation.cam[inside], explanation.features[inside]
        figure = blank(1.1 * WIDTH, title)
        axes = figure.subplots(3, 1, sharex=True, height_ratios=[2, 3, 3])
        window = slice(int(first * rate_hz), int(last * rate_hz))
        seconds = np.arange(explanation.samples.shape[1])[window] / rate_hz
        axes[0].plot(seconds, explanation.samples[0, window], color="#333333", lw=0.5)
        states = all_states[(all_states["offset_s"] > first) & (all_states["onset_s"] < last)]
        colours = dict(zip(explanation.phases, PALETTE, strict=False))
        for row in states[states["state"].isin(colours)].itertuples():
            ends = max(row.onset_s, first), min(row.offset_s, last)
            axes[0].axvspan(*ends, color=colours[row.state], alpha=0.3, lw=0)
        axes[0].set(ylabel="Sound", yticks=[], xlim=(first, last))
        extent = (first, last, 0, cam.shape[1])
        style = {"aspect": "auto", "origin": "lower", "extent": extent, "interpolation": "nearest"}
        axes[1].imshow(features.T, cmap="Greys", **style)
        axes[1].set(ylabel="Band")
        axes[2].imshow(features.T, cmap="Greys", **style)
        least = cam.min() if explanation.by == "attention" else 0.0  # attention is above 0 everywhere
        colour_range = {"vmin": least, "vmax": max(explanation.cam.max(), least + 1e-9)}
        axes[2].imshow(cam.T, cmap="inferno", alpha=0.65, **colour_range, **style)
        axes[2].set(ylabel="Band", xlabel="Seconds")
        phases = [phase for phase in colours if (all_states["state"] == phase).any()]
        handles = [matplotlib.patches.Patch(color=colours[phase], alpha=0.3) for phase in phases]
        if handles:
            figure.legend(handles, phases, loc="outside lower center", ncols=4)
    caption = (
        f"{title}: {meaning}. Top: the sound{' with its annotated phases' if phases else ''}. Middle: the input "
        f"of the network. Bottom: the same, and in colour {explanation.meaning}. The figure shows the "
        f"{last - first:.0f} s of recording {explanation.recording} with the most colour."
    )
    return _plot(name, figure, title, explanation, caption)


def _plot(name: str, figure: matplotlib.figure.Figure, title: str, explanation: Explanation, caption: str) -> Plot:
    alt = f"Explanation of {title}, recording {explanation.recording}."
    return Plot(f"explained-{name}.svg", figure, title, alt, caption)


def leads(name: str, explanation: Explanation, title: str, meaning: str) -> Plot:
    """Channels below each other on ECG paper, 25 mm a second and 10 mm a unit (mV), the map in colour behind them."""
    rate_hz, times = explanation.rate_hz, explanation.times
    channels, seconds = len(explanation.samples), min(LEADS_S, explanation.samples.shape[1] / rate_hz)
    width, height = MM_PER_S * seconds, LEAD_MM * channels
    names = explanation.channels
    if len(names) != channels:
        names = [str(number + 1) for number in range(channels)]
    with matplotlib.rc_context(STYLE):
        figure = matplotlib.figure.Figure(figsize=((width + 20) / 25.4, (height + 22) / 25.4))
        figure.suptitle(title)
        axes = figure.add_axes((15 / (width + 20), 12 / (height + 22), width / (width + 20), height / (height + 22)))
        axes.set(xlim=(0, width), ylim=(-height, 0), yticks=[], xlabel="Seconds")
        axes.set_xticks(np.arange(0, width + 1, MM_PER_S), np.arange(0, seconds + 0.01).astype(int))
        for step, line in ((1, 0.25), (5, 0.7)):
            axes.vlines(np.arange(0, width + 1, step), -height, 0, color="#e5b5b5", lw=line, zorder=0)
            axes.hlines(-np.arange(0, height + 1, step), 0, width, color="#e5b5b5", lw=line, zorder=0)
        inside = times < seconds
        by_channel = explanation.by == BY_CHANNEL
        brightness = explanation.cam[inside] if by_channel else explanation.cam[inside].mean(axis=1, keepdims=True)
        brightness = brightness - brightness.min() if explanation.by == "attention" else brightness
        shares = brightness / max(brightness.max(), 1e-9)
        if not by_channel:
            extent = (0, MM_PER_S * float(times[inside][-1]), -height, 0)
            axes.imshow(shares.T, cmap="autumn_r", alpha=0.6 * shares.T, extent=extent, aspect="auto", zorder=1)
        count = int(seconds * rate_hz)
        x = MM_PER_S * np.arange(count) / rate_hz
        for number, (lead, samples) in enumerate(zip(names, explanation.samples, strict=True)):
            middle = -LEAD_MM * (number + 0.5)
            values = MM_PER_UNIT * (samples[:count] - np.median(samples))
            y = middle + np.clip(values, -LEAD_MM, LEAD_MM)
            if by_channel:
                axes.add_collection(_coloured(x, y, np.interp(x, MM_PER_S * times[inside], shares[:, number])))
            else:
                axes.plot(x, y, color="#222222", lw=0.6, zorder=2)
            axes.text(-1.5, middle, lead, ha="right", va="center")
    caption = (
        f"{title}: {meaning}. All {channels} channels of recording {explanation.recording}, {MM_PER_S} mm per second "
        f"and {MM_PER_UNIT} mm per unit (mV in an ECG) at the figure's original size. In colour: {explanation.meaning}."
    )
    return _plot(name, figure, title, explanation, caption)


def _coloured(x: NDArray, y: NDArray, share: NDArray) -> LineCollection:
    """A line whose colour and width say the share (between 0 and 1) of each of its points."""
    points = np.stack([x, y], axis=1)
    parts = np.stack([points[:-1], points[1:]], axis=1)
    colours = LinearSegmentedColormap.from_list("evidence", ["#222222", "#f0a000", "#d00000"])
    strength = (share[:-1] + share[1:]) / 2
    lines = LineCollection(parts, cmap=colours, linewidths=0.6 + 0.9 * strength, capstyle="round", zorder=2)
    lines.set_array(strength)
    lines.set_clim(0, 1)
    return lines


def _brightest(explanation: Explanation) -> tuple[float, float]:
    """Start and end, in seconds, of the window in which the map has its largest sum."""
    end = explanation.samples.shape[1] / explanation.rate_hz
    if end <= WINDOW_S:
        return 0.0, end
    brightness, times = explanation.cam.sum(axis=1), explanation.times
    starts = np.arange(0, end - WINDOW_S + 1e-9, 0.5)
    sums = [brightness[(times >= start) & (times < start + WINDOW_S)].sum() for start in starts]
    best = float(starts[int(np.argmax(sums))])
    return best, best + WINDOW_S


def phases_figure(summary: pd.DataFrame, recordings: int, positive: str) -> Plot | None:
    """Bars of each phase's share of the map beside its share of the time, with 95 % intervals over subjects.

    summary: see `phases_table`, of so many `recordings`. Returns None where no phases are annotated.
    """
    if summary.empty:
        return None
    with matplotlib.rc_context(STYLE):
        title = f"What the output for {positive} is based on, by phase"
        figure = blank(0.7 * WIDTH, title)
        axes = figure.add_subplot(ylabel="Share")
        x = np.arange(len(summary))
        low_high = [summary["energy"] - summary["energy_low"], summary["energy_high"] - summary["energy"]]
        axes.bar(x - 0.2, summary["energy"], 0.38, color=PALETTE[1], yerr=low_high, capsize=3, label="of the map")
        axes.bar(x + 0.2, summary["time"], 0.38, color="#bbbbbb", label="of the time (chance)")
        axes.set_xticks(x, summary["state"])
        figure.legend(loc="outside lower center", ncols=2)
    values = "; ".join(
        f"{row.state} {row.energy:.3f} ({row.energy_low:.3f}–{row.energy_high:.3f}) of the map, {row.time:.3f} of time"
        for row in summary.itertuples()
    )
    caption = (
        f"Share of the explanation map in each phase, in {recordings} test recordings that "
        f"are of the class {positive} and have annotated phases, with 95 % intervals over subjects: {values}."
    )
    return Plot("explained-phases.svg", figure, title, f"Shares of phases: {values}.", caption)
