"""One role of a fold as a network takes it in: frames on a device, and what is to be learnt of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from auscult.cache.store import Cache
from auscult.training.data import Frames, load_frames
from auscult.training.job import Job
from auscult.training.targets import case_targets, recording_targets


@dataclass(frozen=True)
class Part:
    """Frames, targets per recording and per case, and the case (its number) of each recording."""

    frames: Frames
    targets: np.ndarray
    case_of: np.ndarray
    case_targets: np.ndarray


def read_part(
    job: Job,
    roles: list[str],
    cases: pd.DataFrame,
    recordings: pd.DataFrame,
    store: Cache,
    shape: tuple[int, int, int],
    pad: float,
    where: torch.device,
) -> Part:
    """The cases of some roles in `cases` and `recordings`, tables of `slices.fold_slice` with labels.

    shape, pad: of the windows, see `data.load_frames`. Raises ValueError where nothing was recorded.
    """
    heads = job.task.heads
    mine = cases[cases["role"].isin(roles)].reset_index(drop=True)
    heard = recordings[recordings["case"].isin(mine["case"])].reset_index(drop=True)
    if heard.empty:
        raise ValueError(f"fold {job.fold} of repeat {job.repeat}: no {roles[0]} recordings; see quality.csv")
    frames = load_frames(store, heard["recording"].tolist(), shape, pad, where, job.system.training.resident)
    place = pd.Series(range(len(mine)), index=mine["case"])
    return Part(
        frames, recording_targets(heads, mine, heard), place[heard["case"]].to_numpy(), case_targets(heads, mine)
    )
