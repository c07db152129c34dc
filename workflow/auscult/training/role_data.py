"""The data of some roles of a fold, as a network takes it: frames on a device, and the targets to learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from auscult.cache.store import Cache
from auscult.folds.planned import FoldError
from auscult.training.case_frames import network_frames
from auscult.training.data import Frames, Windowing, joined
from auscult.training.job import Job
from auscult.training.targets import case_targets, recording_targets


@dataclass(frozen=True)
class RoleData:
    """Frames and targets of the cases of some roles. Where frames are of cases, these stand for recordings.

    `targets` (recordings, outputs) and `case_targets` (cases, outputs): float32, NaN where there is no label.
    `case_of` (recordings,): the row of each recording's case in `case_targets`. `from_teacher` (recordings, any):
    float32, what a teacher adds to the targets, see `teacher`.
    """

    frames: Frames
    targets: np.ndarray
    case_of: np.ndarray
    case_targets: np.ndarray
    from_teacher: np.ndarray | None = None

    def columns(self) -> np.ndarray:
        """(recordings, any): the rows of targets that an objective gets, with a teacher's columns after the labels."""
        return self.targets if self.from_teacher is None else np.hstack([self.targets, self.from_teacher])


@dataclass(frozen=True)
class Source:
    """Where the data of every role of a fold come from: tables with labels (see `slices.fold_slice`), and frames."""

    cases: pd.DataFrame
    recordings: pd.DataFrame
    cache: Cache
    windowing: Windowing
    device: torch.device


def read_role_data(job: Job, roles: list[str], source: Source) -> RoleData:
    """The cases of some roles. Raises FoldError where none of them has a recording."""
    heads = job.task.heads
    cases = source.cases[source.cases["role"].isin(roles)].reset_index(drop=True)
    recordings = source.recordings[source.recordings["case"].isin(cases["case"])].reset_index(drop=True)
    if recordings.empty:
        raise FoldError(f"fold {job.name.fold} of repeat {job.name.repeat}: no {roles[0]} recordings; see quality.csv")
    resident = job.system.training.resident
    frames = network_frames(source.cache, recordings, source.windowing, source.device, resident)
    row_of_case, of_cases = pd.Series(range(len(cases)), index=cases["case"]), case_targets(heads, cases)
    if source.windowing.sites is not None:
        case_of = row_of_case[frames.recordings].to_numpy()
        return RoleData(frames, of_cases[case_of], case_of, of_cases)
    case_of = row_of_case[recordings["case"]].to_numpy()
    return RoleData(frames, recording_targets(heads, cases, recordings), case_of, of_cases)


def together(parts: list[RoleData]) -> RoleData:
    """The data of several data sets as one, in their order."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.case_targets) for part in parts)])
    return RoleData(
        joined([part.frames for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.case_of + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.case_targets for part in parts]),
    )
