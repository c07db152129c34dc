"""The recordings of the cases on the page: their sounds, and the explanation by the network that tested the case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from auscult import features
from auscult.cache.audio import read_audio
from auscult.cache.store import Cache
from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.inference.explanation_maps import BY_CHANNEL, NotExplainable
from auscult.inference.explanations import Explanation, explained_class, explainer
from auscult.listening.page import MOST_RECORDINGS
from auscult.listening.sounds import Sound, sound
from auscult.progress import note
from auscult.training.job import Job


@dataclass(frozen=True)
class Sources:
    """Where sounds come from: the manifest, `states` of the data set, cached frames and audio.

    `job_of(task, repeat, fold)` returns the network that tested a fold; None where no network is to be explained.
    """

    manifest: Manifest
    states: pd.DataFrame
    frames: Cache
    audio: Cache
    job_of: Callable[[str, int, int], Job] | None


def sounds_of(
    study: Study, system: str, cases: list[str], predictions: pd.DataFrame, sources: Sources, device: torch.device
) -> tuple[dict[str, list[Sound]], dict[str, int], str]:
    """Return the recordings of each case, how many of a case are left out, and what the colours mean ('' for none).

    system: whose frames are drawn, and whose network is explained. Recordings with the largest output come first.
    """
    explanations, meaning = _explanations(study, system, cases, predictions, sources, device)
    table = sources.manifest.recordings.sort_values("recording")
    problems = sources.manifest.quality.groupby("recording")["problem"].agg(list)
    states_of = dict(list(sources.states.groupby("recording")))
    names, rate_hz = sources.manifest.columns.states, study.dataset.rate_hz
    front_end = study.systems[system].front_end
    frames_per_second = features.front_end(front_end.name, front_end.settings).frames_per_second
    sounds, left_out = {}, {}
    for case in dict.fromkeys(cases):
        rows = table[table["case"] == case].set_index("recording")
        of_recording = {item.recording: item for item in explanations.get(case, [])}
        order = list(of_recording) or rows.index.tolist()
        sounds[case] = [
            sound(
                name,
                rows.loc[name, "site"],
                read_audio(sources.audio, name),
                rate_hz,
                sources.frames.read(name)[:, 0].astype(np.float32),
                frames_per_second,
                of_recording[name].cam if name in of_recording else None,
                of_recording[name].by if name in of_recording else "",
                states_of.get(name, sources.states.head(0)),
                names,
                problems.get(name, []),
            )
            for name in order[:MOST_RECORDINGS]
        ]
        if len(order) > MOST_RECORDINGS:
            left_out[case] = len(order) - MOST_RECORDINGS
    return sounds, left_out, meaning


def _explanations(
    study: Study, system: str, cases: list[str], predictions: pd.DataFrame, sources: Sources, device: torch.device
) -> tuple[dict[str, list[Explanation]], str]:
    """Explanations by bands of each case, and what they mean; none where a network has no such explanation."""
    if sources.job_of is None:
        return {}, ""
    parts = sources.manifest, sources.states, sources.frames, sources.audio
    explain = explainer(study, system, sources.job_of, *parts, device)
    target, positive, output = explained_class(study, system)
    rows = predictions[(predictions["target"] == target) & predictions["case"].isin(cases)]
    rows = rows[rows["repeat"] == rows["repeat"].min()].drop_duplicates("case")
    explanations: dict[str, list[Explanation]] = {}
    for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
        try:
            explanations |= explain(repeat, fold, output, set(part["case"]))
        except NotExplainable as reason:
            note(str(reason))
            return {}, ""
    first = next((items[0] for items in explanations.values() if items), None)
    if first is None or first.by == BY_CHANNEL:
        return {}, ""
    return explanations, f"{first.meaning} {positive}" if first.by != "attention" else first.meaning
