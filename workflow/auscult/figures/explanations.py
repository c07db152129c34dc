"""Pictures of explanations: sound with heart phases, front end, what spoke for the class; and the phases' shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import matplotlib.figure
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from auscult.cache.audio import read_audio
from auscult.cache.store import Cache
from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.evaluation.tables import scored
from auscult.figures.drawing import PALETTE, STYLE, WIDTH, Drawn, blank
from auscult.heads.outputs import output_names
from auscult.inference.explain import NotExplainable, explain_recordings, phase_shares
from auscult.metrics.intervals import bootstrap, subject_draws
from auscult.progress import note
from auscult.training.job import Job

SHOWN_S = 5.0  # seconds of a recording in a picture
PHASES = {"S1": PALETTE[0], "systole": PALETTE[1], "S2": PALETTE[2], "diastole": PALETTE[3]}
KINDS = {"hit": "found", "miss": "missed", "uncertain": "among the least sure"}
EACH = 2  # pictures of each kind
LEADS_S, MM_PER_S, MM_PER_UNIT, LEAD_MM = 10.0, 25, 10, 15  # ECG paper: most seconds, scales, height of a channel


@dataclass(frozen=True)
class Explained:
    """One recording: its map (frames, bands) over `features` of the same shape, and frames' centres in seconds.

    samples: (channels, n) at `rate_hz`; channels: their names, if known; states: `onset_s, offset_s, state`; by:
    `attention` or `Grad-CAM`.
    """

    recording: str
    cam: NDArray
    features: NDArray
    times: NDArray
    samples: NDArray
    rate_hz: int
    states: pd.DataFrame
    channels: tuple[str, ...] = ()
    by: str = "Grad-CAM"

    @property
    def meaning(self) -> str:
        """What the colour of a picture says."""
        attends = "where the network attends least (dark) and most (bright)"
        return attends if self.by == "attention" else "what speaks for the class"

    def shares(self) -> pd.DataFrame:
        """`state, energy, time` (see `phase_shares`)."""
        return phase_shares(self.cam, self.times, self.states)


Explain = Callable[[int, int, str, set[str]], dict[str, list[Explained]]]  # repeat, fold, output, cases


def pick(rows: pd.DataFrame, positive: str) -> pd.DataFrame:
    """Typical cases of one variant's predictions: `case, kind`, at most two of each kind.

    Hits and misses among cases of the class `positive`, those of the middle probability (typical, not best); the
    uncertain are those of the largest uncertainty. `rows` needs `case, label, prediction, p_<positive>, uncertainty`.
    """
    mine = rows[rows["label"] == positive]
    found = {
        "hit": mine[mine["prediction"] == positive],
        "miss": mine[mine["prediction"] != positive],
        "uncertain": rows[rows["label"] != ""].nlargest(EACH, "uncertainty"),
    }
    picked = []
    for kind, part in found.items():
        if kind != "uncertain":
            part = part.sort_values([f"p_{positive}", "case"])
            middle = max(0, (len(part) - EACH) // 2)
            part = part.iloc[middle : middle + EACH]
        picked += [(case, kind) for case in part["case"]]
    return pd.DataFrame(picked, columns=["case", "kind"]).drop_duplicates("case")


def explain_cases(
    job: Job,
    output: int,
    manifest: Manifest,
    states: pd.DataFrame,
    cases: set[str],
    frames: Cache,
    audio: Cache,
    rate_hz: int,
    where: torch.device,
) -> dict[str, list[Explained]]:
    """Explanations of an output of one network: the recordings of each case, the likeliest first.

    states: `recording, onset_s, offset_s, state` of the data set, which no network reads. rate_hz: of `audio`.
    """
    table = manifest.recordings[manifest.recordings["case"].isin(cases)].sort_values("recording")
    names = table["recording"].tolist()
    annotated = dict(list(states.groupby("recording")))
    found: dict[str, list[tuple[float, Explained]]] = {}
    *found_of_each, by = explain_recordings(job, names, output, frames, where)
    for name, case, cam, times, logit in zip(names, table["case"], *found_of_each, strict=True):
        features = frames.read(name)[:, 0].astype(np.float32)
        here = annotated.get(name, states.head(0))
        heard, channels = read_audio(audio, name), tuple(manifest.columns.channels)
        one = Explained(name, cam, features, times, heard, rate_hz, here, channels, by)
        found.setdefault(case, []).append((-logit, one))
    return {case: [one for _, one in sorted(parts, key=lambda part: part[0])] for case, parts in found.items()}


def explainer(
    study: Study,
    system: str,
    job_of: Callable[[str, int, int], Job],
    manifest: Manifest,
    states: pd.DataFrame,
    frames: Cache,
    audio: Cache,
    where: torch.device,
) -> Explain:
    """`explain_cases` of whatever network of a fold has an output; `job_of(task, repeat, fold)` is that network."""

    def explain(repeat: int, fold: int, output: str, cases: set[str]) -> dict[str, list[Explained]]:
        outputs = {task: output_names(study.tasks[task].heads) for task in study.systems[system].tasks}
        task = next(name for name, names in outputs.items() if output in names)
        number = outputs[task].index(output)
        rate = study.dataset.rate_hz
        job = job_of(task, repeat, fold)
        return explain_cases(job, number, manifest, states, cases, frames, audio, rate, where)

    return explain


def explain_system(
    study: Study,
    system: str,
    predictions: pd.DataFrame,
    manifest: Manifest,
    explain: Explain,
) -> tuple[list[Drawn], pd.DataFrame]:
    """Pictures of a system's typical cases, and the phases that it hears as figure and table (see `phases_table`).

    Of the first target that the system serves the class of its first head is explained, or the first class but `normal`
    of a head of several, by `explain` (see `explainer`).
    """
    name, target = next(iter(study.targets_of(study.systems[system]).items()))
    head = study.heads_of(study.systems[system])[target.heads[0]]
    if head.kind == "binary":
        positive, output = target.classes[0], target.heads[0]
    else:
        positive = next(one for one in target.classes if one != target.normal)
        output = f"{target.heads[0]}_{positive}"
    rows = predictions[(predictions["target"] == name) & (predictions["system"] == system)]
    rows = scored(rows[(rows["stage"] == "network") & (rows["decision"] == "reference")])
    truth = [positive in cell.split("|") for cell in rows["label"]]
    said = [positive in cell.split("|") for cell in rows["prediction"]]
    rows = rows.assign(label=np.where(truth, positive, "another"), prediction=np.where(said, positive, "another"))
    picked = pick(rows, positive).set_index("case")["kind"].to_dict()
    drawn, shares = [], []
    for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
        of_class = set(part.loc[part["label"] == positive, "case"])
        try:
            explained = explain(repeat, fold, output, of_class | (set(part["case"]) & set(picked)))
        except NotExplainable as reason:  # a network need not have maps
            note(str(reason))
            break
        for case in sorted(explained):
            row = part[part["case"] == case].iloc[0]
            if case in of_class:
                heard = [one for one in explained[case] if _audible(manifest, one.recording, head)]
                shares += [one.shares().assign(recording=one.recording, case=case) for one in heard]
            if case in picked:  # once, whatever the number of repeats
                truth = positive if case in of_class else f"not {positive}"
                words = f"{case}: {truth}, {KINDS[picked.pop(case)]}"
                meaning = f"probability of {positive} {row[f'p_{positive}']:.2f}"
                draw = picture if len(explained[case][0].samples) == 1 else leads
                drawn.append(draw(case, explained[case][0], words, meaning))
    shares = pd.concat(shares) if shares else pd.DataFrame(columns=["recording", "case", "state", "energy", "time"])
    bars = phases_figure(shares, manifest.cases.set_index("case")["subject"], positive)
    table = phases_table(shares, manifest.cases.set_index("case")["subject"])
    return ([bars] if bars else []) + drawn, table


def _audible(manifest: Manifest, recording: str, head: Head) -> bool:
    """Whether the class is heard in this recording of the case, where that is labelled."""
    if not head.train_on:
        return True
    row = manifest.recordings.loc[manifest.recordings["recording"] == recording].iloc[0]
    return row[head.train_on.column] in head.train_on.positive


def picture(name: str, explained: Explained, words: str, meaning: str) -> Drawn:
    """Waveform, front end and map of the five seconds in which the map is brightest."""
    one = explained
    with matplotlib.rc_context(STYLE):
        first, last = _brightest(one)
        inside = (one.times >= first) & (one.times < last)
        figure = blank(1.1 * WIDTH, words)
        axes = figure.subplots(3, 1, sharex=True, height_ratios=[2, 3, 3])
        place = slice(int(first * one.rate_hz), int(last * one.rate_hz))
        seconds = np.arange(one.samples.shape[1])[place] / one.rate_hz
        axes[0].plot(seconds, one.samples[0, place], color="#333333", lw=0.5)
        states = one.states[(one.states["offset_s"] > first) & (one.states["onset_s"] < last)]
        for row in states[states["state"].isin(PHASES)].itertuples():
            ends = max(row.onset_s, first), min(row.offset_s, last)
            axes[0].axvspan(*ends, color=PHASES[row.state], alpha=0.3, lw=0)
        axes[0].set(ylabel="Sound", yticks=[], xlim=(first, last))
        extent = (first, last, 0, one.cam.shape[1])
        how = {"aspect": "auto", "origin": "lower", "extent": extent, "interpolation": "nearest"}
        axes[1].imshow(one.features[inside].T, cmap="Greys", **how)
        axes[1].set(ylabel="Band")
        axes[2].imshow(one.features[inside].T, cmap="Greys", **how)
        least = one.cam[inside].min() if one.by == "attention" else 0.0  # every place has some attention
        bright = {"vmin": least, "vmax": max(one.cam.max(), least + 1e-9)}
        axes[2].imshow(one.cam[inside].T, cmap="inferno", alpha=0.65, **bright, **how)
        axes[2].set(ylabel="Band", xlabel="Seconds")
        used = [phase for phase in PHASES if (one.states["state"] == phase).any()]
        handles = [matplotlib.patches.Patch(color=PHASES[phase], alpha=0.3) for phase in used]
        if handles:
            figure.legend(handles, used, loc="outside lower center", ncols=4)
    caption = (
        f"{words}: {meaning}. Above the sound{' with its annotated heart phases' if used else ''}, below it what the "
        f"network reads, and in colour {one.meaning}. The {last - first:.0f} s of recording {one.recording} in which "
        "that is most."
    )
    return Drawn(f"explained-{name}.svg", figure, words, f"Explanation of {words}, recording {one.recording}.", caption)


def leads(name: str, explained: Explained, words: str, meaning: str) -> Drawn:
    """Channels below each other on ECG paper, 25 mm a second and 10 mm a unit (mV), the map in colour behind them."""
    one = explained
    channels, seconds = len(one.samples), min(LEADS_S, one.samples.shape[1] / one.rate_hz)
    width, height = MM_PER_S * seconds, LEAD_MM * channels
    names = one.channels if len(one.channels) == channels else [str(number + 1) for number in range(channels)]
    with matplotlib.rc_context(STYLE):
        figure = matplotlib.figure.Figure(figsize=((width + 20) / 25.4, (height + 22) / 25.4))
        figure.suptitle(words)
        axes = figure.add_axes((15 / (width + 20), 12 / (height + 22), width / (width + 20), height / (height + 22)))
        axes.set(xlim=(0, width), ylim=(-height, 0), yticks=[], xlabel="Seconds")
        axes.set_xticks(np.arange(0, width + 1, MM_PER_S), np.arange(0, seconds + 0.01).astype(int))
        for step, line in ((1, 0.25), (5, 0.7)):
            axes.vlines(np.arange(0, width + 1, step), -height, 0, color="#e5b5b5", lw=line, zorder=0)
            axes.hlines(-np.arange(0, height + 1, step), 0, width, color="#e5b5b5", lw=line, zorder=0)
        inside = one.times < seconds
        glow = one.cam[inside].mean(axis=1)
        glow = glow - glow.min() if one.by == "attention" else glow
        share = (glow / max(glow.max(), 1e-9))[None]
        ends = (0, MM_PER_S * float(one.times[inside][-1]), -height, 0)
        axes.imshow(share, cmap="autumn_r", alpha=0.6 * share, extent=ends, aspect="auto", zorder=1)
        count = int(seconds * one.rate_hz)
        along = MM_PER_S * np.arange(count) / one.rate_hz
        for number, (lead, samples) in enumerate(zip(names, one.samples, strict=True)):
            middle = -LEAD_MM * (number + 0.5)
            values = samples[:count] - np.median(samples)
            axes.plot(
                along, middle + np.clip(MM_PER_UNIT * values, -LEAD_MM, LEAD_MM), color="#222222", lw=0.6, zorder=2
            )
            axes.text(-1.5, middle, lead, ha="right", va="center")
    caption = (
        f"{words}: {meaning}. All {channels} channels of recording {one.recording}, at the picture's own size "
        f"{MM_PER_S} mm a second and {MM_PER_UNIT} mm a unit (mV in an ECG); in colour, {one.meaning}."
    )
    return Drawn(f"explained-{name}.svg", figure, words, f"Explanation of {words}, recording {one.recording}.", caption)


def _brightest(one: Explained) -> tuple[float, float]:
    """Start and end of the part to be shown, in seconds."""
    end = one.samples.shape[1] / one.rate_hz
    if end <= SHOWN_S:
        return 0.0, end
    glow = one.cam.sum(axis=1)
    starts = np.arange(0, end - SHOWN_S + 1e-9, 0.5)
    sums = [glow[(one.times >= start) & (one.times < start + SHOWN_S)].sum() for start in starts]
    best = float(starts[int(np.argmax(sums))])
    return best, best + SHOWN_S


def phases_figure(shares: pd.DataFrame, subjects: pd.Series, positive: str) -> Drawn | None:
    """Bars of the energy that each phase holds beside its share of time, with 95 % intervals over subjects.

    shares: `recording, case, state, energy, time`. None where there are no annotated phases.
    """
    summary = phases_table(shares, subjects)
    if summary.empty:
        return None
    with matplotlib.rc_context(STYLE):
        title = f"Where the network hears {positive}"
        figure = blank(0.7 * WIDTH, title)
        axes = figure.add_subplot(ylabel="Share")
        place = np.arange(len(summary))
        low_high = [summary["energy"] - summary["energy_low"], summary["energy_high"] - summary["energy"]]
        axes.bar(place - 0.2, summary["energy"], 0.38, color=PALETTE[1], yerr=low_high, capsize=3, label="of the map")
        axes.bar(place + 0.2, summary["time"], 0.38, color="#bbbbbb", label="of the time (chance)")
        axes.set_xticks(place, summary["state"])
        figure.legend(loc="outside lower center", ncols=2)
    said = "; ".join(
        f"{row.state} {row.energy:.3f} ({row.energy_low:.3f}–{row.energy_high:.3f}) of the map, {row.time:.3f} of time"
        for row in summary.itertuples()
    )
    caption = (
        f"Share of the explanation in each heart phase, over {shares['recording'].nunique()} judged recordings of "
        f"class {positive} in which it was heard and phases are annotated, with 95 % intervals over subjects: {said}."
    )
    return Drawn("explained-phases.svg", figure, title, f"Shares of heart phases: {said}.", caption)


def phases_table(shares: pd.DataFrame, subjects: pd.Series, draws: int = 2000) -> pd.DataFrame:
    """Mean energy of each state over recordings, with interval over subjects, and mean time.

    `state, energy, energy_low, energy_high, time`. A state that a recording lacks has neither there.
    """
    states = [phase for phase in PHASES if (shares["state"] == phase).any()]
    states += sorted(set(shares["state"]) - set(states))
    rows = []
    for state in states:
        wide = shares[shares["state"] == state]
        drawn = subject_draws(subjects[wide["case"]].to_numpy(dtype=str), draws)
        energy = wide["energy"].to_numpy(dtype=float)
        mean, low, high = bootstrap(lambda w, e=energy: (w * e).sum(axis=1) / w.sum(axis=1), drawn)
        rows.append((state, mean, low, high, wide["time"].mean()))
    return pd.DataFrame(rows, columns=["state", "energy", "energy_low", "energy_high", "time"])
