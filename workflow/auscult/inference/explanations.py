"""Explanations of recordings: of which cases and for which class, with the signal beside the map, and by phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from auscult.cache.audio import read_audio
from auscult.cache.store import Cache
from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.heads.outputs import class_columns, output_names
from auscult.inference.explanation_maps import BY_CHANNEL, explain_recordings, phase_shares
from auscult.metrics.intervals import bootstrap, subject_draws
from auscult.training.job import Job

CASES_PER_KIND = 2


@dataclass(frozen=True)
class Explanation:
    """The explanation of a network's output for one recording.

    cam: map (frames, bands) over `features` of the same shape, or (frames, channels) by `BY_CHANNEL`. times: centres of
    the frames, in seconds. samples: (channels, n) at `rate_hz`. states: `onset_s, offset_s, state`. channels, phases:
    names of channels and of states, if the data set has any. by: see `explained_by`.
    """

    recording: str
    cam: NDArray
    features: NDArray
    times: NDArray
    samples: NDArray
    rate_hz: int
    states: pd.DataFrame
    channels: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    by: str = "Grad-CAM"

    @property
    def meaning(self) -> str:
        """The meaning of the colour in a figure."""
        if self.by == "attention":
            return "the attention of the network from least (dark) to most (bright)"
        if self.by == BY_CHANNEL:
            return "what contributes to the output for the class, in each channel by itself (red: most)"
        return "what contributes to the output for the class"

    def shares(self) -> pd.DataFrame:
        """Shares of the map and of the time by phase: `state, energy, time` (see `phase_shares`)."""
        return phase_shares(self.cam, self.times, self.states)


# (repeat, fold, name of an output, cases) → explanations of each case
Explain = Callable[[int, int, str, set[str]], dict[str, list[Explanation]]]


def pick(rows: pd.DataFrame, positive: str) -> pd.DataFrame:
    """Return typical cases of one variant's predictions: `case, kind`, at most two of each kind.

    Hits and misses are cases of the class `positive` with the median probability (typical, not best). The uncertain
    cases are those with the largest uncertainty. rows: `case, label, prediction, p_<positive>, uncertainty`.
    """
    positives = rows[rows["label"] == positive]
    candidates = {
        "hit": positives[positives["prediction"] == positive],
        "miss": positives[positives["prediction"] != positive],
        "uncertain": rows[rows["label"] != ""].nlargest(CASES_PER_KIND, "uncertainty"),
    }
    typical = []
    for kind, part in candidates.items():
        if kind != "uncertain":
            part = part.sort_values([*class_columns([positive]), "case"])
            middle = max(0, (len(part) - CASES_PER_KIND) // 2)
            part = part.iloc[middle : middle + CASES_PER_KIND]
        typical += [(case, kind) for case in part["case"]]
    return pd.DataFrame(typical, columns=["case", "kind"]).drop_duplicates("case")


def explain_cases(
    job: Job,
    output: int,
    manifest: Manifest,
    states: pd.DataFrame,
    cases: set[str],
    frames: Cache,
    audio: Cache,
    rate_hz: int,
    device: torch.device,
) -> dict[str, list[Explanation]]:
    """Return explanations of one network output by case: its recordings in descending order of the output.

    states: `recording, onset_s, offset_s, state` of the data set; they are no input of any network. rate_hz: of
    `audio`.
    """
    table = manifest.recordings[manifest.recordings["case"].isin(cases)].sort_values("recording")
    names = table["recording"].tolist()
    states_of = dict(list(states.groupby("recording")))
    channels, phases = tuple(manifest.columns.channels), tuple(manifest.columns.states)
    of_case: dict[str, list[tuple[float, Explanation]]] = {}
    *maps, by = explain_recordings(job, names, output, frames, device)
    for name, case, cam, times, logit in zip(names, table["case"], *maps, strict=True):
        features = frames.read(name)[:, 0].astype(np.float32)
        own_states = states_of.get(name, states.head(0))
        samples = read_audio(audio, name)
        explanation = Explanation(name, cam, features, times, samples, rate_hz, own_states, channels, phases, by)
        of_case.setdefault(case, []).append((-logit, explanation))
    return {case: [item for _, item in sorted(pairs, key=lambda pair: pair[0])] for case, pairs in of_case.items()}


def explainer(
    study: Study,
    system: str,
    job_of: Callable[[str, int, int], Job],
    manifest: Manifest,
    states: pd.DataFrame,
    frames: Cache,
    audio: Cache,
    device: torch.device,
) -> Explain:
    """Return a function that calls `explain_cases` with the network of a fold that has a named output.

    `job_of(task, repeat, fold)` returns the job of such a network.
    """

    def explain(repeat: int, fold: int, output: str, cases: set[str]) -> dict[str, list[Explanation]]:
        outputs = {task: output_names(study.tasks[task].heads) for task in study.systems[system].tasks}
        task = next(name for name, names in outputs.items() if output in names)
        number = outputs[task].index(output)
        rate = study.dataset.rate_hz
        job = job_of(task, repeat, fold)
        return explain_cases(job, number, manifest, states, cases, frames, audio, rate, device)

    return explain


def explained_class(study: Study, system: str) -> tuple[str, str, str]:
    """Return the target and class of a system that are explained, and the output that stands for the class.

    Of its first target the first class if the first head is binary, otherwise the first class that is not `normal`.
    """
    name, target = next(iter(study.targets_of(study.systems[system]).items()))
    head = study.heads_of(study.systems[system])[target.heads[0]]
    if head.kind == "binary":
        return name, target.classes[0], target.heads[0]
    positive = next(name for name in target.classes if name != target.normal)
    return name, positive, f"{target.heads[0]}_{positive}"


def phases_table(shares: pd.DataFrame, subjects: pd.Series, phases: list[str], draws: int = 2000) -> pd.DataFrame:
    """Return mean shares of each phase over recordings: `state, energy, energy_low, energy_high, time`.

    shares: `recording, case, state, energy, time`. phases: the order of the rows; other states follow. energy: share of
    the map, with a bootstrap interval over subjects. time: share of the time. A recording without a phase does not
    count in the means of that phase.
    """
    states = [phase for phase in phases if (shares["state"] == phase).any()]
    states += sorted(set(shares["state"]) - set(states))
    rows = []
    for state in states:
        of_state = shares[shares["state"] == state]
        weights = subject_draws(subjects[of_state["case"]].to_numpy(dtype=str), draws)
        energy = of_state["energy"].to_numpy(dtype=float)
        mean, low, high = bootstrap(lambda w, e=energy: (w * e).sum(axis=1) / w.sum(axis=1), weights)
        rows.append((state, mean, low, high, of_state["time"].mean()))
    return pd.DataFrame(rows, columns=["state", "energy", "energy_low", "energy_high", "time"])
