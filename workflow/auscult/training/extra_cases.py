"""Cases of other data sets that join the training cases of every fold, with their labels as words of the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from auscult.config.dataset import ExtraTraining
from auscult.config.systems import Head
from auscult.datasets.base import Manifest
from auscult.training.job import FrameCache

if TYPE_CHECKING:
    import torch

    from auscult.training.data import Windowing
    from auscult.training.role_data import RoleData


class ExtraTrainingError(Exception):
    """A data set does not have the labels that `extra_training` names."""


@dataclass(frozen=True)
class ExtraCases:
    """The cases of one data set that have a label for a task, and their frames.

    cases: a row per case, by its id, with a column of the study's words for each head of the task, '' where there is no
    label; recordings: `recording, case, site, sha256`.
    """

    dataset: str
    cases: pd.DataFrame
    recordings: pd.DataFrame
    frame_cache: FrameCache


def extra_cases(
    extra: ExtraTraining, manifest: Manifest, frame_cache: FrameCache, heads: dict[str, Head]
) -> ExtraCases:
    """Return the cases of a data set with a label for at least one of the heads.

    Raises ExtraTrainingError where the data set lacks a column, or the column a word.
    """
    by_case = manifest.cases.set_index("case")
    columns = {name: _words(extra, name, head, by_case) if name in extra.heads else "" for name, head in heads.items()}
    cases = pd.DataFrame(columns, index=by_case.index)
    cases = cases[(cases != "").any(axis=1)].sort_index()
    recordings = manifest.recordings[["recording", "case", "site", "sha256"]]
    recordings = recordings[recordings["case"].isin(cases.index)].sort_values("recording").reset_index(drop=True)
    return ExtraCases(extra.dataset.name, cases, recordings, frame_cache)


def _words(extra: ExtraTraining, name: str, head: Head, cases: pd.DataFrame) -> pd.Series:
    """The words of the study for one head, of every case."""
    label, key = extra.heads[name], f"extra_training, data set {extra.dataset.name}, heads.{name}"
    if label.column not in cases:
        raise ExtraTrainingError(
            f"{key}.column: cases.csv has no column {label.column!r}; it has {', '.join(cases.columns)}"
        )
    values = cases[label.column]
    there = {word for cell in set(values) for word in cell.split("|")}
    if missing := [word for word in label.words if word not in there]:
        words_there = ", ".join(sorted(there - {""})[:8])
        raise ExtraTrainingError(f"{key}.words: no case is {missing[0]!r} in {label.column!r}; there are {words_there}")
    return label.read(values, head.kind == "multilabel")


def read_extra(
    extra: ExtraCases, heads: dict[str, Head], windowing: Windowing, device: torch.device, resident: bool
) -> RoleData:
    """Frames and targets of the extra cases, as those of a role."""
    # torch takes seconds to load, and jobs import this file that may find nothing to do
    from auscult.training.case_frames import network_frames
    from auscult.training.role_data import RoleData
    from auscult.training.targets import encode

    frames = network_frames(extra.frame_cache.open(), extra.recordings, windowing, device, resident)
    # labels of cases, also where a head is trained on labels of recordings
    targets = [encode(extra.cases[name], head.kind, head.positive, head.classes) for name, head in heads.items()]
    of_cases = np.concatenate(targets, axis=1)
    of_frames = extra.recordings["case"] if windowing.sites is None else frames.recordings
    case_of = extra.cases.index.get_indexer(of_frames)
    return RoleData(frames, of_cases[case_of], case_of, of_cases)
